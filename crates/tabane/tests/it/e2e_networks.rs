//! Networks with real guests: addresses that are ours, names, and nothing left behind.

use std::process::Command;

use crate::world::World;

fn bridges() -> usize {
    let output = Command::new("ip").args(["-o", "link", "show", "type", "bridge"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().count()
}

#[test]
fn e2e_guests_of_a_nat_network_reach_each_other_by_name() {
    let world = World::with_tiny();
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !root {
        eprintln!("not root: bridges cannot be made, so nothing is tested");
        return;
    }
    let before = bridges();
    world.ok(&["network", "create", "lan", "--cidr", "10.231.5.0/24"]);
    world.ok(&["network", "create", "other", "--cidr", "10.231.6.0/24"]);
    world.tiny_vm("a", &["--network", "lan"]);
    world.tiny_vm("b", &["--network", "lan"]);
    world.tiny_vm("c", &["--network", "other"]);
    let address = |vm: &str| world.get("vm", vm)["spec"]["nics"][0]["address"].as_str().unwrap().to_owned();

    // Each guest got by DHCP the address that was allocated for it.
    for vm in ["a", "b", "c"] {
        let expected = format!("inet {}/24", address(vm));
        world.eventually("the guest has its address", || world.exec(vm, "ip addr").contains(&expected));
    }
    world.exec("a", "ping -c 3 -w 20 b");
    // Networks are apart from each other, and the host's own services from guests.
    let script = format!("ping -c 2 -w 6 {} > /dev/null && echo reached || echo apart", address("c"));
    assert_eq!(world.exec("a", &script), "apart\n");

    // A guest that takes another address is not heard.
    let script = "ip addr add 10.231.5.250/24 dev eth0; \
                  ping -c 2 -w 6 -I 10.231.5.250 10.231.5.1 > /dev/null && echo heard || echo silent";
    assert_eq!(world.exec("a", script), "silent\n");

    // The same address and MAC after a restart.
    let (mac, kept) = (world.get("vm", "b")["spec"]["nics"][0]["mac"].clone(), address("b"));
    world.ok(&["vm", "force-off", "b", "--wait", "stopped"]);
    world.ok(&["vm", "start", "b", "--wait", "agent", "--timeout", "240"]);
    assert_eq!(world.get("vm", "b")["spec"]["nics"][0]["mac"], mac);
    world.eventually("it has its address again", || {
        world.exec("b", "ip addr").contains(&format!("inet {kept}/24"))
    });

    assert!(world.refused(&["network", "delete", "lan"]).contains("has a nic"));
    world.ok(&["vm", "delete", "a", "b", "c", "--wait", "deleted"]);
    world.ok(&["network", "delete", "lan", "other"]);
    world.eventually("the bridges are gone", || bridges() == before);
}
