//! Which host a VM gets, and what is said while there is none.

use serde_json::json;
use tabane_model::Vm;

use crate::{
    fake_host::{FakeHost, Options},
    world::{GIB, World, vm},
};

fn sized(name: &str, memory_bytes: u64, power: &str) -> serde_json::Value {
    let mut body = vm(name);
    body["spec"]["memory_bytes"] = json!(memory_bytes);
    body["spec"]["power"] = json!(power);
    body
}

async fn refused(world: &World, name: &str, reason: &str) {
    let wanted =
        |vm: &Vm| vm.status.conditions.iter().any(|c| c.kind == "placed" && c.message.contains(reason));
    let vm: Vm = world.until(name, wanted).await;
    let condition = vm.status.conditions.iter().find(|c| c.kind == "placed").unwrap();
    assert_eq!((condition.met, condition.reason.as_str(), vm.spec.host), (false, "no_host", None));
}

async fn host_of(world: &World, name: &str) -> String {
    let vm: Vm = world.until(name, |vm: &Vm| vm.spec.host.is_some()).await;
    assert!(vm.status.conditions.iter().all(|c| c.kind != "placed"), "{:?}", vm.status.conditions);
    vm.spec.host.unwrap().to_string()
}

#[tokio::test]
async fn a_vm_waits_with_a_reason_until_a_host_joins() {
    let world = World::new().await;
    world.create_vm("web1").await;
    refused(&world, "web1", "no host takes the VM: there is no host yet").await;
    // Saying the same again and again would wake every watcher for nothing.
    let before = world.settled().await;
    assert_eq!(world.settled().await, before);
    let started = std::time::Instant::now();
    let _host = FakeHost::join(&world, "h1").await;
    assert_eq!(host_of(&world, "web1").await, "h1");
    assert!(started.elapsed() < std::time::Duration::from_secs(2), "{:?}", started.elapsed());
    // Replacing the spec by what somebody keeps in a file does not unplace it.
    world.put("/v1/vms/web1", &vm("web1")).await.expect(200);
    assert_eq!(host_of(&world, "web1").await, "h1");
}

#[tokio::test]
async fn a_cordoned_host_gets_nothing_and_keeps_what_it_has() {
    let world = World::new().await;
    let _host = FakeHost::join(&world, "h1").await;
    world.create_vm("old").await;
    host_of(&world, "old").await;
    for field in ["cordoned", "drain"] {
        let set = |on: bool| json!({ "spec": { field: on } });
        world.patch("/v1/hosts/h1", &set(true)).await.expect(200);
        world.create_vm(field).await;
        refused(&world, field, "h1: takes no VMs now").await;
        assert_eq!(world.vm("old").await.spec.host, Some(crate::world::name("h1")));
        world.patch("/v1/hosts/h1", &set(false)).await.expect(200);
        assert_eq!(host_of(&world, field).await, "h1");
        // Nor is anything said any more of why it could not leave.
        world.until("old", |vm: &Vm| vm.status.conditions.iter().all(|c| c.kind != "placed")).await;
    }
}

#[tokio::test]
async fn wishes_are_respected() {
    let world = World::new().await;
    let _hosts = [
        FakeHost::join(&world, "h1").await,
        FakeHost::join(&world, "h2").await,
        FakeHost::join(&world, "h3").await,
    ];
    world.patch("/v1/hosts/h3", &json!({ "meta": { "labels": { "disk": "ssd" } } })).await.expect(200);
    for (name, wish, host) in [
        ("a", json!({ "host": "h2" }), "h2"),
        ("b", json!({ "host_labels": { "disk": "ssd" } }), "h3"),
        ("c", json!({ "host": "h3", "host_labels": { "disk": "ssd" } }), "h3"),
    ] {
        let mut body = vm(name);
        body["spec"]["placement"] = wish;
        world.post("/v1/vms", &body).await.expect(201);
        assert_eq!(host_of(&world, name).await, host);
    }
    let mut body = vm("d");
    body["spec"]["placement"] = json!({ "host": "h1", "host_labels": { "disk": "ssd" } });
    world.post("/v1/vms", &body).await.expect(201);
    refused(&world, "d", "h1: has no label disk=ssd").await;
    refused(&world, "d", "h3: the VM asks for h1").await;
    world.patch("/v1/hosts/h1", &json!({ "meta": { "labels": { "disk": "ssd" } } })).await.expect(200);
    assert_eq!(host_of(&world, "d").await, "h1");
}

/// Memory that guests may have of a host of 8 GiB, after what is left to the host itself.
const ROOM: usize = 7;

async fn nobody_is_overcommitted(world: &World, expected: usize) {
    let placed = |vms: &[Vm]| vms.iter().filter(|vm| vm.spec.host.is_some()).count();
    let mut vms: Vec<Vm> = Vec::new();
    for _ in 0..200 {
        vms = world.admin.list(&Default::default()).await.unwrap();
        let judged =
            |vm: &Vm| vm.spec.host.is_some() || vm.status.conditions.iter().any(|c| c.kind == "placed");
        if vms.iter().all(judged) && placed(&vms) >= expected {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    for host in ["h1", "h2"] {
        let there = vms.iter().filter(|vm| vm.spec.host.as_ref().is_some_and(|h| h.as_str() == host));
        assert!(there.count() <= ROOM, "{host} is overcommitted");
    }
    assert_eq!(placed(&vms), expected);
}

#[tokio::test]
async fn thirty_creates_at_once_never_overcommit_memory() {
    let world = World::new().await;
    let small = || Options { memory_bytes: 8 * GIB, ..Options::default() };
    let _hosts =
        [FakeHost::join_with(&world, "h1", small()).await, FakeHost::join_with(&world, "h2", small()).await];
    let bodies: Vec<_> = (0..30).map(|i| sized(&format!("vm{i}"), GIB, "on")).collect();
    let made = futures_util::future::join_all(bodies.iter().map(|b| world.post("/v1/vms", b))).await;
    assert!(made.iter().all(|a| a.status == 201));
    nobody_is_overcommitted(&world, 2 * ROOM).await;
    let why = "1 GiB of memory wanted";
    let vms: Vec<Vm> = world.admin.list(&Default::default()).await.unwrap();
    for vm in vms.iter().filter(|vm| vm.spec.host.is_none()) {
        refused(&world, vm.meta.name.as_str(), why).await;
    }
}

#[tokio::test]
async fn paused_vms_that_wait_for_a_host_count_as_well() {
    let world = World::new().await;
    for i in 0..12 {
        world.post("/v1/vms", &sized(&format!("vm{i}"), GIB, "paused")).await.expect(201);
    }
    let _host =
        FakeHost::join_with(&world, "h1", Options { memory_bytes: 8 * GIB, ..Options::default() }).await;
    nobody_is_overcommitted(&world, ROOM).await;
}

#[tokio::test]
async fn a_vm_that_was_placed_while_it_was_off_starts_only_where_there_is_room() {
    let world = World::new().await;
    let _host =
        FakeHost::join_with(&world, "h1", Options { memory_bytes: 4 * GIB, ..Options::default() }).await;
    for name in ["a", "b"] {
        world.post("/v1/vms", &sized(name, 2 * GIB, "off")).await.expect(201);
        host_of(&world, name).await;
    }
    let none = json!({});
    world.post("/v1/vms/a/start", &none).await.expect(200);
    world.post("/v1/vms/b/start", &none).await.problem(409, "no_room");
    let grown = json!({ "spec": { "memory_bytes": 4 * GIB } });
    world.patch("/v1/vms/a", &grown).await.problem(409, "no_room");
    // What is off may be anything.
    world.patch("/v1/vms/b", &grown).await.expect(200);
    world.patch("/v1/vms/b", &json!({ "spec": { "memory_bytes": GIB } })).await.expect(200);
    world.post("/v1/vms/b/start", &none).await.expect(200);
    // And what runs may go on, and may be asked to run again.
    world.post("/v1/vms/a/start", &none).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_at_once_do_not_take_the_same_room() {
    // A store that takes its time, so that there is time between judging and committing.
    let folder = tempfile::tempdir().unwrap();
    let store = tabane_store::Sqlite::open(folder.path().join("store")).await.unwrap();
    let world = World::with(std::sync::Arc::new(store), 60_000).await;
    let _host =
        FakeHost::join_with(&world, "h1", Options { memory_bytes: 8 * GIB, ..Options::default() }).await;
    for round in 0..5 {
        let names: Vec<String> = (0..12).map(|i| format!("vm{round}-{i}")).collect();
        for name in &names {
            world.post("/v1/vms", &sized(name, GIB, "off")).await.expect(201);
            host_of(&world, name).await;
        }
        let (none, starts) = (json!({}), names.iter().map(|name| format!("/v1/vms/{name}/start")));
        let starts: Vec<String> = starts.collect();
        let answers = futures_util::future::join_all(starts.iter().map(|path| world.post(path, &none))).await;
        let started = answers.iter().filter(|a| a.status == 200).count();
        assert_eq!(started, ROOM, "round {round}");
        for name in &names {
            world.delete(&format!("/v1/vms/{name}?wait=deleted&timeout_s=5")).await.expect(204);
        }
    }
}
