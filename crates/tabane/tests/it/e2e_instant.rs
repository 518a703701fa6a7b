//! Clones of a real guest that go on where its memory stands.

use std::{
    collections::BTreeSet,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::world::{Texts, World};

/// `guest-exec` takes what fits into one message.
const PIECE_BYTES: usize = 1 << 20;

/// Copies a file of this machine into a guest.
fn put(world: &World, vm: &str, file: &Path, to: &str) {
    let content = std::fs::read(file).unwrap();
    world.exec(vm, &format!("mkdir -p {0} && rm -f {to} && touch {to} && chmod 755 {to}", parent(to)));
    for piece in content.chunks(PIECE_BYTES) {
        let append = format!("cat >> {to}");
        let mut child = world
            .command(&["vm", "exec", vm, "--stdin", "--", "/bin/sh", "-c", &append])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(piece).unwrap();
        assert!(child.wait().unwrap().success());
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').unwrap().0
}

/// What a program needs to run: itself, its loader and its libraries.
fn with_libraries(program: &str) -> Vec<PathBuf> {
    let told = Command::new("ldd").arg(program).output().unwrap().stdout_text();
    let words = told.split_whitespace().filter(|w| w.starts_with('/'));
    std::iter::once(program).chain(words).map(PathBuf::from).collect()
}

/// A guest with what is a machine's own: an id, and host keys made by the real ssh-keygen.
fn make_somebody(world: &World, vm: &str) {
    for file in with_libraries("/usr/bin/ssh-keygen") {
        let text = file.to_str().unwrap();
        let to = text.strip_prefix("/usr").unwrap_or(text);
        put(world, vm, &file, to);
    }
    world.exec(
        vm,
        "set -e
        mkdir -p /etc/ssh
        ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
        echo 0123456789abcdef0123456789abcdef > /etc/machine-id
        echo somebody > /etc/hostname
        echo '127.0.1.1 web.example.org web' >> /etc/hosts
        echo tuned > /mnt/tuned
        sleep 100000 > /dev/null 2>&1 < /dev/null &
        echo $! > /run/sleeper
        sync",
    );
}

/// One line each: what no two machines may have in common.
const SHOW: &str = "cat /etc/machine-id /proc/sys/kernel/hostname /etc/hostname /sys/class/net/eth0/address
    ip -4 -o addr show dev eth0 | tr -s ' ' | cut -d ' ' -f 4
    cut -d ' ' -f 2 /etc/ssh/ssh_host_ed25519_key.pub
    head -c 32 /dev/urandom | od -A n -t x1 | tr -d ' \\n'; echo
    cat /proc/sys/kernel/random/uuid
    kill -0 $(cat /run/sleeper) && echo goes on
    cat /mnt/tuned; grep -c web /etc/hosts || true";
/// Lines of [`SHOW`] that differ; others follow.
const OWN: usize = 8;
const ADDRESS: usize = 4;

/// What its firmware tells the guest when it is copied.
fn generation(pid: u64) -> String {
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    let (_, rest) = line.split_once("\"guid\":\"").expect("it has the device");
    rest.split('"').next().unwrap().to_owned()
}

fn private_bytes(pid: u64) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let private = text.lines().filter(|l| l.starts_with("Private_"));
    private.map(|l| l.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024).sum()
}

fn helpers(world: &World) -> usize {
    std::fs::read_dir(world.path().join("host/bases")).map_or(0, Iterator::count)
}

#[test]
fn e2e_instant_clones_go_on_and_no_two_are_the_same_machine() {
    instant_clones(2, 12);
}

#[test]
fn soak_a_hundred_instant_clones_go_on_and_no_two_are_the_same_machine() {
    instant_clones(4, 25);
}

fn instant_clones(rounds: usize, at_once: usize) {
    let world = World::with_tiny();
    world.ok(&["network", "create", "lan", "--cidr", "10.91.0.0/22"]);
    world.tiny_vm("web", &["--disk", "1GiB", "--network", "lan"]);
    make_somebody(&world, "web");
    let before = world.exec("web", SHOW);
    let pid = world.vm_pid("web");
    let template = private_bytes(pid);

    let mut own: Vec<BTreeSet<String>> = vec![BTreeSet::new(); OWN];
    let mut generations = BTreeSet::from([generation(pid)]);
    for (set, line) in own.iter_mut().zip(before.lines()) {
        set.insert(line.to_owned());
    }
    for round in 0..rounds {
        let (name, count) = (format!("c{round}"), at_once.to_string());
        let clone = ["vm", "clone", "web", &name, "--instant", "--count", &count];
        world.ok(&[&clone[..], &["--wait", "identity", "--timeout", "600"]].concat());
        for i in 1..=at_once {
            let vm = format!("{name}-{i}");
            let shown = world.exec(&vm, SHOW);
            let lines: Vec<&str> = shown.lines().collect();
            assert_eq!(lines[OWN..], ["goes on", "tuned", "0"], "{vm}: {shown}");
            assert_eq!((lines[1], lines[2]), (vm.as_str(), vm.as_str()), "{shown}");
            let object = world.get("vm", &vm);
            let nic = &object["spec"]["nics"][0];
            assert_eq!(Some(lines[3]), nic["mac"].as_str(), "{shown}");
            assert_eq!(lines[4].split('/').next(), nic["address"].as_str(), "{shown}");
            for (line, (set, text)) in own.iter_mut().zip(&lines).enumerate() {
                assert!(set.insert((*text).to_owned()), "{vm} has line {line} of another: {text}\n{shown}");
            }
            let clone = object["status"]["pid"].as_u64().unwrap();
            assert!(generations.insert(generation(clone)), "{vm}");
            let private = private_bytes(clone);
            assert!(private * 2 < template, "{vm}: {private} of {template} bytes are its own");
        }
        // They reach each other, and the source.
        let other = world.get("vm", &format!("{name}-2"))["spec"]["nics"][0]["address"].clone();
        let source = world.get("vm", "web")["spec"]["nics"][0]["address"].clone();
        for address in [other, source] {
            world.exec(&format!("{name}-1"), &format!("ping -c 1 -W 5 {}", address.as_str().unwrap()));
        }
        // Addresses of machines that are gone are given again.
        own[ADDRESS] = before.lines().nth(ADDRESS).map(str::to_owned).into_iter().collect();
        let names: Vec<String> = (1..=at_once).map(|i| format!("{name}-{i}")).collect();
        let delete: Vec<&str> =
            ["vm", "delete"].into_iter().chain(names.iter().map(String::as_str)).collect();
        world.ok(&[&delete[..], &["--wait", "deleted"]].concat());
    }
    let now = world.exec("web", SHOW);
    let same: Vec<(&str, &str)> = before.lines().zip(now.lines()).take(6).collect();
    assert!(same.iter().all(|(was, is)| was == is), "the source stays who it is: {same:?}");
    assert_eq!(world.vm_pid("web"), pid, "and ran on");
    assert_eq!(helpers(&world), 0);
}

/// Packets that the host has had from a VM's nic.
fn heard(world: &World, vm: &str) -> u64 {
    let handles = format!("/proc/{}/fdinfo", world.vm_pid(vm));
    let texts = std::fs::read_dir(handles).unwrap().flatten().map(|e| std::fs::read_to_string(e.path()));
    let texts: Vec<String> = texts.flatten().collect();
    let tap =
        texts.iter().flat_map(|t| t.lines()).find_map(|l| l.strip_prefix("iff:")).expect("a tap").trim();
    let file = format!("/sys/class/net/{tap}/statistics/rx_packets");
    std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}")).trim().parse().unwrap()
}

#[test]
fn e2e_an_instant_clone_is_not_heard_before_it_knows_who_it_is() {
    let world = World::with_tiny();
    world.ok(&["network", "create", "lan", "--cidr", "10.92.0.0/24"]);
    world.tiny_vm("web", &["--network", "lan"]);
    // Somebody who talks all the time, and whose agent hears nothing.
    world.exec(
        "web",
        "(ping 10.92.0.1 & sleep 2; kill -STOP $(pidof qemu-ga)) > /dev/null 2>&1 < /dev/null &",
    );
    std::thread::sleep(Duration::from_secs(4));
    world.ok(&["snapshot", "create", "web", "deaf", "--memory"]);
    world.ok(&["vm", "clone", "web", "mute", "--instant", "--snapshot", "deaf", "--wait", "running"]);
    let began = heard(&world, "web");
    std::thread::sleep(Duration::from_secs(5));
    assert!(heard(&world, "web") > began, "the source is heard");
    assert_eq!(heard(&world, "mute"), 0, "its clone is not");
    let identity = |world: &World| {
        let conditions = world.get("vm", "mute")["status"]["conditions"].clone();
        let all = conditions.as_array().unwrap().clone();
        all.into_iter().find(|c| c["kind"] == "identity").expect("it is told of")
    };
    let told = identity(&world);
    assert_eq!(told["met"], false);
    assert!(told["message"].as_str().unwrap().contains("unplugged"), "{told}");
    // Also after its power was cut: its disks are those of the source. Its agent is new, and hears.
    world.ok(&["vm", "force-off", "mute", "--wait", "stopped"]);
    world.ok(&["vm", "start", "mute", "--wait", "identity", "--timeout", "240"]);
    let address = world.get("vm", "mute")["spec"]["nics"][0]["address"].as_str().unwrap().to_owned();
    assert!(world.exec("mute", "ip -4 -o addr show dev eth0").contains(&address));
    world.exec("mute", "ping -c 1 -W 5 10.92.0.1");
    assert!(heard(&world, "mute") > 0);
}

#[test]
fn e2e_an_instant_clone_that_cannot_be_is_refused_with_what_to_do() {
    let world = World::with_tiny();
    world.ok(&["vm", "create", "web", "--image", "tiny", "--memory", "192MiB"]);
    let told = world.refused(&["vm", "clone", "web", "copy", "--instant"]);
    assert!(told.contains("agent of web does not answer") && told.contains("without `--instant`"), "{told}");
    world.ok(&["vm", "start", "web", "--wait", "agent", "--timeout", "240"]);
    world.ok(&["snapshot", "create", "web", "disks"]);
    let told = world.refused(&["vm", "clone", "web", "copy", "--instant", "--snapshot", "disks"]);
    assert!(told.contains("has no memory") && told.contains("--memory"), "{told}");
    let told = world.refused(&["vm", "clone", "web", "copy", "--instant", "--full"]);
    assert!(told.contains("--full"), "{told}");
    assert_eq!(world.ok(&["vm", "list", "-o", "json"]).matches("\"copy\"").count(), 0);
}

#[test]
fn e2e_instant_clones_survive_an_agent_that_dies_while_they_are_made() {
    let mut world = World::with_tiny();
    world.ok(&["network", "create", "lan", "--cidr", "10.93.0.0/24"]);
    world.tiny_vm("web", &["--network", "lan"]);
    world.exec("web", "echo 0123456789abcdef0123456789abcdef > /etc/machine-id; echo tuned > /run/tuned");
    for round in 0..10u64 {
        let name = format!("c{round}");
        world.ok(&["vm", "clone", "web", &name, "--instant", "--count", "2"]);
        std::thread::sleep(Duration::from_millis(150 + round * 230));
        world.kill_up();
        world.up();
        let vms = [format!("{name}-1"), format!("{name}-2")];
        for vm in &vms {
            world.ok(&["vm", "start", vm, "--wait", "identity", "--timeout", "240"]);
            let shown = world.exec(vm, "cat /run/tuned /etc/machine-id /proc/sys/kernel/hostname");
            let id = world.get("vm", vm)["meta"]["uid"].as_str().unwrap().replace('-', "");
            assert_eq!(shown, format!("tuned\n{id}\n{vm}\n"), "round {round}");
        }
        assert_eq!(helpers(&world), 0, "round {round}");
        world.ok(&["vm", "delete", &vms[0], &vms[1], "--wait", "deleted"]);
    }
    world.answers("web");
    world.ok(&["vm", "delete", "web", "--wait", "deleted"]);
    world.healthy();
    let pool = world.path().join("host/pool");
    world.eventually("nothing is left", || std::fs::read_dir(&pool).unwrap().count() == 0);
    let ours = world.path().to_str().unwrap().to_owned();
    let left = Command::new("pgrep").args(["-af", &ours]).output().unwrap().stdout_text();
    assert_eq!(left.matches("qemu-system").count(), 0, "{left}");
}
