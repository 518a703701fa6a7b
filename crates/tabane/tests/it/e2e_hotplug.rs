//! Nics that come and go while their guest runs.

use std::process::Command;

use serde_json::Value;

use crate::world::World;

/// Devices of the host that are taps or bridges.
fn devices() -> Vec<String> {
    let output = Command::new("ip").args(["-o", "link", "show"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = text.lines().filter_map(|line| line.split(": ").nth(1)).map(|name| name.split('@').next());
    names
        .flatten()
        .filter(|name| name.starts_with("tt") || name.starts_with("tb"))
        .map(String::from)
        .collect()
}

fn tables() -> String {
    let output = Command::new("nft").args(["list", "tables"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn taps() -> usize {
    devices().iter().filter(|name| name.starts_with("tt")).count()
}

fn nic(world: &World, vm: &str, name: &str) -> Value {
    let vm = world.get("vm", vm);
    vm["spec"]["nics"].as_array().unwrap().iter().find(|nic| nic["name"] == name).unwrap().clone()
}

/// What the guest calls the nic with this MAC, if it has it.
fn in_guest(world: &World, vm: &str, mac: &str) -> Option<String> {
    let found = world.exec(vm, &format!("grep -l -i {mac} /sys/class/net/*/address || true"));
    found.split('/').nth(4).map(String::from)
}

fn has_address(world: &World, vm: &str, mac: &str, address: &str) -> bool {
    in_guest(world, vm, mac).is_some_and(|device| {
        world.exec(vm, &format!("ip addr show {device}")).contains(&format!("inet {address}"))
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn is_root() -> bool {
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !root {
        eprintln!("not root: taps cannot be made, so nothing is tested");
    }
    root
}

#[test]
fn e2e_a_nic_of_a_user_network_comes_and_goes() {
    let world = World::with_tiny();
    world.tiny_vm("a", &[]);
    assert_eq!(world.exec("a", "ls /sys/class/net").split_whitespace().count(), 2);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let forward = format!("{port}:8080");
    world.ok(&["vm", "plug", "a", "--network", "default", "--forward", &forward, "--wait", "observed"]);
    let mac = text(&nic(&world, "a", "nic1")["mac"]);
    // Not 10.0.2.15, which the first nic has: the guest has to tell them apart.
    world.eventually("the guest has the nic and an address", || has_address(&world, "a", &mac, "10.0.4.15"));
    world.eventually("the status tells of it", || {
        world.get("vm", "a")["status"]["nics"].to_string().contains(&mac)
    });
    // The port that came with it leads into the guest.
    world.exec("a", "(while :; do echo hello | nc -l -p 8080; done) > /dev/null 2>&1 &");
    world.eventually("the guest is heard through its port", || {
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return false };
        let mut said = String::new();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        let _ = std::io::Read::read_to_string(&mut stream, &mut said);
        said == "hello\n"
    });

    // What cannot be plugged is said in the VM's condition, and the guest is not disturbed.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let forward = format!("{}:80", taken.local_addr().unwrap().port());
    world.ok(&["vm", "plug", "a", "--network", "default", "--forward", &forward]);
    let holder = format!("is in use by process {}", std::process::id());
    world.eventually("the used port is told of", || {
        let told = world.get("vm", "a")["status"]["conditions"].to_string();
        told.contains(&holder) && told.contains("forward another port")
    });
    assert_eq!(world.get("vm", "a")["status"]["phase"], "running");
    world.ok(&["vm", "unplug", "a", "nic2", "--wait", "observed"]);
    world.eventually("nothing is wrong any more", || {
        !world.get("vm", "a")["status"]["conditions"].to_string().contains("in use")
    });

    world.ok(&["vm", "unplug", "a", "nic1", "--wait", "observed"]);
    world.eventually("the guest has lost it", || in_guest(&world, "a", &mac).is_none());
    world.eventually("the status tells of it no more", || {
        !world.get("vm", "a")["status"]["nics"].to_string().contains(&mac)
    });
    assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok(), "the port is free again");
    let refused = world.refused(&["vm", "unplug", "a", "nic7"]);
    assert!(refused.contains("has no nic nic7; it has: nic0"), "{refused}");
    let refused = world.refused(&["vm", "plug", "a", "--network", "none"]);
    assert!(refused.contains("tabane network list"), "{refused}");
}

#[test]
fn e2e_a_nic_of_a_nat_network_comes_survives_and_goes() {
    if !is_root() {
        return;
    }
    let mut world = World::with_tiny();
    let before = (devices(), tables());
    world.ok(&["network", "create", "lan", "--cidr", "10.231.7.0/24"]);
    world.tiny_vm("a", &[]);
    world.tiny_vm("b", &["--network", "lan"]);
    let taps_before = taps();

    world.ok(&["vm", "plug", "a", "--network", "lan", "--as", "inner", "--wait", "observed"]);
    let inner = nic(&world, "a", "inner");
    let (mac, address) = (text(&inner["mac"]), text(&inner["address"]));
    world
        .eventually("the guest has its address", || has_address(&world, "a", &mac, &format!("{address}/24")));
    assert_eq!(taps(), taps_before + 1);
    let other = text(&nic(&world, "b", "nic0")["address"]);
    let reached = format!("ping -c 2 -w 20 {other}");
    world.exec("a", &reached);

    // The agent is killed: the nic works on, and is the one that the next agent knows.
    world.kill_up();
    world.up();
    world.ok(&["vm", "start", "a", "--wait", "agent", "--timeout", "60"]);
    world.exec("a", &reached);
    assert_eq!(taps(), taps_before + 1);

    // The agent was killed before it had written down that the nic is in.
    let state = vm_state(&world, "a");
    let pid = world.vm_pid("a");
    world.kill_up();
    let mut known: Value = serde_json::from_slice(&std::fs::read(&state).unwrap()).unwrap();
    known["process"]["nics"].as_array_mut().unwrap().retain(|name| name != "inner");
    std::fs::write(&state, known.to_string()).unwrap();
    world.up();
    world.ok(&["vm", "start", "a", "--wait", "agent", "--timeout", "60"]);
    world.eventually("the nic is written down", || {
        std::fs::read_to_string(&state).unwrap().contains("\"inner\"")
            && serde_json::from_slice::<Value>(&std::fs::read(&state).unwrap()).unwrap()["process"]["nics"]
                .to_string()
                .contains("inner")
    });
    world
        .eventually("the guest has its address", || has_address(&world, "a", &mac, &format!("{address}/24")));
    world.eventually("it reaches the other", || {
        world.run(&["vm", "exec", "a", "--", "/bin/sh", "-c", &reached]).status.success()
    });
    assert_eq!((world.vm_pid("a"), taps()), (pid, taps_before + 1));

    // The same after a stop and a start.
    world.ok(&["vm", "shutdown", "a", "--wait", "stopped", "--timeout", "120"]);
    world.eventually("its tap is gone", || taps() == taps_before);
    world.ok(&["vm", "start", "a", "--wait", "agent", "--timeout", "240"]);
    assert_eq!(nic(&world, "a", "inner"), inner);
    world
        .eventually("the guest has its address", || has_address(&world, "a", &mac, &format!("{address}/24")));
    world.exec("a", &reached);

    world.ok(&["vm", "unplug", "a", "inner", "--wait", "observed"]);
    world.eventually("the guest has lost it", || in_guest(&world, "a", &mac).is_none());
    world.eventually("its tap is gone", || taps() == taps_before);
    world.eventually("the status tells of it no more", || {
        !world.get("vm", "a")["status"]["nics"].to_string().contains(&mac)
    });
    let rules = Command::new("nft").args(["list", "ruleset"]).output().unwrap().stdout;
    assert!(!String::from_utf8_lossy(&rules).contains(&mac), "no rule speaks of it");

    world.ok(&["vm", "delete", "a", "b", "--wait", "deleted"]);
    world.ok(&["network", "delete", "lan"]);
    world.eventually("nothing is left", || (devices(), tables()) == before);
}

fn vm_state(world: &World, vm: &str) -> std::path::PathBuf {
    let uid = text(&world.get("vm", vm)["meta"]["uid"]).replace('-', "");
    world.path().join(format!("host/vms/{uid}.json"))
}

#[test]
fn e2e_many_change_one_vm_at_once_and_nothing_is_lost() {
    let world = World::start();
    world.ok(&["vm", "create", "a"]);
    let attach = |i: usize| {
        let name = format!("data{i}");
        let mut command = world.command(&["vm", "attach", "a", "--as", &name, "--size", "1MiB"]);
        std::thread::spawn(move || command.output().unwrap())
    };
    let threads: Vec<_> = (0..8).map(attach).collect();
    for thread in threads {
        let output = thread.join().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(world.get("vm", "a")["spec"]["disks"].as_array().unwrap().len(), 8);
}
