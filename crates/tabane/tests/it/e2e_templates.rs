//! A master image has nothing of the machine that it was made of. What guests see of it is tested with a Debian.

use std::{path::Path, process::Command};

use crate::world::{Texts, World};

fn tool(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", output.all_text());
    output.stdout_text()
}

/// A root file system as a machine leaves it that has lived for a while.
fn tree(root: &Path) {
    let file = |name: &str, text: &str| {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    file(
        "etc/passwd",
        "root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\nbobby:x:1001:1001::/home/bobby:/bin/sh\n",
    );
    file("etc/shadow", "root:*:1::::::\nbob:$6$x:1::::::\n");
    file("etc/group", "sudo:x:27:bob,bobby\nadm:x:4:bobby,bob\nweb:x:5:bob\nbob:x:1000:\n");
    file("etc/hosts", "127.0.0.1 localhost\n127.0.1.1 old.example.org old\n10.0.0.9 other\n");
    file("etc/hostname", "old\n");
    file("etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    file("etc/important", "stays\n");
    file("etc/ssh/ssh_host_rsa_key", "private\n");
    file("etc/ssh/sshd_config", "stays\n");
    file("lib/systemd/system/ssh.service", "[Service]\n");
    file("etc/udev/rules.d/70-persistent-net.rules", "mac\n");
    file(
        "etc/sysconfig/network-scripts/ifcfg-eth0",
        "DEVICE=eth0\nHWADDR=52:54:00:00:00:01\nUUID=1\nBOOTPROTO=dhcp\n",
    );
    file("etc/iscsi/initiatorname.iscsi", "iqn\n");
    file("var/lib/cloud/data/instance-id", "i\n");
    file("var/lib/dhcp/dhclient.eth0.leases", "lease\n");
    file("var/lib/systemd/random-seed", "seed\n");
    file("home/bob/notes", "secret\n");
    file("home/bobby/notes", "stays\n");
    file("root/.bash_history", "history\n");
    file("tmp/left", "x\n");
    file("data/log/syslog", "lines\n");
    file("data/log/syslog.1", "lines\n");
    std::fs::create_dir_all(root.join("run")).unwrap();
    // Links lead to where they do in the guest, and what they lead to is not taken for them.
    std::os::unix::fs::symlink("/data/log", root.join("var/log")).unwrap();
    std::os::unix::fs::symlink("/etc/important", root.join("etc/ssh/ssh_host_ed25519_key")).unwrap();
}

/// What `debugfs` prints of a file in a file system, or nothing.
fn cat(disk: &Path, file: &str) -> String {
    tool("debugfs", &["-R", &format!("cat {file}"), disk.to_str().unwrap()])
}

#[test]
fn e2e_every_step_takes_out_what_it_says_and_nothing_else() {
    let world = World::start();
    let root = world.path().join("tree");
    tree(&root);
    let raw = world.path().join("root.raw");
    let path = raw.to_str().unwrap();
    tool("mkfs.ext4", &["-q", "-d", root.to_str().unwrap(), path, "64M"]);
    world.ok(&["image", "import", "lived", path, "--format", "raw"]);
    world.ok(&["vm", "create", "old", "--image", "lived", "--cpus", "2", "--memory", "256MiB"]);

    let shown = world.ok(&["template", "create", "golden", "--vm", "old", "--dry-run", "--skip", "logs"]);
    assert!(shown.contains("ssh-host-keys"), "{shown}");
    for absent in ["logs", "users"] {
        assert!(!shown.lines().any(|line| line.starts_with(absent)), "{shown}");
    }
    world.refused(&["image", "get", "golden"]);

    let made = world.run(&[
        "template",
        "create",
        "golden",
        "--vm",
        "old",
        "--remove-user",
        "bob",
        "--remove-user",
        "eve",
    ]);
    assert!(made.status.success(), "{}\n{}", made.all_text(), world.log_tail());
    let golden = world.get("image", "golden");
    let done = |step: &str| {
        let all = golden["status"]["generalised"].as_array().unwrap();
        all.iter().find(|done| done["step"] == step).unwrap()["result"].as_str().unwrap().to_owned()
    };
    assert_eq!(done("machine-id"), "emptied");
    assert_eq!(done("ssh-host-keys"), "2 removed ; ssh makes new ones at its start");
    assert_eq!(done("users"), "1 removed ; not there: eve");
    assert_eq!(done("logs"), "1 removed, 1 emptied");
    assert_eq!((&golden["spec"]["defaults"]["cpus"], done("history").as_str()), (&2.into(), "1 removed"));
    world.eventually("its snapshot is gone", || world.ok(&["snapshot", "list", "-o", "json"]).trim() == "[]");

    let disk = world.path().join("golden.raw");
    let stored = world.path().join("host/images").join(golden["status"]["digest"].as_str().unwrap());
    let stored = stored.join("disk.qcow2");
    tool("qemu-img", &["convert", "-O", "raw", stored.to_str().unwrap(), disk.to_str().unwrap()]);
    for gone in [
        "/etc/ssh/ssh_host_rsa_key",
        "/etc/ssh/ssh_host_ed25519_key",
        "/etc/udev/rules.d/70-persistent-net.rules",
        "/etc/iscsi/initiatorname.iscsi",
        "/var/lib/cloud/data",
        "/var/lib/dhcp/dhclient.eth0.leases",
        "/var/lib/systemd/random-seed",
        "/home/bob",
        "/root/.bash_history",
        "/tmp/left",
        "/data/log/syslog.1",
    ] {
        let told = Command::new("debugfs").args(["-R", &format!("stat {gone}")]).arg(&disk).output().unwrap();
        assert!(told.all_text().contains("File not found"), "{gone} is there: {}", told.all_text());
    }
    for (file, content) in [
        ("/etc/machine-id", ""),
        ("/data/log/syslog", ""),
        ("/etc/important", "stays\n"),
        ("/etc/ssh/sshd_config", "stays\n"),
        ("/home/bobby/notes", "stays\n"),
        ("/etc/hostname", "localhost\n"),
        ("/etc/hosts", "127.0.0.1 localhost\n10.0.0.9 other\n"),
        ("/etc/passwd", "root:x:0:0::/root:/bin/sh\nbobby:x:1001:1001::/home/bobby:/bin/sh\n"),
        ("/etc/shadow", "root:*:1::::::\n"),
        ("/etc/group", "sudo:x:27:bobby\nadm:x:4:bobby\nweb:x:5:\n"),
        ("/etc/sysconfig/network-scripts/ifcfg-eth0", "DEVICE=eth0\nBOOTPROTO=dhcp\n"),
    ] {
        assert_eq!(cat(&disk, file), content, "{file}");
    }
    let checked = Command::new("e2fsck").args(["-fn"]).arg(&disk).output().unwrap();
    assert!(checked.status.success(), "{}", checked.all_text());
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 8, "the host's own files are where they were");

    // Many from one, alike in size, by the template or by a flavor.
    world.ok(&["vm", "create", "web", "--template", "golden", "--count", "3", "--hostname", "n{n}"]);
    world.ok(&["vm", "create", "big", "--template", "golden", "--flavor", "large", "--memory", "1GiB"]);
    let (web, big) = (world.get("vm", "web-3"), world.get("vm", "big"));
    assert_eq!((web["spec"]["cpus"].as_u64(), big["spec"]["cpus"].as_u64()), (Some(2), Some(4)));
    assert_eq!(web["spec"]["init"]["hostname"], "n3");
    assert_eq!(big["spec"]["memory_bytes"], 1u64 << 30);
    assert_eq!(big["meta"]["labels"]["flavor"], "large");
}

#[test]
fn e2e_what_has_no_linux_inside_is_refused_and_can_be_taken_as_it_is() {
    let world = World::with_tiny();
    world.ok(&["vm", "create", "blank", "--image", "tiny", "--memory", "192MiB"]);
    let told = world.refused(&["template", "create", "golden", "--vm", "blank"]);
    assert!(told.contains("no root file system was found") && told.contains("--no-generalise"), "{told}");
    // What failed does not stand in the way.
    let told = world.run(&["template", "create", "golden", "--vm", "blank", "--no-generalise"]).all_text();
    assert!(told.contains("ready"), "{told}");
    world.eventually("the snapshots are gone", || {
        world.ok(&["snapshot", "list", "-o", "json"]).trim() == "[]"
    });
    let told = world.refused(&["template", "create", "x", "--vm", "blank", "--remove-user", "a;b"]);
    assert!(told.contains("no name of a user"), "{told}");
    world.eventually("a refusal leaves no snapshot", || {
        world.ok(&["snapshot", "list", "-o", "json"]).trim() == "[]"
    });
    assert!(world.ok(&["template", "list"]).contains("golden"));
}
