//! A host that went down with its VMs: another boot of the kernel, as its files tell.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::world::World;

fn state(world: &World, vm: &str) -> PathBuf {
    let uid = world.get("vm", vm)["meta"]["uid"].as_str().unwrap().replace('-', "");
    world.path().join(format!("host/vms/{uid}.json"))
}

/// What is on disk after a power cut: no process, and the boot that it was of is over.
fn lose(file: &PathBuf, pid: u64, still_held_by: Option<u32>) {
    let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
    let mut state: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let process = &mut state["process"];
    assert_eq!(process["process"]["pid"], pid);
    process["boot"] = json!("00000000-0000-4000-8000-000000000001");
    if let Some(other) = still_held_by {
        process["process"]["pid"] = json!(other);
    }
    std::fs::write(file, state.to_string()).unwrap();
}

#[test]
fn e2e_after_a_reboot_of_the_host_vms_are_as_they_are_wanted() {
    let mut world = World::with_tiny();
    world.tiny_vm("on", &[]);
    world.tiny_vm("off", &[]);
    world.tiny_vm("held", &[]);
    // Not even one that is held after crashes stays down: it is not the guest that failed.
    world.ok(&["vm", "set", "held", "--on-crash", "hold", "--wait", "observed"]);
    world.exec("on", "echo kept > /mnt/file; sync");
    let vms = ["on", "off", "held"].map(|vm| (vm, state(&world, vm), world.vm_pid(vm)));
    // It is shutting down, and takes long, when the power goes.
    world.exec("off", "rm /bin/poweroff /bin/shutdown; killall acpid");
    world.ok(&["vm", "shutdown", "off"]);
    world.eventually("it was asked to shut down", || {
        std::fs::read_to_string(&vms[1].1).unwrap().contains("\"ending\":\"asked\"")
            || serde_json::from_slice::<Value>(&std::fs::read(&vms[1].1).unwrap()).unwrap()["process"]["ending"]
                == "asked"
    });
    world.kill_up();
    // Process numbers begin anew with each boot: another process may have the one that is written down.
    for (vm, file, pid) in &vms {
        lose(file, *pid, (*vm == "on").then(std::process::id));
    }
    world.up();

    for (vm, _, pid) in vms.iter().filter(|(vm, ..)| *vm != "off") {
        // Until the host has looked, the server knows only what was before.
        world.eventually("it runs anew", || {
            let pid_now = world.get("vm", vm)["status"]["pid"].as_u64();
            pid_now.is_some_and(|now| now != *pid)
        });
        world.ok(&["vm", "start", vm, "--wait", "agent", "--timeout", "240"]);
        let after = world.get("vm", vm);
        assert_eq!((&after["status"]["phase"], &after["status"]["restarts"]), (&json!("running"), &json!(0)));
    }
    assert_eq!(world.exec("on", "cat /mnt/file"), "kept\n");
    world.eventually("one that was to be off is off", || {
        world.get("vm", "off")["status"]["phase"] == "stopped"
    });
    std::thread::sleep(std::time::Duration::from_secs(3));
    let off = world.get("vm", "off");
    assert_eq!((&off["status"]["phase"], &off["status"]["pid"]), (&json!("stopped"), &json!(null)));
    for (vm, _, _) in &vms {
        let events = world.ok(&["event", "list", "--about", &format!("vm/{vm}")]);
        assert_eq!(events.matches("the host went down").count(), 1, "{vm}: {events}");
        assert!(!events.contains("crashed"), "{events}");
    }
    let events: Value = serde_json::from_str(&world.ok(&["event", "list", "-o", "json"])).unwrap();
    let lost =
        events.as_array().unwrap().iter().filter(|event| event["spec"]["reason"] == "host_lost").count();
    assert_eq!(lost, 3);
    // A process that only has the number was left alone: it is this one.
}
