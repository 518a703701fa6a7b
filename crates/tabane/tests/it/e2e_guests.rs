//! Guests: boot, console, commands, adoption, crashes, hotplug.

use std::{
    io::Read,
    process::Stdio,
    time::{Duration, Instant},
};

use crate::world::{Texts, World};

#[test]
fn e2e_a_guest_boots_and_can_be_talked_to() {
    let world = World::with_tiny();
    world.tiny_vm("a", &["--hostname", "alpha"]);

    // Commands: streams and exit code pass through.
    let output = world.run(&["vm", "exec", "a", "--", "/bin/sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(world.exec("a", "hostname"), "alpha\n");
    assert!(world.refused(&["vm", "exec", "a", "--", "no-such-program"]).contains("no-such-program"));

    // What the guest tells of itself.
    world.eventually("the guest tells its address", || {
        world.get("vm", "a")["status"]["guest"]["addresses"].to_string().contains("10.0.2.15")
    });
    let vm = world.get("vm", "a");
    assert_eq!(vm["status"]["guest"]["hostname"], "alpha");
    assert!(vm["status"]["guest"]["file_systems"].to_string().contains("ext4"));
    assert_eq!(vm["status"]["pinned"]["machine"], world.get("host", "h1")["status"]["machine"]);

    // The console shows what was said before anybody looked, to several viewers.
    for _ in 0..2 {
        let mut console = world.command(&["vm", "console", "a"]);
        let mut viewer =
            console.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut said = String::new();
        let mut from = viewer.stdout.take().unwrap();
        let started = Instant::now();
        let mut buffer = [0; 4096];
        while !said.contains("tiny: ready") {
            assert!(started.elapsed() < Duration::from_secs(30), "{said}");
            let read = from.read(&mut buffer).unwrap();
            said.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        viewer.kill().unwrap();
        viewer.wait().unwrap();
    }

    let picture = world.path().join("screen.png");
    world.ok(&["vm", "screenshot", "a", "-o", picture.to_str().unwrap()]);
    assert!(std::fs::read(&picture).unwrap().starts_with(b"\x89PNG"));

    // Privileges of its QEMU.
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.vm_pid("a"))).unwrap();
    let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2");
    assert_eq!(field("CapEff:"), "0000000000000000");
    if std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0) {
        assert!(field("Uid:").split_whitespace().all(|uid| uid.parse::<u32>().unwrap() >= 1_900_000_000));
    }

    world.ok(&["vm", "delete", "a", "--wait", "deleted"]);
    assert_eq!(std::fs::read_dir(world.path().join("host/vms")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(world.path().join("host/pool")).unwrap().count(), 0);
}

#[test]
fn e2e_a_killed_agent_adopts_its_vms() {
    let mut world = World::with_tiny();
    world.tiny_vm("a", &[]);
    let before = world.get("vm", "a");
    let uptime = |world: &World| -> f64 {
        world.exec("a", "cat /proc/uptime").split_whitespace().next().unwrap().parse().unwrap()
    };
    let (pid, up_before) = (world.vm_pid("a"), uptime(&world));
    for _ in 0..3 {
        world.kill_up();
        assert!(std::path::Path::new(&format!("/proc/{pid}")).exists(), "QEMU outlives the agent");
        world.up();
        world.ok(&["vm", "start", "a", "--wait", "agent", "--timeout", "60"]);
    }
    let after = world.get("vm", "a");
    assert_eq!(world.vm_pid("a"), pid);
    assert_eq!(after["status"]["started_at"], before["status"]["started_at"]);
    assert_eq!(after["status"]["restarts"], 0);
    assert!(uptime(&world) > up_before, "the guest was never restarted");
    assert_eq!(world.events().matches("QEMU runs as process").count(), 1);
}

#[test]
fn e2e_power_is_kept_as_it_is_wanted() {
    let mut world = World::with_tiny();
    world.tiny_vm("a", &[]);
    let kill = |pid: u64| {
        let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
        assert!(killed.success());
    };

    // A QEMU that dies is started again.
    let first = world.vm_pid("a");
    kill(first);
    world.eventually("it runs again", || {
        let vm = world.get("vm", "a");
        vm["status"]["phase"] == "running" && vm["status"]["pid"].as_u64() != Some(first)
    });
    assert_eq!(world.get("vm", "a")["status"]["restarts"], 1);
    world.ok(&["vm", "start", "a", "--wait", "agent", "--timeout", "240"]);

    // One that dies while nobody looks, too.
    let second = world.vm_pid("a");
    world.kill_up();
    kill(second);
    world.up();
    world.eventually("it runs again", || world.get("vm", "a")["status"]["phase"] == "running");
    world.ok(&["vm", "start", "a", "--wait", "agent", "--timeout", "240"]);

    // A guest that shuts itself down stays down until somebody starts it.
    world.run(&["vm", "exec", "a", "--", "poweroff"]);
    world.eventually("it is stopped", || world.get("vm", "a")["status"]["phase"] == "stopped");
    assert!(world.get("vm", "a")["status"]["conditions"].to_string().contains("tabane vm start a"));
    world.ok(&["vm", "start", "a", "--wait", "agent", "--timeout", "240"]);

    // Held after a crash, if that is wanted.
    world.ok(&["vm", "set", "a", "--on-crash", "hold", "--wait", "observed"]);
    kill(world.vm_pid("a"));
    world.eventually("it has crashed", || world.get("vm", "a")["status"]["phase"] == "crashed");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(world.get("vm", "a")["status"]["phase"], "crashed");
    world.ok(&["vm", "start", "a", "--wait", "agent", "--timeout", "240"]);

    // Paused, resumed, reset, shut down.
    world.ok(&["vm", "pause", "a", "--wait", "paused"]);
    world.ok(&["vm", "resume", "a", "--wait", "running"]);
    world.ok(&["vm", "reset", "a", "--wait", "observed"]);
    world.eventually("it was reset", || world.get("vm", "a")["status"]["resets"] == 1);
    world.ok(&["vm", "start", "a", "--wait", "agent", "--timeout", "240"]);
    world.ok(&["vm", "shutdown", "a", "--wait", "stopped", "--timeout", "120"]);
    assert!(world.events().contains("the guest was asked to shut down, by its agent"));
    assert_eq!(world.get("vm", "a")["status"]["last_exit"], "stopped as asked");
    let output = world.run(&["vm", "exec", "a", "--", "true"]);
    assert!(output.all_text().contains("tabane vm start a"), "{}", output.all_text());
}

#[test]
fn e2e_devices_are_plugged_into_a_running_guest() {
    let world = World::with_tiny();
    world.tiny_vm("a", &[]);
    let number = |script: &str| -> u64 { world.exec("a", script).trim().parse().unwrap() };
    let memory_before = number("awk '/MemTotal/{print $2}' /proc/meminfo");

    world.ok(&["vm", "set", "a", "--cpus", "3", "--memory", "448MiB", "--wait", "observed"]);
    world.eventually("three CPUs are on line", || number("grep -c ^processor /proc/cpuinfo") == 3);
    world.eventually("the memory is there", || {
        number("awk '/MemTotal/{print $2}' /proc/meminfo") > memory_before + 200_000
    });

    world.ok(&["vm", "attach", "a", "--as", "data", "--size", "64MiB", "--wait", "observed"]);
    let sectors = "cat /sys/block/vdb/size 2>/dev/null || echo 0";
    world.eventually("the disk is there", || number(sectors) == 64 << 11);
    assert_eq!(world.exec("a", "cat /sys/block/vdb/serial"), "data");

    world.ok(&["disk", "resize", "a-data", "128MiB"]);
    world.eventually("the disk has grown", || number(sectors) == 128 << 11);
    world.ok(&["vm", "detach", "a", "data", "--wait", "observed"]);
    world.eventually("the disk is gone", || number(sectors) == 0);
    assert_eq!(world.get("disk", "a-data")["spec"]["vm"], serde_json::Value::Null);
    assert!(world.refused(&["disk", "resize", "a-data", "1MiB"]).contains("cannot shrink"));
    world.ok(&["disk", "delete", "a-data", "--wait", "deleted"]);
}
