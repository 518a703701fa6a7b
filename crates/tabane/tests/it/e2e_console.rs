//! The serial console on a terminal, and on a pipe.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    terminal::Terminal,
    world::{Texts, World},
};

const ESCAPE: &[u8] = b"\x1d";

fn console(world: &World, vm: &str) -> Terminal {
    Terminal::run(&world.command(&["vm", "console", vm]))
}

#[test]
fn e2e_the_console_on_a_terminal_is_the_guests_own() {
    let world = World::with_tiny();
    world.tiny_vm("a", &[]);
    let cooked = {
        let idle = Terminal::run(&Command::new("true"));
        assert!(!idle.is_raw());
        idle.settings()
    };

    // What was said before is shown, and what is typed is answered. The words differ from their echo.
    let mut one = console(&world, "a");
    one.shows("Ctrl-] three times leaves");
    one.shows("tiny: ready");
    assert!(one.is_raw(), "{}", one.settings());
    one.press(b"echo an''swered\r");
    one.shows("answered");

    // Another one sees that too, and both see what either types.
    let mut two = console(&world, "a");
    two.shows("answered");
    two.press(b"echo from''two\r");
    two.shows("fromtwo");
    one.shows("fromtwo");

    // Ctrl-C is for the guest.
    one.press(b"sleep 1000\r");
    one.shows("sleep 1000");
    std::thread::sleep(Duration::from_secs(1));
    one.press(b"\x03");
    one.press(b"echo co''de=$?\r");
    one.shows("code=130");

    // The escape key once or twice is, too; and three times not in a row.
    one.press(ESCAPE);
    one.press(b"echo on''ce\r");
    one.shows("once");
    for key in [ESCAPE, ESCAPE, b"\r", ESCAPE, b"\r"] {
        one.press(key);
        std::thread::sleep(Duration::from_millis(50));
    }
    one.press(b"echo twi''ce\r");
    one.shows("twice");
    assert!(!one.has_ended());
    for _ in 0..3 {
        one.press(ESCAPE);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(one.ends().success(), "{}", one.screen());
    assert_eq!(one.settings(), cooked);

    // A viewer who left takes nothing from the others, and all three at once will do.
    two.press(b"echo still''here\r");
    two.shows("stillhere");
    two.press(&ESCAPE.repeat(3));
    assert!(two.ends().success());
    assert_eq!(two.settings(), cooked);

    // Another key, when that one is needed.
    let mut other = Terminal::run(&world.command(&["vm", "console", "a", "--escape", "x"]));
    other.shows("Ctrl-X three times leaves");
    other.shows("tiny: ready");
    other.press(&ESCAPE.repeat(3));
    other.press(b"\recho ano''ther\r");
    other.shows("another");
    other.press(&[0x18; 3]);
    assert!(other.ends().success());
    assert_eq!(other.settings(), cooked);
}

#[test]
fn e2e_the_terminal_is_put_back_however_the_console_ends() {
    let mut world = World::with_tiny();
    world.tiny_vm("a", &[]);
    let ready = |world: &World| {
        let terminal = console(world, "a");
        terminal.shows("tiny: ready");
        assert!(terminal.is_raw());
        terminal
    };
    let cooked = Terminal::run(&Command::new("true")).settings();

    // The console is told to end.
    for (signal, code) in [("TERM", 143), ("HUP", 129)] {
        let mut terminal = ready(&world);
        let sent = Command::new("kill").args(["-s", signal, &terminal.pid().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(terminal.ends().code(), Some(code), "{signal}");
        assert_eq!(terminal.settings(), cooked, "{signal}");
    }

    // The server is gone from one moment to the next. What the guest says meanwhile is not lost.
    let mut terminal = ready(&world);
    world.exec("a", "(sleep 4; echo said while away > /dev/ttyS0) > /dev/null 2>&1 &");
    world.kill_up();
    terminal.ends();
    terminal.shows("the console of a was closed");
    assert_eq!(terminal.settings(), cooked);
    std::thread::sleep(Duration::from_secs(6));
    world.up();
    world.ok(&["vm", "start", "a", "--wait", "agent", "--timeout", "60"]);
    let mut terminal = ready(&world);
    terminal.shows("said while away");

    // The VM ends.
    world.ok(&["vm", "force-off", "a", "--wait", "stopped"]);
    terminal.ends();
    terminal.shows("the console of a was closed");
    assert_eq!(terminal.settings(), cooked);

    // What does not run has no console; the terminal is not touched.
    let mut terminal = console(&world, "a");
    assert!(!terminal.ends().success());
    terminal.shows("tabane vm start a");
    assert_eq!(terminal.settings(), cooked);
}

#[test]
fn e2e_the_console_on_a_pipe_passes_bytes_through() {
    let world = World::with_tiny();
    world.tiny_vm("a", &[]);
    let mut command = world.command(&["vm", "console", "a"]);
    let mut piped =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Without a terminal the escape key is a byte like any other.
    let mut input = piped.stdin.take().unwrap();
    input.write_all(b"\x1d\x1d\x1d\necho pi''ped\n").unwrap();
    drop(input);
    let mut output = piped.stdout.take().unwrap();
    let (mut said, mut buffer) = (String::new(), [0; 4096]);
    while !said.contains("piped") {
        let read = output.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "{said}");
        said.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    // The end of the input is not the end of the console: that comes with the VM's.
    world.exec("a", "echo more > /dev/ttyS0");
    while !said.contains("more") {
        let read = output.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "{said}");
        said.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    world.ok(&["vm", "force-off", "a", "--wait", "stopped"]);
    output.read_to_end(&mut Vec::new()).unwrap();
    let ended = piped.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", ended.all_text());
    assert!(ended.all_text().contains("the console of a was closed"), "{}", ended.all_text());

    let refused = world.refused(&["vm", "console", "a", "--escape", "1"]);
    assert!(refused.contains("--escape takes a letter"), "{refused}");
}
