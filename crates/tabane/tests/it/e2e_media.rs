//! CDs: installing from one, changing them in a guest that runs, and what is booted from first.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    medium::{boot_sector, linux_cd, run, small_cd},
    world::{GUEST_TIMEOUT_S, World},
};

fn import(world: &World, name: &str, file: &Path) -> Value {
    world.ok(&["image", "import", name, file.to_str().unwrap()]);
    world.get("image", name)
}

/// What the VM has said on its serial port since its last start.
fn serial(world: &World, vm: &str) -> String {
    let uid = world.get("vm", vm)["meta"]["uid"].as_str().unwrap().replace('-', "");
    let log = world.path().join("host/vms").join(uid).join("serial.log");
    String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned()
}

/// The word that was said last by something that was booted.
fn booted(world: &World, vm: &str) -> Option<String> {
    let text = serial(world, vm);
    let at = text.rfind("BOOTED ")?;
    text[at..].lines().next().map(|line| line.trim_start_matches("BOOTED ").trim().to_owned())
}

fn boots(world: &World, vm: &str, times: usize, word: &str) {
    world.eventually(&format!("{vm} boots {word}"), || {
        serial(world, vm).matches("BOOTED ").count() >= times && booted(world, vm).as_deref() == Some(word)
    });
}

fn command_line(world: &World, vm: &str) -> String {
    let line = std::fs::read(format!("/proc/{}/cmdline", world.vm_pid(vm))).unwrap();
    String::from_utf8_lossy(&line).replace('\0', " ")
}

fn drive(world: &World, vm: &str) -> Value {
    world.get("vm", vm)["status"]["cdroms"][0].clone()
}

fn wait_stopped(world: &World, vm: &str) {
    world.ok(&["vm", "force-off", vm, "--wait", "stopped", "--timeout", "60"]);
}

#[test]
fn e2e_the_boot_order_decides() {
    let world = World::start();
    for name in ["alpha", "beta"] {
        let image = import(&world, name, &small_cd(&world, name, true));
        assert_eq!(image["status"]["cdrom"], true, "{image}");
        assert_eq!(image["status"]["disk"], false);
    }
    // The same bytes, as a disk: it boots, too.
    let mut disk = boot_sector("disk");
    disk.resize(1 << 20, 0);
    std::fs::write(world.path().join("disk.raw"), disk).unwrap();
    let image = import(&world, "bootable", &world.path().join("disk.raw"));
    assert_eq!(image["status"].get("cdrom"), None, "{image}");
    let table = world.ok(&["image", "list"]);
    let kind = |name: &str, kind: &str| {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(2) == Some(kind)
    };
    assert!(kind("alpha", "cd") && kind("bootable", "disk"), "{table}");

    // A disk with nothing on it is passed over.
    let create = ["vm", "create", "blank", "--disk", "1GiB", "--memory", "128MiB"];
    world.ok(&[&create[..], &["--cdrom", "alpha", "--cdrom", "beta", "--start"]].concat());
    boots(&world, "blank", 1, "alpha");
    let status = world.get("vm", "blank")["status"]["cdroms"].clone();
    assert_eq!(status, json!([{ "name": "cd0", "image": "alpha" }, { "name": "cd1", "image": "beta" }]));
    // One that crashes has its CDs again, whatever was made ready while it ran.
    world.ok(&["vm", "attach", "blank", "--as", "data", "--size", "32MiB", "--wait", "observed"]);
    run("kill", &["-9", &world.vm_pid("blank").to_string()]);
    boots(&world, "blank", 2, "alpha");
    wait_stopped(&world, "blank");
    world.ok(&["vm", "set", "blank", "--boot", "cd1,cd0"]);
    world.ok(&["vm", "start", "blank"]);
    boots(&world, "blank", 3, "beta");
    // The network answers with nothing to boot; then it is the next one's turn. A nic that boots has a ROM.
    wait_stopped(&world, "blank");
    world.ok(&["vm", "set", "blank", "--boot", "nic0,cd0"]);
    world.ok(&["vm", "start", "blank"]);
    boots(&world, "blank", 4, "alpha");
    assert!(!command_line(&world, "blank").contains("romfile"), "the nic has its ROM");
    let refused = world.refused(&["vm", "set", "blank", "--boot", "cd0"]);
    assert!(refused.contains("boot ROM") && refused.contains("tabane vm shutdown blank"), "{refused}");

    // Disks come first, unless stated.
    let create = ["vm", "create", "full", "--image", "bootable", "--memory", "128MiB", "--cdrom", "alpha"];
    world.ok(&[&create[..], &["--start"]].concat());
    boots(&world, "full", 1, "disk");
    wait_stopped(&world, "full");
    world.ok(&["vm", "set", "full", "--boot", "cd0,root"]);
    world.ok(&["vm", "start", "full"]);
    boots(&world, "full", 2, "alpha");
    // Out with it: the order goes on to the disk.
    world.ok(&["vm", "cd", "eject", "full"]);
    world.eventually("the drive is empty", || drive(&world, "full") == json!({ "name": "cd0" }));
    world.ok(&["vm", "reset", "full"]);
    boots(&world, "full", 3, "disk");
    // The same on SATA, for a guest without virtio drivers.
    let old = ["vm", "create", "old", "--image", "bootable", "--memory", "128MiB", "--disk-bus", "sata"];
    world.ok(&[&old[..], &["--nic-model", "e1000e", "--start"]].concat());
    boots(&world, "old", 1, "disk");
    let line = command_line(&world, "old");
    assert!(line.contains("ide-hd") && line.contains("e1000e") && !line.contains("virtio-blk"), "{line}");
    let refused = world.refused(&["vm", "detach", "old", "root"]);
    assert!(refused.contains("SATA"), "{refused}");

    // What is in a drive stays; what is no CD does not go into one; and a CD is no disk.
    let refused = world.refused(&["image", "delete", "alpha"]);
    assert!(
        refused.contains("CD drive of the VM blank") && refused.contains("vm cd eject blank"),
        "{refused}"
    );
    let refused = world.refused(&["vm", "cd", "insert", "full", "bootable"]);
    assert!(refused.contains("no CD"), "{refused}");
    let refused = world.refused(&["vm", "create", "x", "--image", "alpha"]);
    assert!(refused.contains("is a CD") && refused.contains("--cdrom alpha"), "{refused}");
}

#[test]
fn e2e_a_guest_is_installed_from_an_iso_and_its_cd_changed() {
    let mut world = World::with_tiny();
    // What the installer puts onto the disk says that it runs.
    let setup = linux_cd(&world, &[("system", &boot_sector("installed"))]);
    import(&world, "setup", &setup);
    import(&world, "drivers", &small_cd(&world, "drivers", false));
    let create =
        ["vm", "create", "guest", "--disk", "1GiB", "--memory", "512MiB", "--cdrom", "setup", "--start"];
    world.ok(&[&create[..], &["--wait", "agent", "--timeout", GUEST_TIMEOUT_S]].concat());
    assert!(world.exec("guest", "cat /proc/cmdline").contains("medium=setup"), "it runs from the CD");
    let script = "mkdir -p /cd && mount -t iso9660 -o ro /dev/sr0 /cd && cat /cd/name";
    assert_eq!(world.exec("guest", script), "setup\n");
    // A tablet, since somebody looks at the display of an installer.
    assert!(command_line(&world, "guest").contains("usb-tablet"));
    world.exec("guest", "dd if=/cd/system of=/dev/vda bs=512 conv=fsync 2>/dev/null");

    // The guest holds the CD, is asked, does not react, and loses it.
    world.ok(&["vm", "cd", "insert", "guest", "drivers", "--wait", "observed", "--timeout", "60"]);
    assert_eq!(drive(&world, "guest"), json!({ "name": "cd0", "image": "drivers" }));
    world.exec("guest", "umount -l /cd");
    world.eventually("the guest sees the other CD", || {
        let script = "mount -t iso9660 -o ro /dev/sr0 /cd 2>/dev/null && cat /cd/name; umount /cd; true";
        world.exec("guest", script) == "drivers\n"
    });
    let pid = world.vm_pid("guest");

    // The agent dies; what is asked for meanwhile is done by the one that comes after it, which adopts the guest.
    world.kill_up();
    world.up();
    world.ok(&["vm", "cd", "eject", "guest", "--wait", "observed", "--timeout", "60"]);
    assert_eq!((world.vm_pid("guest"), drive(&world, "guest")), (pid, json!({ "name": "cd0" })));
    let empty = "mount -t iso9660 -o ro /dev/sr0 /cd 2>/dev/null && echo there || echo empty";
    world.eventually("the guest sees that it is gone", || world.exec("guest", empty) == "empty\n");
    world.ok(&["image", "delete", "drivers", "--wait", "deleted"]);

    // An image that is made anew under the name of the old one is another CD.
    import(&world, "drivers", &small_cd(&world, "newer", false));
    world.ok(&["vm", "cd", "insert", "guest", "drivers", "--wait", "observed", "--timeout", "60"]);
    world.eventually("the guest sees the newer CD", || {
        world.exec(
            "guest",
            "mount -t iso9660 -o ro /dev/sr0 /cd 2>/dev/null && cat /cd/name; umount /cd; true",
        ) == "newer\n"
    });
    world.ok(&["vm", "cd", "eject", "guest", "--wait", "observed", "--timeout", "60"]);
    let refused = world.refused(&["vm", "cd", "add", "guest"]);
    assert!(
        refused.contains("while the VM runs") && refused.contains("tabane vm shutdown guest"),
        "{refused}"
    );
    world.ok(&["vm", "reset", "guest"]);
    boots(&world, "guest", 1, "installed");
}

#[test]
fn e2e_a_saved_memory_finds_its_cd() {
    let world = World::with_tiny();
    import(&world, "setup", &linux_cd(&world, &[]));
    import(&world, "other", &small_cd(&world, "other", false));
    let create =
        ["vm", "create", "guest", "--disk", "64MiB", "--memory", "512MiB", "--cdrom", "setup", "--start"];
    world.ok(&[&create[..], &["--wait", "agent", "--timeout", GUEST_TIMEOUT_S]].concat());
    world.exec("guest", "mkdir -p /cd && mount -t iso9660 -o ro /dev/sr0 /cd; echo here > /run/word");
    world.ok(&["snapshot", "create", "guest", "live", "--memory"]);
    world.ok(&["vm", "cd", "insert", "guest", "other", "--wait", "observed", "--timeout", "60"]);
    world.exec("guest", "umount -l /cd; echo gone > /run/word");
    // Back with the CD in that the memory knows; then the one that is wanted now is put in.
    world.ok(&["snapshot", "revert", "live", "--yes", "--wait", "agent", "--timeout", "120"]);
    assert_eq!(world.exec("guest", "cat /run/word"), "here\n");
    world.eventually("what is wanted is in", || {
        drive(&world, "guest") == json!({ "name": "cd0", "image": "other" })
    });
    world.ok(&["vm", "shutdown", "guest", "--wait", "stopped", "--timeout", "120"]);
    world.ok(&["vm", "cd", "add", "guest"]);
    let refused = world.refused(&["snapshot", "revert", "live", "--yes"]);
    assert!(refused.contains("CD drives"), "{refused}");
}
