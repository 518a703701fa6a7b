//! A master image is made of a machine that goes on running, and what is made from it is not that machine.

use std::collections::BTreeSet;

use crate::world::{Texts, World};

/// A Debian that has lived: with a user, a history, logs.
fn lived() -> World {
    let world = World::start();
    world.ok(&["image", "build", "debian-12"]);
    world.ok(&["vm", "create", "deb", "--image", "debian-12", "--memory", "1GiB", "--start", "--wait", "agent", "--timeout", "400"]);
    world.exec("deb", "cloud-init status --wait >/dev/null; true");
    world.exec(
        "deb",
        "useradd -m bob && echo secret > /home/bob/notes && echo ls > /root/.bash_history && \
         echo 10.0.0.1 > /var/lib/dhcp/dhclient.lease && logger hello && echo kept > /root/kept && \
         ln -s /root/kept /tmp/link && sync",
    );
    world
}

#[test]
fn e2e_a_template_of_a_running_vm_has_nothing_of_its_own() {
    let world = lived();
    let shown = world.ok(&["template", "create", "golden", "--vm", "deb", "--dry-run", "--skip", "trim"]);
    assert!(shown.contains("ssh-host-keys") && !shown.contains("trim") && !shown.contains("users"), "{shown}");
    world.refused(&["image", "get", "golden"]);

    let made = world.run(&["template", "create", "golden", "--vm", "deb", "--remove-user", "bob"]).all_text();
    for expected in ["machine-id", "emptied", "MiB given back", "golden"] {
        assert!(made.contains(expected), "{expected} is not in:\n{made}");
    }
    assert!(!world.ok(&["snapshot", "list", "-o", "json"]).contains("template"), "its snapshot is gone");
    let golden = world.get("image", "golden");
    let steps: Vec<&str> = golden["status"]["generalised"]
        .as_array()
        .unwrap()
        .iter()
        .map(|done| done["step"].as_str().unwrap())
        .collect();
    assert_eq!(steps.len(), 13, "{steps:?}");
    assert_eq!(golden["spec"]["defaults"]["memory_bytes"], 1 << 30);
    // The machine that it was made of is as it was.
    assert_eq!(world.exec("deb", "cat /home/bob/notes"), "secret\n");
    let identity = "cat /etc/machine-id; cat /etc/ssh/ssh_host_ed25519_key.pub";
    let original = world.exec("deb", identity);
    world.ok(&["vm", "force-off", "deb"]);

    world.ok(&[
        "vm", "create", "web", "--template", "golden", "--count", "2", "--hostname", "node{n}.example.org",
        "--start", "--wait", "agent", "--timeout", "500",
    ]);
    let mut seen: BTreeSet<String> = original.lines().map(String::from).collect();
    assert_eq!(seen.len(), 2);
    for number in 1..=2 {
        let vm = format!("web-{number}");
        world.exec(&vm, "cloud-init status --wait >/dev/null; true");
        for line in world.exec(&vm, identity).lines() {
            assert!(seen.insert(line.to_owned()), "{vm} has {line:?} of another");
        }
        assert_eq!(world.exec(&vm, "hostname -f").trim(), format!("node{number}.example.org"));
        assert_eq!(world.exec(&vm, "cat /root/kept"), "kept\n");
        let left = world.exec(
            &vm,
            "ls /home/bob /root/.bash_history /var/lib/dhcp/dhclient.lease /tmp/link 2>/dev/null; \
             getent passwd bob; grep -rl hello /var/log 2>/dev/null; true",
        );
        assert_eq!(left, "", "something of the first machine is left");
        assert_eq!(world.get("vm", &vm)["spec"]["memory_bytes"], 1 << 30);
    }
}

#[test]
fn e2e_what_has_no_linux_inside_is_refused_and_leaves_nothing() {
    let world = World::with_tiny();
    world.ok(&["vm", "create", "blank", "--image", "tiny", "--memory", "192MiB"]);
    let told = world.refused(&["template", "create", "golden", "--vm", "blank"]);
    assert!(told.contains("no root file system was found") && told.contains("--no-generalise"), "{told}");
    // As it is, everything can be a template.
    world.ok(&["image", "delete", "golden"]);
    let told = world.run(&["template", "create", "golden", "--vm", "blank", "--no-generalise"]).all_text();
    assert!(told.contains("ready"), "{told}");
    world.eventually("the snapshots are gone", || world.ok(&["snapshot", "list", "-o", "json"]).trim() == "[]");
    let told = world.refused(&["template", "create", "x", "--vm", "blank", "--remove-user", "a;b"]);
    assert!(told.contains("no name of a user"), "{told}");
    world.ok(&["vm", "create", "copy", "--template", "golden", "--count", "3"]);
    assert_eq!(world.ok(&["vm", "list", "-o", "json"]).matches("\"copy-").count() / 3, 1 + 1);
}
