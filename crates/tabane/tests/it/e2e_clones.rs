//! Copies of a real guest that goes on running: linked and full.

use std::os::unix::fs::MetadataExt;

use crate::world::World;

fn mac(world: &World, vm: &str) -> String {
    world.get("vm", vm)["spec"]["nics"][0]["mac"].as_str().unwrap().to_owned()
}

#[test]
fn e2e_clones_of_a_running_vm_are_machines_of_their_own() {
    let world = World::with_tiny();
    world.tiny_vm("web", &["--disk", "1GiB"]);
    world.exec("web", "echo tuned > /mnt/tuned; sync");
    let pid = world.vm_pid("web");
    let table = world.ok(&[
        "vm",
        "clone",
        "web",
        "copy",
        "--count",
        "3",
        "--start",
        "--wait",
        "agent",
        "--timeout",
        "240",
    ]);
    assert!(table.contains("copy-3"), "{table}");
    assert_eq!(world.vm_pid("web"), pid, "the source ran on");
    for copy in ["copy-1", "copy-2", "copy-3"] {
        assert_eq!(world.exec(copy, "cat /mnt/tuned"), "tuned\n");
        assert_ne!(mac(&world, copy), mac(&world, "web"));
        world.exec(copy, &format!("echo {copy} > /mnt/own; sync"));
    }
    world.exec("web", "echo web > /mnt/own; sync");
    for vm in ["web", "copy-1", "copy-2", "copy-3"] {
        assert_eq!(world.exec(vm, "cat /mnt/own").trim(), vm);
    }
    // What they stand on stays.
    let snapshot = world.get("snapshot", "copy-1-base");
    assert_eq!(snapshot["status"]["consistency"], "file-system", "{snapshot}");
    for command in [&["vm", "delete", "web"][..], &["snapshot", "delete", "copy-1-base"]] {
        let told = world.refused(command);
        assert!(told.contains("copy-1") && told.contains("2 more"), "{told}");
    }
    // Others can read the frozen layers by the group of the source alone, and nothing else of it.
    let uid = world.get("disk", "web-root")["meta"]["uid"].as_str().unwrap().replace('-', "");
    let pool = world.path().join("host/pool");
    let frozen = std::fs::metadata(pool.join(format!("{uid}.qcow2"))).unwrap();
    let active = std::fs::metadata(pool.join(format!("{uid}-1.qcow2"))).unwrap();
    assert_eq!((frozen.mode() & 0o777, active.mode() & 0o777), (0o640, 0o600));

    // A full clone needs nothing of its source once it is made.
    world.ok(&["vm", "shutdown", "copy-1", "--wait", "stopped", "--timeout", "120"]);
    world.ok(&["vm", "clone", "copy-1", "whole", "--full", "--wait", "ready", "--timeout", "120"]);
    world.eventually("the copy is made", || {
        world.run(&["snapshot", "delete", "whole-base", "--wait", "deleted"]).status.success()
    });
    // A clone of a clone.
    world.ok(&["vm", "clone", "copy-2", "deep", "--start", "--wait", "agent", "--timeout", "240"]);
    assert_eq!(world.exec("deep", "cat /mnt/tuned /mnt/own"), "tuned\ncopy-2\n");
    world.ok(&["vm", "delete", "deep", "--wait", "deleted"]);
    world.ok(&["vm", "delete", "copy-1", "copy-2", "copy-3", "--wait", "deleted"]);
    world.ok(&["vm", "delete", "web", "--wait", "deleted"]);
    world.ok(&["vm", "start", "whole", "--wait", "agent", "--timeout", "240"]);
    assert_eq!(world.exec("whole", "cat /mnt/tuned /mnt/own"), "tuned\ncopy-1\n");
    world.ok(&["vm", "delete", "whole", "--wait", "deleted"]);
    world.eventually("nothing is left", || std::fs::read_dir(&pool).unwrap().count() == 0);
    let left = world.ok(&["snapshot", "list", "-o", "json"]);
    assert!(left.contains("[]"), "{left}");
}

#[test]
fn e2e_clones_survive_an_agent_that_dies_while_they_are_made() {
    let mut world = World::with_tiny();
    world.tiny_vm("web", &["--disk", "1GiB"]);
    for round in 0..5u64 {
        world.exec("web", &format!("echo {round} > /mnt/round; sync"));
        let (linked, full) = (format!("l{round}"), format!("f{round}"));
        world.ok(&["vm", "clone", "web", &linked]);
        world.ok(&["vm", "clone", "web", &full, "--full"]);
        std::thread::sleep(std::time::Duration::from_millis(round * 61));
        world.kill_up();
        world.up();
        for vm in [&linked, &full] {
            world.eventually("the clone is there", || {
                world.get("disk", &format!("{vm}-root"))["status"]["phase"] == "ready"
            });
        }
        let started = if round % 2 == 0 { &linked } else { &full };
        world.ok(&["vm", "start", started, "--wait", "agent", "--timeout", "240"]);
        assert_eq!(world.exec(started, "cat /mnt/round").trim(), round.to_string());
        world.ok(&["vm", "delete", &linked, &full, "--wait", "deleted"]);
        world.ok(&[
            "snapshot",
            "delete",
            &format!("{linked}-base"),
            &format!("{full}-base"),
            "--wait",
            "deleted",
        ]);
    }
    world.answers("web");
    world.healthy();
    world.ok(&["vm", "delete", "web", "--wait", "deleted"]);
    let pool = world.path().join("host/pool");
    world.eventually("nothing is left", || std::fs::read_dir(&pool).unwrap().count() == 0);
    world.healthy();
}

/// A program that has a disk open for writing.
struct Writer(std::process::Child);

impl Writer {
    fn of(path: &std::path::Path) -> Self {
        let mut command = std::process::Command::new("qemu-io");
        Self(command.args(["-c", "sleep 600000"]).arg(path).spawn().unwrap())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn e2e_a_copy_that_cannot_be_made_is_tried_now_and_then_until_it_can() {
    let world = World::with_tiny();
    world.ok(&["vm", "create", "web", "--image", "tiny", "--memory", "192MiB", "--wait", "ready"]);
    let uid = world.get("disk", "web-root")["meta"]["uid"].as_str().unwrap().replace('-', "");
    let writer = Writer::of(&world.path().join(format!("host/pool/{uid}.qcow2")));
    world.ok(&["vm", "clone", "web", "copy", "--full"]);
    world.eventually("the failure is told", || world.get("disk", "copy-root")["status"]["phase"] == "failed");
    let tried =
        || world.log().lines().filter(|line| line.contains("Prepare") && line.contains("copy")).count();
    let before = tried();
    std::thread::sleep(std::time::Duration::from_secs(6));
    // Half a second after the first, and twice as long each time.
    assert!(tried() - before < 8, "{} times", tried() - before);
    drop(writer);
    world.eventually("the copy is there", || world.get("disk", "copy-root")["status"]["phase"] == "ready");
    world.ok(&["vm", "delete", "web", "copy", "--wait", "deleted"]);
}
