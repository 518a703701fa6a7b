//! Clones as objects: what they were copied from, and what cannot go on with another's memory.

use serde_json::{Value, json};
use tabane_model::{Guest, Vm, VmPhase, VmStatus};

use crate::{
    fake_host::FakeHost,
    world::{GIB, World, vm},
};

/// A VM that runs, with a snapshot of its disks and one with its memory.
async fn world() -> (World, FakeHost) {
    let world = World::new().await;
    let host = FakeHost::join(&world, "h1").await;
    let mut body = vm("web1");
    body["spec"]["disks"] = json!([{ "name": "root", "size_bytes": GIB }]);
    body["spec"]["nics"] = json!([{ "name": "eth0", "network": "default" }]);
    body["spec"]["power"] = json!("on");
    world.post("/v1/vms?wait=running&timeout_s=5", &body).await.expect(201);
    for (name, memory) in [("disks", false), ("memory", true)] {
        let body = json!({ "meta": { "name": name }, "spec": { "vm": "web1", "memory": memory } });
        world.post("/v1/snapshots?wait=ready&timeout_s=5", &body).await.expect(201);
    }
    (world, host)
}

async fn answers(world: &World, host: &FakeHost, os: &str) {
    let vm = world.vm("web1").await;
    let guest = Guest { agent: true, os: Some(os.into()), ..Guest::default() };
    let status = VmStatus {
        observed_generation: vm.meta.generation,
        phase: VmPhase::Running,
        guest: Some(guest),
        ..VmStatus::default()
    };
    host.say(&vm, &status).await.unwrap();
    world.settled().await;
}

fn ask(more: Value) -> Value {
    let mut body = json!({ "names": ["copy"], "instant": true, "start": true });
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

#[tokio::test]
async fn an_instant_clone_knows_what_it_was_copied_from() {
    let (world, host) = world().await;
    let problem = world.post("/v1/vms/web1/clone", &ask(json!({}))).await.problem(409, "cannot_go_on");
    assert!(problem.detail.contains("agent") && problem.hint.unwrap().contains("start web1"));
    answers(&world, &host, "Microsoft Windows Server 2022").await;
    let problem = world.post("/v1/vms/web1/clone", &ask(json!({}))).await.problem(409, "cannot_go_on");
    assert!(problem.detail.contains("Windows"), "{}", problem.detail);
    answers(&world, &host, "Debian GNU/Linux 12").await;
    world.post("/v1/vms/web1/clone", &ask(json!({ "clone": "full" }))).await.problem(400, "invalid_object");
    let problem = world
        .post("/v1/vms/web1/clone", &ask(json!({ "identity": "keep" })))
        .await
        .problem(400, "invalid_object");
    assert_eq!(problem.field.as_deref(), Some("identity"));
    world.post("/v1/vms/web1/clone", &ask(json!({}))).await.expect(201);

    let (source, copy) = (world.vm("web1").await, world.vm("copy").await);
    let origin = copy.spec.clone_of.clone().unwrap();
    assert_eq!((origin.memory, origin.vm), (true, Some(source.meta.uid)));
    let mac = |vm: &Vm| vm.spec.nics[0].mac.unwrap();
    assert_eq!(origin.macs.values().copied().collect::<Vec<_>>(), [mac(&source)]);
    assert_ne!(mac(&copy), mac(&source));
    let taken = world.get("/v1/snapshots/copy-base").await.json();
    assert_eq!((&taken["spec"]["memory"], &taken["spec"]["for_clones"]), (&json!(true), &json!(true)));

    // It stays what it began as, also for those who do not say so.
    world.patch("/v1/vms/copy", &json!({ "spec": { "cpus": 2 } })).await.expect(200);
    assert_eq!(world.vm("copy").await.spec.clone_of, Some(origin));
    let other = json!({ "spec": { "clone_of": { "snapshot": "memory" } } });
    let problem = world.patch("/v1/vms/copy", &other).await.problem(400, "invalid_object");
    assert_eq!(problem.field.as_deref(), Some("spec.clone_of"));
    // The snapshot of an earlier clone is in nobody's way.
    world.delete("/v1/vms/copy?wait=deleted&timeout_s=5").await.expect(204);
    answers(&world, &host, "Debian GNU/Linux 12").await;
    world.post("/v1/vms/web1/clone", &ask(json!({}))).await.expect(201);
    assert_eq!(world.vm("copy").await.spec.clone_of.unwrap().snapshot.as_str(), "copy-base-2");
}

#[tokio::test]
async fn a_memory_goes_on_in_its_own_hardware_only() {
    let (world, _host) = world().await;
    let copy = |name: &str, snapshot: &str| {
        let mut body = vm(name);
        body["spec"]["disks"] = json!([{ "name": "root", "from": { "snapshot": snapshot, "disk": "root" } }]);
        body["spec"]["nics"] = json!([{ "name": "eth0", "network": "default" }]);
        body["spec"]["clone_of"] = json!({ "snapshot": snapshot, "memory": true });
        body
    };
    world.post("/v1/vms", &copy("fits", "memory")).await.expect(201);
    let problem = world.post("/v1/vms", &copy("none", "disks")).await.problem(400, "invalid_object");
    assert_eq!(problem.field.as_deref(), Some("spec.clone_of.snapshot"));
    type Change = fn(&mut Value);
    let differences: [(&str, Change); 6] = [
        ("spec.cpus", |spec| spec["cpus"] = json!(3)),
        ("spec.memory_bytes", |spec| spec["memory_bytes"] = json!(512u64 << 20)),
        ("spec.firmware", |spec| spec["firmware"] = json!("uefi")),
        ("spec.nics", |spec| spec["nics"] = json!([])),
        ("spec.disks", |spec| spec["disks"] = json!([{ "name": "root", "size_bytes": GIB }])),
        ("spec.disks", |spec| spec["disks"][0]["clone"] = json!("full")),
    ];
    for (field, change) in differences {
        let mut body = copy("other", "memory");
        change(&mut body["spec"]);
        let problem = world.post("/v1/vms", &body).await.problem(400, "invalid_object");
        assert_eq!(problem.field.as_deref(), Some(field), "{}", problem.detail);
    }
}
