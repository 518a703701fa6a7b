//! Devices of this machine: told, and refused with a reason where they cannot be handed through.

use serde_json::Value;

use crate::world::World;

#[test]
fn e2e_a_device_that_cannot_be_handed_through_says_why() {
    let world = World::with_tiny();
    let told: Value = serde_json::from_str(&world.ok(&["host", "devices", "h1", "-o", "json"])).unwrap();
    let devices = told.as_array().unwrap();
    let there = std::fs::read_dir("/sys/bus/pci/devices").map_or(0, |entries| entries.count());
    assert_eq!(devices.len(), there.min(512), "{told}");
    let Some(device) = devices.iter().find(|device| device["driver"] != "vfio-pci") else {
        eprintln!("this machine has no PCI device that is not free: nothing more is tested");
        return;
    };
    let address = device["address"].as_str().unwrap();
    let table = world.ok(&["host", "devices", "h1"]);
    assert!(table.contains("GROUP") && table.contains(address), "{table}");
    let create =
        ["vm", "create", "web", "--image", "tiny", "--memory", "192MiB", "--start", "--pci", address];
    world.ok(&create);
    let expected = if device["iommu_group"].is_null() { "no IOMMU" } else { "bind it to vfio-pci" };
    world.eventually("the VM says why it does not start", || {
        world.get("vm", "web")["status"]["conditions"].to_string().contains(expected)
    });
    let status = world.get("vm", "web")["status"].clone();
    assert_eq!(status["phase"], "failed", "{status}");
    if expected == "no IOMMU" {
        assert!(status["conditions"].to_string().contains("_iommu=on iommu=pt"), "{status}");
    }
    // Without it, it starts.
    let mut vm = world.get("vm", "web");
    vm["spec"]["pci"] = Value::Array(Vec::new());
    vm["kind"] = "vm".into();
    vm.as_object_mut().unwrap().remove("status");
    let file = world.path().join("vm.json");
    std::fs::write(&file, vm.to_string()).unwrap();
    world.ok(&["apply", "-f", file.to_str().unwrap()]);
    world.ok(&["vm", "start", "web", "--wait", "agent", "--timeout", "240"]);
    // A place elsewhere is not found for a device that no host has.
    world.ok(&["vm", "create", "other", "--memory", "128MiB", "--pci", "ffff:ff:1f.7"]);
    world.eventually("the VM says that no host has it", || {
        world.get("vm", "other")["status"]["conditions"]
            .to_string()
            .contains("has no PCI device ffff:ff:1f.7")
    });
}
