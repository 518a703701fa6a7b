//! Snapshots of real guests: with and without memory, deleted and gone back to while the VM runs, and agents that die in
//! the middle of it.

use std::{path::PathBuf, process::Command, time::Duration};

use serde_json::Value;

use crate::world::World;

/// The files of the only disk of a VM: its layers.
fn layers(world: &World, disk: &str) -> Vec<PathBuf> {
    let uid = world.get("disk", disk)["meta"]["uid"].as_str().unwrap().replace('-', "");
    let entries = std::fs::read_dir(world.path().join("host/pool")).unwrap();
    let paths = entries.map(|e| e.unwrap().path());
    paths
        .filter(|p| p.to_str().unwrap().contains(&uid) && p.extension().is_some_and(|e| e == "qcow2"))
        .collect()
}

fn one_layer(world: &World, disk: &str) {
    world.eventually("the layers are merged", || layers(world, disk).len() == 1);
}

fn phase(world: &World, snapshot: &str) -> String {
    world.get("snapshot", snapshot)["status"]["phase"].as_str().unwrap_or_default().to_owned()
}

fn wait_agent(world: &World, vm: &str) {
    world.ok(&["vm", "start", vm, "--wait", "agent", "--timeout", "240"]);
}

#[test]
fn e2e_snapshots_of_a_running_vm_come_and_go() {
    let world = World::with_tiny();
    world.tiny_vm("web", &["--disk", "1GiB"]);
    world.exec("web", "echo a > /mnt/a; sync");
    let table = world.ok(&["snapshot", "create", "web", "first", "--note", "before the change"]);
    assert!(table.contains("ready") && table.contains("before the change"), "{table}");
    world.exec("web", "echo b > /mnt/b; sync");
    world.ok(&["snapshot", "create", "web", "second", "--expires", "7d"]);
    world.exec("web", "echo c > /mnt/c; sync");
    let second = world.get("snapshot", "second");
    assert_eq!(second["status"]["parent"], "first");
    // The tiny guest's agent can freeze file systems.
    assert_eq!(second["status"]["consistency"], "file-system", "{second}");
    let tree = world.ok(&["snapshot", "tree", "web"]);
    assert!(tree.contains("└─ first") && tree.contains("(the VM is here)"), "{tree}");
    assert_eq!(layers(&world, "web-root").len(), 3);

    // What is below goes while the guest writes.
    world.exec("web", "(while true; do dd if=/dev/urandom of=/mnt/noise bs=64k count=16 2>/dev/null; done) > /dev/null 2>&1 &");
    world.ok(&["snapshot", "delete", "first", "--wait", "deleted"]);
    world.eventually("one layer less", || layers(&world, "web-root").len() == 2);
    world.eventually("it stands on nothing", || {
        world.get("snapshot", "second")["status"].get("parent").is_none()
    });
    let pid = world.vm_pid("web");

    // A revert without a memory is a new start.
    let refused = world.refused(&["snapshot", "revert", "second"]);
    assert!(refused.contains("--yes"), "{refused}");
    world.ok(&["snapshot", "revert", "second", "--yes", "--wait", "agent", "--timeout", "240"]);
    assert_ne!(world.vm_pid("web"), pid);
    assert_eq!(world.exec("web", "cat /mnt/a /mnt/b; ls /mnt | grep -c c || true"), "a\nb\n0\n");
    assert!(world.get("vm", "web")["status"]["snapshot"] == "second");

    // Disks that a snapshot has stay; the VM goes with its snapshots.
    let refused = world.refused(&["vm", "detach", "web", "root"]);
    assert!(refused.contains("second"), "{refused}");
    world.exec("web", "echo d > /mnt/d; sync");
    world.ok(&["snapshot", "delete", "second", "--wait", "deleted"]);
    one_layer(&world, "web-root");
    assert_eq!(world.exec("web", "cat /mnt/a /mnt/b /mnt/d"), "a\nb\nd\n");
    world.ok(&["vm", "shutdown", "web", "--wait", "stopped", "--timeout", "120"]);
    let checked = Command::new("qemu-img").arg("check").arg(&layers(&world, "web-root")[0]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    wait_agent(&world, "web");
    assert_eq!(world.exec("web", "cat /mnt/a /mnt/b /mnt/d"), "a\nb\nd\n");
    world.ok(&["snapshot", "create", "web", "last"]);
    let table = world.ok(&["snapshot", "list"]);
    assert!(table.contains("last") && table.contains("web"), "{table}");
    world.ok(&["vm", "delete", "web", "--wait", "deleted"]);
    world.eventually("nothing is left", || layers_left(&world) == 0);
    assert!(world.ok(&["snapshot", "list", "-o", "json"]).contains("[]"));
}

/// Files in the pool and of snapshots.
fn layers_left(world: &World) -> usize {
    let count = |folder: &str| {
        std::fs::read_dir(world.path().join(folder)).map_or(0, |entries| entries.flatten().count())
    };
    count("host/pool") + count("host/snapshots")
}

#[test]
fn e2e_a_snapshot_with_memory_goes_on_where_it_was() {
    let world = World::with_tiny();
    world.tiny_vm("web", &[]);
    // Neither of these is on the disk.
    world.exec("web", "echo before > /run/word; sleep 100000 > /dev/null 2>&1 & echo $! > /run/pid");
    let table = world.ok(&["snapshot", "create", "web", "live", "--memory"]);
    assert!(table.contains("memory"), "{table}");
    let status = world.get("snapshot", "live")["status"].clone();
    assert!(status["memory_bytes"].as_u64().unwrap() > 1 << 20, "{status}");
    assert!(status["paused_ms"].as_u64().unwrap() < 5_000, "{status}");
    let pid = world.vm_pid("web");
    world.answers("web");
    assert_eq!(world.vm_pid("web"), pid, "the VM ran on");
    world.exec("web", "echo after > /run/word; kill $(cat /run/pid); echo new > /mnt/new; sync");

    world.ok(&["snapshot", "revert", "live", "--yes", "--wait", "agent", "--timeout", "120"]);
    assert_ne!(world.vm_pid("web"), pid);
    let seen = world
        .exec("web", "cat /run/word; kill -0 $(cat /run/pid) && echo alive; test -e /mnt/new || echo gone");
    assert_eq!(seen, "before\nalive\ngone\n");
    // The guest's clock is not that of the snapshot.
    let clock: i64 = world.exec("web", "date +%s").trim().parse().unwrap();
    assert!((clock - jiff::Timestamp::now().as_second()).abs() < 30, "{clock}");
    // A crash after that starts from the disk: the memory is loaded once.
    let state = std::fs::read_to_string(vm_state(&world, "web")).unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["restore"], Value::Null);

    // The same again from off, and with other CPUs than then.
    world.ok(&["vm", "force-off", "web", "--wait", "stopped", "--timeout", "60"]);
    world.ok(&["vm", "set", "web", "--cpus", "2"]);
    world.ok(&["snapshot", "revert", "live", "--yes", "--wait", "agent", "--timeout", "120"]);
    assert_eq!(world.exec("web", "cat /run/word; nproc"), "before\n1\n");
    // From the disks alone.
    world.ok(&["snapshot", "revert", "live", "--disks-only", "--yes", "--wait", "agent", "--timeout", "240"]);
    assert_eq!(world.exec("web", "cat /run/word 2>/dev/null || echo none"), "none\n");
    world.ok(&["snapshot", "delete", "live", "--wait", "deleted"]);
    one_layer(&world, "web-root");
    world.answers("web");
}

fn vm_state(world: &World, vm: &str) -> PathBuf {
    let uid = world.get("vm", vm)["meta"]["uid"].as_str().unwrap().replace('-', "");
    world.path().join(format!("host/vms/{uid}.json"))
}

#[test]
fn e2e_an_agent_that_dies_while_snapshots_come_and_go_loses_nothing() {
    let mut world = World::with_tiny();
    world.tiny_vm("web", &[]);
    let pid = world.vm_pid("web");
    for round in 0..8u64 {
        world.exec("web", &format!("echo {round} > /mnt/{round}; sync"));
        let name = format!("s{round}");
        let memory: &[&str] = if round % 4 == 3 { &["--memory"] } else { &[] };
        let create = [&["snapshot", "create", "web", &name, "--no-wait"], memory].concat();
        world.ok(&create);
        if round > 1 {
            // Merging is under way at the same time.
            world.ok(&["snapshot", "delete", &format!("s{}", round - 2)]);
        }
        std::thread::sleep(Duration::from_millis(round * 37 % 260));
        world.kill_up();
        world.up();
        world.eventually("the snapshot is taken", || phase(&world, &name) == "ready");
        world.answers("web");
        assert_eq!(world.vm_pid("web"), pid, "round {round}");
        let expected: String = (0..=round).map(|i| format!("{i}\n")).collect();
        assert_eq!(world.exec("web", &format!("cd /mnt; cat $(seq 0 {round})")), expected);
        world.healthy();
    }
    // A power cut: agent and QEMU at once, in the middle of merging.
    world.ok(&["snapshot", "delete", "s6"]);
    world.kill_up();
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
    world.up();
    world.ok(&["vm", "start", "web", "--wait", "agent", "--timeout", "240"]);
    assert_eq!(world.exec("web", "cd /mnt; cat $(seq 0 7)"), "0\n1\n2\n3\n4\n5\n6\n7\n");
    world.ok(&["snapshot", "revert", "s7", "--disks-only", "--yes", "--wait", "agent", "--timeout", "240"]);
    assert_eq!(world.exec("web", "cd /mnt; cat $(seq 0 7)"), "0\n1\n2\n3\n4\n5\n6\n7\n");
    world.ok(&["snapshot", "delete", "s7", "--wait", "deleted"]);
    one_layer(&world, "web-root");
    world.ok(&["vm", "shutdown", "web", "--wait", "stopped", "--timeout", "120"]);
    let checked = Command::new("qemu-img").arg("check").arg(&layers(&world, "web-root")[0]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

#[test]
fn e2e_snapshots_of_a_vm_that_is_off_are_merged_in_the_background() {
    let world = World::with_tiny();
    world.tiny_vm("web", &[]);
    world.exec("web", "echo a > /mnt/a; sync");
    world.ok(&["vm", "shutdown", "web", "--wait", "stopped", "--timeout", "120"]);
    world.ok(&["snapshot", "create", "web", "one"]);
    assert_eq!(world.get("snapshot", "one")["status"]["consistency"], "off");
    let refused = world.refused(&["snapshot", "create", "web", "two", "--memory"]);
    assert!(refused.contains("does not run"), "{refused}");
    wait_agent(&world, "web");
    world.exec(
        "web",
        "dd if=/dev/urandom of=/mnt/big bs=1M count=20 2>/dev/null; md5sum /mnt/big > /mnt/sum; sync",
    );
    world.ok(&["vm", "shutdown", "web", "--wait", "stopped", "--timeout", "120"]);
    world.ok(&["snapshot", "create", "web", "two"]);
    world.ok(&["snapshot", "revert", "one", "--yes", "--wait", "stopped"]);
    world.ok(&["snapshot", "delete", "one", "two", "--wait", "deleted"]);
    one_layer(&world, "web-root");
    wait_agent(&world, "web");
    assert_eq!(world.exec("web", "cat /mnt/a; ls /mnt | grep -c big || true"), "a\n0\n");
}

#[test]
fn e2e_snapshots_are_taken_while_others_are_merged() {
    let world = World::with_tiny();
    world.tiny_vm("web", &["--disk", "1GiB"]);
    world.exec("web", "(while true; do dd if=/dev/urandom of=/mnt/noise bs=64k count=64 2>/dev/null; done) > /dev/null 2>&1 &");
    for round in 0..24 {
        world.exec("web", &format!("echo {round} >> /mnt/rounds; sync"));
        world.ok(&["snapshot", "create", "web", &format!("r{round}"), "--quiesce", "off"]);
        if round > 0 {
            world.ok(&["snapshot", "delete", &format!("r{}", round - 1)]);
        }
    }
    world.ok(&["snapshot", "delete", "r23", "--wait", "deleted"]);
    one_layer(&world, "web-root");
    for failure in ["snapshot_failed", "io_error"] {
        assert!(!world.events().contains(failure), "{}", world.events());
    }
    assert_eq!(world.exec("web", "wc -l < /mnt/rounds").trim(), "24");
    world.ok(&["vm", "force-off", "web", "--wait", "stopped", "--timeout", "60"]);
    let checked = Command::new("qemu-img").arg("check").arg(&layers(&world, "web-root")[0]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
