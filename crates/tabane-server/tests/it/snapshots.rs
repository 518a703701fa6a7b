//! Snapshots as objects: who may have one, what can be changed, and what keeps them.

use serde_json::{Value, json};
use tabane_model::{Disk, DiskPhase, SNAPSHOTS_MAX, Snapshot, SnapshotPhase, Vm};

use crate::{
    fake_host::FakeHost,
    world::{GIB, MIB, World, vm},
};

fn snapshot(name: &str, more: Value) -> Value {
    let mut body = json!({ "meta": { "name": name }, "spec": { "vm": "web1" } });
    for (key, value) in more.as_object().unwrap() {
        body["spec"][key] = value.clone();
    }
    body
}

async fn with_vm() -> (World, FakeHost) {
    let world = World::new().await;
    let host = FakeHost::join(&world, "h1").await;
    let mut body = vm("web1");
    body["spec"]["disks"] =
        json!([{ "name": "root", "size_bytes": GIB }, { "name": "data", "size_bytes": MIB }]);
    world.post("/v1/vms?wait=ready&timeout_s=5", &body).await.expect(201);
    (world, host)
}

#[tokio::test]
async fn a_snapshot_knows_the_hardware_and_goes_with_its_vm() {
    let (world, _host) = with_vm().await;
    let made = world
        .post("/v1/snapshots?wait=ready&timeout_s=5", &snapshot("s1", json!({ "note": "n" })))
        .await
        .expect(201)
        .json();
    assert_eq!(made["spec"]["host"], "h1");
    assert_eq!(made["spec"]["hardware"]["disks"][1], json!({ "name": "data", "disk": "web1-data" }));
    assert_eq!(world.get("/v1/snapshots?fields=vm=web1").await.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(world.get("/v1/snapshots?fields=vm=web2").await.json()["items"], json!([]));
    // Note and expiry, and nothing else.
    world.patch("/v1/snapshots/s1", &json!({ "spec": { "note": "later" } })).await.expect(200);
    world
        .patch("/v1/snapshots/s1", &json!({ "spec": { "vm": "web2" } }))
        .await
        .problem(400, "invalid_object");
    world
        .patch("/v1/snapshots/s1", &json!({ "spec": { "memory": true } }))
        .await
        .problem(400, "invalid_object");
    // Its disks stay where they are.
    let without = json!({ "spec": { "disks": [{ "name": "root", "disk": "web1-root" }] } });
    let problem = world.patch("/v1/vms/web1", &without).await.problem(409, "in_use");
    assert!(problem.detail.contains("s1"), "{problem:?}");
    world.delete("/v1/vms/web1?wait=deleted&timeout_s=5").await.expect(204);
    assert_eq!(world.get("/v1/snapshots").await.json()["items"], json!([]));
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_at_once() {
    let (world, _host) = with_vm().await;
    let missing = json!({ "meta": { "name": "x" }, "spec": { "vm": "none" } });
    world.post("/v1/snapshots", &missing).await.problem(400, "invalid_object");
    let problem = world
        .post("/v1/snapshots", &snapshot("m", json!({ "memory": true })))
        .await
        .problem(400, "invalid_object");
    assert_eq!(problem.field.as_deref(), Some("spec.memory"));
    world.post("/v1/snapshots", &snapshot("h", json!({ "host": "h1" }))).await.problem(400, "invalid_object");
    for i in 0..SNAPSHOTS_MAX {
        world.post("/v1/snapshots", &snapshot(&format!("s{i}"), json!({}))).await.expect(201);
    }
    world.post("/v1/snapshots", &snapshot("more", json!({}))).await.problem(409, "too_many_snapshots");
    // A VM that no host has, has nothing to take.
    let lonely = World::new().await;
    lonely.post("/v1/vms", &vm("web1")).await.expect(201);
    lonely.post("/v1/snapshots", &snapshot("s", json!({}))).await.problem(409, "not_placed");
}

#[tokio::test]
async fn a_revert_is_asked_for_once_and_fits_the_hardware() {
    let (world, _host) = with_vm().await;
    world.post("/v1/vms/web1/start?wait=running&timeout_s=5", &json!(null)).await.expect(200);
    world
        .post("/v1/snapshots?wait=ready&timeout_s=5", &snapshot("s1", json!({ "memory": true })))
        .await
        .expect(201);
    world.patch("/v1/vms/web1", &json!({ "spec": { "cpus": 4 } })).await.expect(200);
    let ask = json!({ "snapshot": "s1" });
    world.post("/v1/vms/web1/revert?dry_run=true", &ask).await.expect(200);
    assert_eq!(world.vm("web1").await.spec.revert, None);
    let answer = world.post("/v1/vms/web1/revert?wait=running&timeout_s=5", &ask).await.expect(200).json();
    let first: Vm = serde_json::from_value(answer).unwrap();
    let revert = first.spec.revert.clone().unwrap();
    assert_eq!((first.spec.cpus, first.status.reverted, revert.memory), (1, Some(revert.id), true));
    // An edit that says nothing of it asks for nothing.
    let mut body = serde_json::to_value(&first).unwrap();
    body["spec"].as_object_mut().unwrap().remove("revert");
    body["spec"]["cpus"] = json!(2);
    body["meta"]["revision"] = json!(0);
    world.put("/v1/vms/web1", &body).await.expect(200);
    assert_eq!(world.vm("web1").await.spec.revert, Some(revert));
    // Another disk than then.
    let more = json!({ "spec": { "disks": [
        { "name": "root", "disk": "web1-root" }, { "name": "data", "disk": "web1-data" },
        { "name": "new", "size_bytes": MIB }
    ] } });
    world.patch("/v1/vms/web1", &more).await.expect(200);
    let problem = world.post("/v1/vms/web1/revert", &ask).await.problem(409, "hardware_differs");
    assert!(problem.detail.contains("disks"), "{problem:?}");
    world.post("/v1/vms/web1/revert", &json!({ "snapshot": "none" })).await.problem(404, "not_found");
    world.create_vm("web2").await;
    let problem = world.post("/v1/vms/web2/revert", &ask).await.problem(400, "invalid_object");
    assert_eq!(problem.field.as_deref(), Some("snapshot"));
}

#[tokio::test]
async fn a_snapshot_that_is_gone_back_to_stays_until_that_is_done() {
    let world = World::new().await;
    let host =
        FakeHost::join_with(&world, "h1", crate::fake_host::Options { idle: true, ..Default::default() })
            .await;
    world.post("/v1/vms", &vm("web1")).await.expect(201);
    let _: Vm = world.until("web1", |vm: &Vm| vm.spec.host.is_some()).await;
    world.post("/v1/snapshots", &snapshot("s1", json!({}))).await.expect(201);
    let ask = json!({ "snapshot": "s1" });
    world.post("/v1/vms/web1/revert", &ask).await.problem(409, "snapshot_not_ready");
    let known: Snapshot = world.read("s1").await;
    let mut status = known.status.clone();
    status.phase = SnapshotPhase::Ready;
    host.say(&known, &status).await.unwrap();
    let _: Snapshot = world.until("s1", |s: &Snapshot| s.status.phase == SnapshotPhase::Ready).await;
    world.post("/v1/vms/web1/revert", &ask).await.expect(200);
    world.delete("/v1/snapshots/s1").await.problem(409, "in_use");
    let vm: Vm = world.vm("web1").await;
    let mut status = vm.status.clone();
    status.reverted = vm.spec.revert.as_ref().map(|r| r.id);
    host.say(&vm, &status).await.unwrap();
    let _: Vm = world.until("web1", |vm: &Vm| vm.status.reverted.is_some()).await;
    world.delete("/v1/snapshots/s1").await.expect(202);
}

#[tokio::test]
async fn clones_share_a_snapshot_that_stays_for_them() {
    let (world, _host) = with_vm().await;
    let ask = json!({ "names": ["a", "b"], "start": true });
    let dry = world.post("/v1/vms/web1/clone?dry_run=true", &ask).await.expect(200).json();
    assert_eq!(dry["items"][1]["spec"]["disks"][0]["from"], json!({ "snapshot": "a-base", "disk": "root" }));
    assert_eq!(world.get("/v1/snapshots").await.json()["items"], json!([]));
    let made = world.post("/v1/vms/web1/clone", &ask).await.expect(201).json();
    assert_eq!(made["items"].as_array().unwrap().len(), 2);
    let a: Vm = world.until("a", |vm: &Vm| vm.spec.host.is_some()).await;
    assert_eq!(a.spec.host.unwrap().as_str(), "h1", "it is made where the snapshot is");
    world.get("/v1/vms/a?wait=running&timeout_s=5").await.expect(200);
    let snapshot: Snapshot = world.read("a-base").await;
    assert!(snapshot.spec.for_clones);
    let problem = world.delete("/v1/vms/web1").await.problem(409, "in_use");
    assert!(problem.detail.contains("1 more"), "{problem:?}");
    world.delete("/v1/snapshots/a-base").await.problem(409, "in_use");
    // A full clone lets go of it.
    let full = json!({ "names": ["c"], "clone": "full", "snapshot": "a-base" });
    world.post("/v1/vms/web1/clone", &full).await.expect(201);
    let _: Disk = world.until("c-root", |d: &Disk| d.status.phase == DiskPhase::Ready).await;
    for name in ["a", "b"] {
        world.delete(&format!("/v1/vms/{name}?wait=deleted&timeout_s=5")).await.expect(204);
        world.get(&format!("/v1/disks/{name}-root?wait=deleted&timeout_s=5")).await.expect(204);
        world.get(&format!("/v1/disks/{name}-data?wait=deleted&timeout_s=5")).await.expect(204);
    }
    world.delete("/v1/snapshots/a-base?wait=deleted&timeout_s=5").await.expect(204);
    // What cannot be.
    world.post("/v1/vms/web1/clone", &json!({ "names": [] })).await.problem(400, "invalid_object");
    world.post("/v1/vms/web1/clone", &json!({ "names": ["x", "x"] })).await.problem(400, "invalid_object");
    world.post("/v1/vms/web1/clone", &json!({ "names": ["c"] })).await.problem(409, "name_taken");
    world.post("/v1/vms/none/clone", &json!({ "names": ["x"] })).await.problem(404, "not_found");
    assert_eq!(world.get("/v1/snapshots").await.json()["items"], json!([]));
}
