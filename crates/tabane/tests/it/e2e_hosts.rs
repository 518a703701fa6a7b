//! Several hosts: a second agent on the same machine, by the same interface as on another.

use crate::world::World;

#[test]
fn e2e_a_second_agent_joins_takes_vms_and_is_removed() {
    let mut world = World::with_tiny();
    let token = world.ok(&["token", "create", "joiner", "--role", "join"]).trim().to_owned();
    world.join("h2", &token);

    // A join token joins, and nothing else.
    let denied = world.command(&["vm", "list", "--url", &world.url(), "--token", &token]).output().unwrap();
    assert!(!denied.status.success());

    // The image is copied from the first host; the guest runs on the second.
    world.tiny_vm("b", &["--host", "h2"]);
    assert_eq!(world.get("vm", "b")["spec"]["host"], "h2");
    assert_eq!(world.exec("b", "hostname"), "b\n");
    assert_eq!(std::fs::read_dir(world.path().join("h2/host/pool")).unwrap().count(), 2);

    // Drained: no new VMs, and not removed while it has some.
    world.ok(&["host", "drain", "h2", "--no-wait"]);
    let refused = world.refused(&["vm", "create", "c", "--host", "h2", "--wait", "ready", "--timeout", "3"]);
    assert!(refused.contains("waited"), "{refused}");
    assert!(world.ok(&["vm", "get", "c"]).contains("takes no VMs now"));
    assert!(world.refused(&["host", "remove", "h2"]).contains("still has 1 VMs"));
    world.ok(&["vm", "delete", "c", "--wait", "deleted"]);
    world.ok(&["vm", "delete", "b", "--wait", "deleted"]);
    world.eventually("the host can go", || world.run(&["host", "remove", "h2"]).status.success());
    assert!(!world.ok(&["host", "list"]).contains("h2"));

    // An agent that is running already has its folder to itself.
    let taken = world.run(&["up", "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert!(!taken.status.success() && said.contains("TABANE_DATA_DIR"), "{said}");
}
