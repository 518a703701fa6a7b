//! A host is drained: its VMs move to another with all that they have.

use crate::world::{Texts, World};

fn two_hosts() -> World {
    let mut world = World::with_tiny();
    let token = world.ok(&["token", "create", "joiner", "--role", "join"]).trim().to_owned();
    world.join("h2", &token);
    world
}

/// Puts VMs on the second host, without asking for it for ever.
fn on_h2(world: &World, create: impl FnOnce()) {
    world.ok(&["host", "cordon", "h1"]);
    create();
    world.ok(&["host", "uncordon", "h1"]);
}

fn files(world: &World, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(world.path().join(folder)).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn e2e_a_drained_host_becomes_empty_and_loses_nothing() {
    let world = two_hosts();
    on_h2(&world, || {
        world.tiny_vm("a", &["--disk", "64MiB"]);
        world.ok(&["vm", "attach", "a", "--as", "data", "--size", "32MiB", "--wait", "observed"]);
        world.ok(&["vm", "create", "off", "--image", "tiny", "--memory", "192MiB", "--wait", "stopped"]);
    });
    world.eventually("the disk is there", || {
        world.exec("a", "test -b /dev/vdb && echo yes || true") == "yes\n"
    });
    let [a, off] = ["a", "off"].map(|name| world.get("vm", name));
    assert_eq!((&a["spec"]["host"], &off["spec"]["host"]), (&"h2".into(), &"h2".into()));
    // Written through to both disks, the clone and the blank one.
    let write = "dd if=/dev/urandom of=/mnt/big bs=1M count=9 conv=fsync 2>/dev/null; \
        dd if=/dev/urandom of=/dev/vdb bs=1M count=9 seek=3 conv=fsync 2>/dev/null; sync";
    world.exec("a", write);
    let sum = "md5sum < /mnt/big; dd if=/dev/vdb bs=1M count=20 2>/dev/null | md5sum";
    let before = world.exec("a", sum);
    // Disks of several layers, and a revert that must not be done again elsewhere.
    world.ok(&["snapshot", "create", "a", "s"]);
    world.ok(&["snapshot", "revert", "s", "--yes", "--wait", "agent", "--timeout", "240"]);
    // Gone as an object; its layers are merged later, at the latest before the disks travel.
    world.ok(&["snapshot", "delete", "s", "--wait", "deleted"]);

    let planned = world.ok(&["host", "drain", "h2", "--dry-run"]);
    assert!(planned.contains("vm a would be shut down") && planned.contains("vm off"), "{planned}");
    assert_eq!(world.get("host", "h2")["spec"]["drain"], false);
    let told = world.run(&["host", "drain", "h2"]);
    assert!(told.status.success() && told.all_text().contains("h2 is empty"), "{}", told.all_text());
    world.answers("a");

    let moved = world.get("vm", "a");
    assert_eq!(moved["spec"]["host"], "h1");
    assert!(moved["spec"]["moving"].is_null() && moved["status"]["released"].is_null(), "{moved}");
    assert_eq!(moved["spec"]["nics"][0]["mac"], a["spec"]["nics"][0]["mac"]);
    assert_eq!(moved["status"]["pinned"], a["status"]["pinned"]);
    assert_eq!(world.exec("a", sum), before, "the disks are not what they were");
    assert_eq!(world.get("vm", "off")["status"]["phase"], "stopped");
    assert_eq!(world.get("disk", "a-data")["spec"]["host"], "h1");
    // Nothing of them is left behind, and what is here is what there was.
    world.eventually("the old host has cleaned up", || {
        files(&world, "h2/host/vms").is_empty() && files(&world, "h2/host/pool").is_empty()
    });
    assert!(files(&world, "host/arrivals").is_empty(), "{:?}", files(&world, "host/arrivals"));
    assert_eq!(files(&world, "host/pool").len(), 6, "{:?}", files(&world, "host/pool"));
    world.ok(&["host", "remove", "h2"]);
    let events = world.events();
    assert!(events.contains("moving") && events.contains("it is on host h1 now"), "{events}");
}

#[test]
fn e2e_a_move_survives_the_death_of_either_agent_and_can_be_called_off() {
    let mut world = two_hosts();
    on_h2(&world, || {
        world.tiny_vm("a", &[]);
        world.ok(&["vm", "attach", "a", "--as", "data", "--size", "1GiB", "--wait", "observed"]);
    });
    // The guest finds a disk some time after it was plugged in; until then dd would make a file of that name.
    world.eventually("the disk is there", || {
        world.exec("a", "test -b /dev/vdb && echo yes || true") == "yes\n"
    });
    // Enough that the copy takes a while.
    world.exec("a", "dd if=/dev/urandom of=/dev/vdb bs=1M count=300 conv=fsync 2>/dev/null");
    let sum = "dd if=/dev/vdb bs=1M count=301 2>/dev/null | md5sum";
    let before = world.exec("a", sum);

    // Called off in the middle: it goes on where it was, and the other host keeps nothing.
    world.ok(&["host", "drain", "h2", "--no-wait"]);
    world.eventually("the copy begins", || world.get("vm", "a")["status"]["released"].is_string());
    world.ok(&["host", "uncordon", "h2"]);
    world.answers("a");
    let back = world.get("vm", "a");
    if back["spec"]["host"] == "h2" {
        assert_eq!(world.exec("a", sum), before);
        world.eventually("nothing is left", || {
            files(&world, "host/arrivals").is_empty() && files(&world, "host/pool").is_empty()
        });
    }

    // Server and new host are killed while it comes; later the old host is.
    world.ok(&["host", "drain", "h2", "--no-wait"]);
    world.eventually("the copy begins", || {
        let pool = files(&world, "host/pool");
        pool.iter().any(|name| name.ends_with(".arriving")) || world.get("vm", "a")["spec"]["host"] == "h1"
    });
    world.kill_up();
    world.up();
    world.kill_agent(0);
    world.rejoin("h2");
    world.eventually("it has moved", || world.get("vm", "a")["spec"]["host"] == "h1");
    world.answers("a");
    assert_eq!(world.exec("a", sum), before, "the disk is not what it was");
    world.eventually("the old host has cleaned up", || files(&world, "h2/host/pool").is_empty());
    assert!(files(&world, "host/arrivals").is_empty());
}

#[test]
fn e2e_what_cannot_leave_says_why() {
    let world = two_hosts();
    world.ok(&[
        "vm", "create", "tied", "--image", "tiny", "--memory", "192MiB", "--host", "h2", "--wait", "stopped",
    ]);
    let told = world.refused(&["host", "drain", "h2"]);
    assert!(told.contains("the VM tied stays") && told.contains("the VM asks for h2"), "{told}");
    assert_eq!(world.get("vm", "tied")["spec"]["host"], "h2");
    assert!(world.refused(&["host", "remove", "h2"]).contains("still has 1 VMs"));
    world.ok(&["host", "uncordon", "h2"]);
    world.ok(&["vm", "delete", "tied", "--wait", "deleted"]);
    on_h2(&world, || {
        world.ok(&["vm", "create", "held", "--image", "tiny", "--memory", "192MiB", "--wait", "stopped"]);
    });
    world.ok(&["snapshot", "create", "held", "s"]);
    let told = world.refused(&["host", "drain", "h2"]);
    assert!(told.contains("snapshots do not travel"), "{told}");
}

/// A folder with every program that there is but one.
fn programs_without(world: &World, one: &str) -> std::path::PathBuf {
    let folder = world.path().join("bin");
    std::fs::create_dir(&folder).unwrap();
    for from in ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"] {
        for program in std::fs::read_dir(from).into_iter().flatten().flatten() {
            if program.file_name() != one {
                let _ = std::os::unix::fs::symlink(program.path(), folder.join(program.file_name()));
            }
        }
    }
    folder
}

#[test]
fn e2e_what_the_other_host_cannot_run_goes_on_where_it_was() {
    let mut world = two_hosts();
    on_h2(&world, || {
        let wanted =
            ["vm", "create", "a", "--image", "tiny", "--memory", "192MiB", "--tpm", "--wait", "stopped"];
        world.ok(&wanted);
    });
    let disk = files(&world, "h2/host/pool");
    assert!(!disk.is_empty());
    world.kill_up();
    let path = programs_without(&world, "swtpm");
    world.up_as(|up| {
        up.env("PATH", path);
    });
    world.kill_agent(0);
    world.rejoin("h2");
    let told = world.refused(&["host", "drain", "h2"]);
    assert!(told.contains("h1: the host has no swtpm"), "{told}");
    let vm = world.get("vm", "a");
    assert_eq!((&vm["spec"]["host"], &vm["spec"]["moving"]), (&"h2".into(), &serde_json::Value::Null));
    assert_eq!(files(&world, "h2/host/pool"), disk);
    world.eventually("nothing of it is left on the other", || {
        files(&world, "host/arrivals").is_empty() && files(&world, "host/pool").is_empty()
    });
    // And where there is a swtpm, a kernel that QEMU loads itself is refused along with a TPM.
    world.ok(&["host", "uncordon", "h2"]);
    let told = world.refused(&["vm", "start", "a", "--wait", "running"]);
    assert!(told.contains("without a TPM"), "{told}");
}
