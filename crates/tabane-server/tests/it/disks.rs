//! Disks come and go with their VM, unless somebody says otherwise.

use serde_json::json;
use tabane_model::{Disk, Vm};

use crate::{
    fake_host::FakeHost,
    world::{GIB, MIB, World, vm},
};

fn with_disks(name: &str, disks: serde_json::Value) -> serde_json::Value {
    let mut body = vm(name);
    body["spec"]["disks"] = disks;
    body
}

#[tokio::test]
async fn disks_are_made_and_deleted_with_the_vm() {
    let world = World::new().await;
    let _host = FakeHost::join(&world, "h1").await;
    let disks = json!([
        { "name": "root", "size_bytes": GIB },
        { "name": "data", "size_bytes": MIB, "keep": true },
    ]);
    let made = world.post("/v1/vms", &with_disks("web1", disks)).await.expect(201).json();
    assert_eq!(made["spec"]["disks"][0]["disk"], "web1-root");
    assert_eq!(made["spec"]["disks"][0]["size_bytes"], json!(null), "the disk itself knows its size");
    let root: Disk = world.until("web1-root", |d: &Disk| d.spec.host.is_some()).await;
    assert_eq!((root.spec.vm.unwrap().as_str(), root.spec.size_bytes), ("web1", Some(GIB)));
    assert_eq!(root.spec.pool.as_str(), "local");
    world.delete("/v1/disks/web1-root").await.problem(409, "in_use");
    world.delete("/v1/pools/local").await.problem(409, "in_use");
    world.delete("/v1/vms/web1?wait=deleted&timeout_s=5").await.expect(204);
    world.get("/v1/disks/web1-root?wait=deleted&timeout_s=5").await.expect(204);
    let kept: Disk = world.read("web1-data").await;
    assert_eq!((kept.spec.vm, kept.meta.deleted_at), (None, None));
    world.delete("/v1/disks/web1-data?wait=deleted&timeout_s=5").await.expect(204);
}

#[tokio::test]
async fn a_vm_that_cannot_be_made_leaves_no_disk_behind() {
    let world = World::new().await;
    let before = world.settled().await;
    let disks = json!([{ "name": "root", "size_bytes": GIB }, { "name": "more", "image": "none" }]);
    let problem = world.post("/v1/vms", &with_disks("web1", disks)).await.problem(400, "invalid_object");
    assert!(problem.field.as_deref().unwrap().ends_with("image"), "{problem:?}");
    let both = json!([{ "name": "root", "disk": "d1", "size_bytes": GIB }]);
    world.post("/v1/vms", &with_disks("web1", both)).await.problem(400, "invalid_object");
    let long = with_disks(&"x".repeat(63), json!([{ "name": "root", "size_bytes": GIB }]));
    let problem = world.post("/v1/vms", &long).await.problem(400, "invalid_object");
    assert_eq!(problem.field.as_deref(), Some("spec.disks[0].name"));
    assert_eq!(world.settled().await, before);
    assert_eq!(world.get("/v1/disks").await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_detached_disk_stays_and_can_be_attached_elsewhere() {
    let world = World::new().await;
    let disks = json!([{ "name": "data", "size_bytes": MIB }]);
    world.post("/v1/vms", &with_disks("web1", disks)).await.expect(201);
    let attach = json!([{ "name": "data", "disk": "web1-data" }]);
    let problem =
        world.post("/v1/vms", &with_disks("web2", attach.clone())).await.problem(400, "invalid_object");
    assert_eq!(problem.field.as_deref(), Some("spec.disks[0].disk"));
    assert_eq!(problem.hint.as_deref(), Some("detach it there first"));
    world.patch("/v1/vms/web1", &json!({ "spec": { "disks": [] } })).await.expect(200);
    let free: Disk = world.read("web1-data").await;
    assert_eq!((free.spec.vm, free.meta.generation), (None, 2));
    world.post("/v1/vms", &with_disks("web2", attach)).await.expect(201);
    let taken: Disk = world.read("web1-data").await;
    assert_eq!(taken.spec.vm.unwrap().as_str(), "web2");
    let twice = json!({ "spec": { "disks": [
        { "name": "a", "disk": "web1-data" }, { "name": "b", "disk": "web1-data" }
    ] } });
    let problem = world.patch("/v1/vms/web2", &twice).await.problem(400, "invalid_object");
    assert_eq!(problem.field.as_deref(), Some("spec.disks[1].disk"));
}

#[tokio::test]
async fn a_disk_grows_and_never_shrinks() {
    let world = World::new().await;
    let disk = json!({ "meta": { "name": "d1" }, "spec": { "pool": "local", "size_bytes": GIB } });
    world.post("/v1/disks", &disk).await.expect(201);
    let size = |bytes: u64| json!({ "spec": { "size_bytes": bytes } });
    world.patch("/v1/disks/d1", &size(2 * GIB)).await.expect(200);
    let before = world.settled().await;
    let problem = world.patch("/v1/disks/d1", &size(GIB)).await.problem(400, "invalid_object");
    assert_eq!(problem.field.as_deref(), Some("spec.size_bytes"));
    assert!(problem.hint.unwrap().contains("cannot shrink"));
    for patch in [json!({ "spec": { "pool": "other" } }), json!({ "spec": { "vm": "web1" } })] {
        let problem = world.patch("/v1/disks/d1", &patch).await.problem(400, "invalid_object");
        assert_eq!(problem.field.as_deref(), Some("spec"));
    }
    assert_eq!(world.settled().await, before);
}

#[tokio::test]
async fn disks_on_two_hosts_never_come_to_one_vm() {
    let world = World::new().await;
    let _hosts = [FakeHost::join(&world, "h1").await, FakeHost::join(&world, "h2").await];
    for host in ["h1", "h2"] {
        let mut body =
            with_disks(&format!("on-{host}"), json!([{ "name": "d", "size_bytes": MIB, "keep": true }]));
        body["spec"]["placement"] = json!({ "host": host });
        world.post("/v1/vms", &body).await.expect(201);
        world.until(&format!("on-{host}-d"), |d: &Disk| d.spec.host.is_some()).await;
        world.delete(&format!("/v1/vms/on-{host}?wait=deleted&timeout_s=5")).await.expect(204);
    }
    let both = json!([{ "name": "a", "disk": "on-h1-d" }, { "name": "b", "disk": "on-h2-d" }]);
    let problem = world.post("/v1/vms", &with_disks("both", both)).await.problem(400, "invalid_object");
    assert_eq!(problem.field.as_deref(), Some("spec.disks[1].disk"));
    let one = json!([{ "name": "b", "disk": "on-h2-d" }]);
    world.post("/v1/vms", &with_disks("one", one)).await.expect(201);
    let vm: Vm = world.until("one", |vm: &Vm| vm.spec.host.is_some()).await;
    assert_eq!(vm.spec.host.unwrap().as_str(), "h2", "a VM goes where its disk is");
}
