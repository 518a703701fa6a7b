//! CD drives, boot order, limits and kinds of devices as objects: what fits together, and what stays while a VM runs.

use serde_json::{Value, json};

use crate::{
    fake_host::FakeHost,
    world::{GIB, World, network, vm},
};

async fn with_images() -> (World, FakeHost) {
    let world = World::new().await;
    let host = FakeHost::join(&world, "h1").await;
    for name in ["cd-setup", "cd-drivers", "debian", "kernel-tiny"] {
        let image =
            json!({ "meta": { "name": name }, "spec": { "source": { "build": { "recipe": "tiny" } } } });
        world.post("/v1/images?wait=ready&timeout_s=5", &image).await.expect(201);
    }
    (world, host)
}

fn with_cd(name: &str, image: &str) -> Value {
    let mut vm = vm(name);
    vm["spec"]["disks"] = json!([{ "name": "root", "size_bytes": GIB }]);
    vm["spec"]["cdroms"] = json!([{ "name": "cd0", "image": image }]);
    vm
}

async fn fault(world: &World, body: &Value) -> (String, String) {
    let problem = world.post("/v1/vms", body).await.problem(400, "invalid_object");
    let fault = problem.faults.first();
    let field = problem.field.clone().or_else(|| fault.map(|f| f.field.clone()));
    (field.unwrap(), fault.map_or(problem.detail.clone(), |f| f.message.clone()))
}

/// Waits until the VM's conditions say this.
async fn told(world: &World, vm: &str, words: &str) {
    let path = format!("/v1/vms/{vm}");
    for _ in 0..100 {
        if world.get(&path).await.json()["status"]["conditions"].to_string().contains(words) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("{words:?} is not said: {}", world.get(&path).await.json()["status"]);
}

#[tokio::test]
async fn only_a_cd_goes_into_a_drive_and_it_is_no_disk() {
    let (world, _host) = with_images().await;
    world.post("/v1/vms", &with_cd("web", "cd-setup")).await.expect(201);
    for (image, word) in [("debian", "is no CD"), ("none", "there is no image none")] {
        let (field, message) = fault(&world, &with_cd("other", image)).await;
        assert_eq!(field, "spec.cdroms[0].image");
        assert!(message.contains(word), "{message}");
    }
    let mut disk = vm("other");
    disk["spec"]["disks"] = json!([{ "name": "root", "image": "cd-setup" }]);
    assert!(fault(&world, &disk).await.1.contains("is a CD"));
    disk["spec"]["disks"] = json!([]);
    disk["spec"]["boot_image"] = json!("cd-setup");
    assert_eq!(fault(&world, &disk).await.0, "spec.boot_image");
    // What a drive holds stays, until it is taken out.
    let problem = world.delete("/v1/images/cd-setup").await.problem(409, "in_use");
    assert!(problem.detail.contains("VM web"), "{problem:?}");
    let other = json!({ "spec": { "cdroms": [{ "name": "cd0", "image": "cd-drivers" }] } });
    world.patch("/v1/vms/web", &other).await.expect(200);
    world.delete("/v1/images/cd-setup").await.expect(204);
    world.delete("/v1/images/cd-drivers").await.problem(409, "in_use");
}

#[tokio::test]
async fn media_change_while_a_vm_runs_and_hardware_does_not() {
    let (world, _host) = with_images().await;
    let mut body = with_cd("web", "cd-setup");
    body["spec"]["power"] = json!("on");
    body["spec"]["nics"] = json!([{ "name": "nic0", "network": "default" }]);
    world.post("/v1/vms?wait=running&timeout_s=5", &body).await.expect(201);
    let spec = |patch: Value| json!({ "spec": patch });
    for fine in [
        json!({ "cdroms": [{ "name": "cd0" }] }),
        json!({ "cdroms": [{ "name": "cd0", "image": "cd-drivers" }] }),
        json!({ "boot": ["cd0", "root"] }),
        json!({ "disks": [{ "name": "root", "disk": "web-root", "limits": { "iops": 100 } }] }),
    ] {
        world.patch("/v1/vms/web", &spec(fine)).await.expect(200);
    }
    for (fixed, field) in [
        (json!({ "cdroms": [], "boot": [] }), "spec.cdroms"),
        (json!({ "cdroms": [{ "name": "cd0" }, { "name": "cd1" }] }), "spec.cdroms"),
        (json!({ "boot": ["nic0"] }), "spec.boot"),
        (json!({ "tablet": true }), "spec.tablet"),
        (json!({ "disks": [{ "name": "root", "disk": "web-root", "bus": "sata" }] }), "spec.disks"),
        (json!({ "nics": [{ "name": "nic0", "network": "default", "model": "e1000e" }] }), "spec.nics[0]"),
    ] {
        let problem = world.patch("/v1/vms/web", &spec(fixed.clone())).await.problem(400, "invalid_object");
        assert_eq!(problem.field.as_deref(), Some(field), "{fixed}: {problem:?}");
    }
    // A snapshot with memory fits to the same devices only.
    let snapshot = json!({ "meta": { "name": "live" }, "spec": { "vm": "web", "memory": true } });
    let made = world.post("/v1/snapshots?wait=ready&timeout_s=5", &snapshot).await.expect(201).json();
    assert_eq!(made["spec"]["hardware"]["cdroms"], json!(["cd0"]));
    world.patch("/v1/vms/web?wait=stopped&timeout_s=5", &spec(json!({ "power": "off" }))).await.expect(200);
    world.patch("/v1/vms/web", &spec(json!({ "cdroms": [] }))).await.problem(400, "invalid_object");
    world.patch("/v1/vms/web", &spec(json!({ "boot": ["root"], "cdroms": [] }))).await.expect(200);
    let revert = json!({ "snapshot": "live" });
    let problem = world.post("/v1/vms/web/revert", &revert).await.problem(409, "hardware_differs");
    assert!(problem.detail.contains("CD drives"), "{problem:?}");
}

#[tokio::test]
async fn what_is_asked_for_can_be_had() {
    let (world, _host) = with_images().await;
    let mut body = vm("web");
    body["spec"]["disks"] = json!([{ "name": "root", "image": "kernel-tiny" }]);
    body["spec"]["boot"] = json!(["root"]);
    let (field, message) = fault(&world, &body).await;
    assert_eq!(field, "spec.boot");
    assert!(message.contains("kernel of the image kernel-tiny"), "{message}");
    let mut body = vm("web");
    body["spec"]["nics"] =
        json!([{ "name": "nic0", "network": "default", "limits": { "send_bytes_per_s": 1 << 20 } }]);
    let (field, message) = fault(&world, &body).await;
    assert_eq!(field, "spec.nics[0].limits");
    assert!(message.contains("kind user"), "{message}");
    world.post("/v1/networks", &network("lan", "10.40.0.0/24")).await.expect(201);
    body["spec"]["nics"][0]["network"] = json!("lan");
    world.post("/v1/vms", &body).await.expect(201);
}

#[tokio::test]
async fn a_vm_with_a_device_goes_where_that_is_and_stays() {
    let (world, _host) = with_images().await;
    let with = |name: &str, address: &str| {
        let mut body = vm(name);
        body["spec"]["pci"] = json!([{ "name": "card", "address": address }]);
        body
    };
    let (field, message) = fault(&world, &with("web", "01:00.0")).await;
    assert!(field == "spec.pci[0].address" && message.contains("no address"), "{message}");
    // No host has it: it waits for one, and says so.
    world.post("/v1/vms", &with("lonely", "0000:02:00.0")).await.expect(201);
    told(&world, "lonely", "h1: has no PCI device 0000:02:00.0").await;
    let mut body = with("web", "0000:01:00.0");
    body["spec"]["power"] = json!("on");
    world.post("/v1/vms?wait=running&timeout_s=5", &body).await.expect(201);
    let memory = json!({ "meta": { "name": "s" }, "spec": { "vm": "web", "memory": true } });
    let problem = world.post("/v1/snapshots", &memory).await.problem(400, "invalid_object");
    assert!(problem.detail.contains("0000:01:00.0"), "{problem:?}");
    let patch = |address: &str| json!({ "spec": { "pci": [{ "name": "card", "address": address }] } });
    let problem = world.patch("/v1/vms/web", &patch("0000:03:00.0")).await.problem(400, "invalid_object");
    assert!(problem.hint.unwrap().contains("tabane host devices h1"));
    let problem = world.patch("/v1/vms/web", &json!({ "spec": { "pci": [] } })).await;
    assert_eq!(problem.problem(400, "invalid_object").field.as_deref(), Some("spec.pci"));
    // Copies are made without it.
    let clones = json!({ "names": ["copy"] });
    let made = world.post("/v1/vms/web/clone", &clones).await.expect(201).json();
    assert_eq!(made["items"][0]["spec"].get("pci"), None, "{made}");
    FakeHost::join(&world, "h2").await;
    world.patch("/v1/hosts/h1", &json!({ "spec": { "drain": true } })).await.expect(200);
    told(&world, "web", "it has the PCI device 0000:01:00.0 of that host").await;
}
