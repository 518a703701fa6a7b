//! Addresses of nat networks: each is somebody's or nobody's.

use std::collections::BTreeSet;

use serde_json::json;
use tabane_model::Vm;

use crate::{
    fake_host::{FakeHost, Options},
    world::{World, network, vm, vm_in},
};

async fn nat(world: &World, name: &str, cidr: &str) {
    world.post("/v1/networks", &network(name, cidr)).await.expect(201);
}

async fn held(world: &World, network: &str) -> usize {
    world.store.list(&format!("addresses/{network}/"), None, 1000).await.unwrap().entries.len()
}

#[tokio::test]
async fn sixty_at_once_get_addresses_of_their_own_and_the_last_none() {
    let world = World::new().await;
    nat(&world, "n1", "10.30.0.0/26").await;
    let bodies: Vec<_> = (0..60).map(|i| vm_in(&format!("vm{i:02}"), "n1")).collect();
    let answers = futures_util::future::join_all(bodies.iter().map(|b| world.post("/v1/vms", b))).await;
    let addresses: BTreeSet<String> = answers
        .into_iter()
        .map(|a| a.expect(201).json()["spec"]["nics"][0]["address"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(addresses.len(), 60);
    for reserved in ["10.30.0.0", "10.30.0.1", "10.30.0.63"] {
        assert!(!addresses.contains(reserved), "{reserved}");
    }
    world.post("/v1/vms", &vm_in("last", "n1")).await.expect(201);
    let before = world.settled().await;
    let problem = world.post("/v1/vms", &vm_in("late", "n1")).await.problem(409, "network_full");
    assert!(problem.detail.contains("n1") && problem.detail.contains("10.30.0.0/26"), "{}", problem.detail);
    assert_eq!(world.settled().await, before);
    // Whoever goes makes room.
    world.delete("/v1/vms/vm00").await.expect(204);
    world.post("/v1/vms", &vm_in("late", "n1")).await.expect(201);
    assert_eq!(held(&world, "n1").await, 61);
}

#[tokio::test]
async fn nics_of_one_vm_get_different_addresses() {
    let world = World::new().await;
    nat(&world, "n1", "10.30.0.0/29").await;
    let mut body = vm("web1");
    let nics: Vec<_> = (0..5).map(|i| json!({ "name": format!("eth{i}"), "network": "n1" })).collect();
    body["spec"]["nics"] = json!(nics);
    let made = world.post("/v1/vms", &body).await.expect(201).json();
    let nics = made["spec"]["nics"].as_array().unwrap();
    let distinct: BTreeSet<&str> = nics.iter().map(|n| n["address"].as_str().unwrap()).collect();
    assert_eq!(distinct, ["10.30.0.2", "10.30.0.3", "10.30.0.4", "10.30.0.5", "10.30.0.6"].into());
    let macs: BTreeSet<&str> = nics.iter().map(|n| n["mac"].as_str().unwrap()).collect();
    assert_eq!(macs.len(), 5);
}

#[tokio::test]
async fn an_address_that_is_asked_for_must_be_free() {
    let world = World::new().await;
    nat(&world, "n1", "10.30.0.0/26").await;
    let with = |name: &str, addresses: &[&str]| {
        let mut body = vm(name);
        let nic =
            |(i, a): (usize, &&str)| json!({ "name": format!("eth{i}"), "network": "n1", "address": a });
        body["spec"]["nics"] = json!(addresses.iter().enumerate().map(nic).collect::<Vec<_>>());
        body
    };
    world.post("/v1/vms", &with("web1", &["10.30.0.9"])).await.expect(201);
    let before = world.settled().await;
    for (addresses, field) in [
        (vec!["10.30.0.9"], "spec.nics[0].address"),
        (vec!["10.30.0.10", "10.30.0.10"], "spec.nics[1].address"),
        (vec!["10.30.0.1"], "spec.nics[0].address"),
        (vec!["10.30.0.63"], "spec.nics[0].address"),
        (vec!["10.31.0.2"], "spec.nics[0].address"),
        (vec!["fe80::1"], "spec.nics[0].address"),
    ] {
        let problem = world.post("/v1/vms", &with("web2", &addresses)).await.problem(400, "invalid_object");
        assert_eq!(problem.field.as_deref(), Some(field), "{addresses:?}");
    }
    assert_eq!(world.settled().await, before);
    let mut user = vm_in("web2", "default");
    user["spec"]["nics"][0]["address"] = json!("10.0.0.5");
    let problem = world.post("/v1/vms", &user).await.problem(400, "invalid_object");
    assert_eq!(problem.field.as_deref(), Some("spec.nics[0].address"));
}

#[tokio::test]
async fn ranges_do_not_overlap() {
    let world = World::new().await;
    nat(&world, "n1", "10.30.4.0/22").await;
    let before = world.settled().await;
    for range in ["10.30.4.0/22", "10.30.0.0/16", "10.30.5.0/24", "10.30.7.248/29"] {
        let problem = world.post("/v1/networks", &network("n2", range)).await.problem(400, "invalid_object");
        assert_eq!(problem.field.as_deref(), Some("spec.cidr"), "{range}");
        assert!(problem.detail.contains("of the network n1"), "{}", problem.detail);
    }
    let patch = json!({ "spec": { "cidr": "10.31.0.0/24" } });
    let problem = world.patch("/v1/networks/n1", &patch).await.problem(400, "invalid_object");
    assert_eq!(problem.field.as_deref(), Some("spec.cidr"));
    assert_eq!(world.settled().await, before);
    nat(&world, "n2", "10.30.8.0/22").await;
}

#[tokio::test]
async fn an_address_is_kept_until_the_vm_is_gone_from_its_host() {
    let world = World::new().await;
    nat(&world, "n1", "10.30.0.0/29").await;
    let idle = Options { idle: true, ..Options::default() };
    let host = FakeHost::join_with(&world, "h1", idle).await;
    world.post("/v1/vms", &vm_in("web1", "n1")).await.expect(201);
    world.until::<Vm>("web1", |vm| vm.spec.host.is_some()).await;
    world.delete("/v1/networks/n1").await.problem(409, "in_use");
    world.delete("/v1/vms/web1").await.expect(202);
    assert_eq!(held(&world, "n1").await, 1, "its host may still be using it");
    let vm = world.vm("web1").await;
    let status = tabane_model::VmStatus { phase: tabane_model::VmPhase::Deleted, ..Default::default() };
    host.say(&vm, &status).await.unwrap();
    world.get("/v1/vms/web1").await.problem(404, "not_found");
    assert_eq!(held(&world, "n1").await, 0);
    world.delete("/v1/networks/n1").await.expect(204);
}

#[tokio::test]
async fn mac_and_address_survive_every_change() {
    let world = World::new().await;
    nat(&world, "n1", "10.30.0.0/24").await;
    let body = vm_in("web1", "n1");
    let first = world.post("/v1/vms", &body).await.expect(201).json()["spec"]["nics"].clone();
    assert!(first[0]["mac"].as_str().unwrap().starts_with("52:54:00:"));
    let put = world.put("/v1/vms/web1", &body).await.expect(200).json();
    assert_eq!(put["spec"]["nics"], first, "what a request leaves out stays");
    let two = json!({ "spec": { "nics": [
        { "name": "eth1", "network": "default" }, { "name": "eth0", "network": "n1" }
    ] } });
    let more = world.patch("/v1/vms/web1", &two).await.expect(200).json();
    assert_eq!(more["spec"]["nics"][1], first[0]);
    assert_ne!(more["spec"]["nics"][0]["mac"], first[0]["mac"]);
    // A nic that is taken out gives its address back.
    world.patch("/v1/vms/web1", &json!({ "spec": { "nics": [] } })).await.expect(200);
    assert_eq!(held(&world, "n1").await, 0);
}

#[tokio::test]
async fn a_nic_of_a_vm_that_runs_is_not_changed() {
    let world = World::new().await;
    nat(&world, "n1", "10.30.0.0/24").await;
    nat(&world, "n2", "10.31.0.0/24").await;
    let idle = Options { idle: true, ..Options::default() };
    let host = FakeHost::join_with(&world, "h1", idle).await;
    world.post("/v1/vms", &vm_in("web1", "n1")).await.expect(201);
    world.until::<Vm>("web1", |vm| vm.spec.host.is_some()).await;
    let vm = world.vm("web1").await;
    let name = vm.spec.nics[0].name.clone();
    let change = |more: serde_json::Value| {
        let mut nic = json!({ "name": name, "network": "n1" });
        nic.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "spec": { "nics": [nic] } })
    };
    let running = tabane_model::VmStatus {
        phase: tabane_model::VmPhase::Running,
        pid: Some(4242),
        ..Default::default()
    };
    host.say(&vm, &running).await.unwrap();
    world.until::<Vm>("web1", |vm| vm.status.pid.is_some()).await;
    for more in [
        json!({ "network": "n2" }),
        json!({ "mac": "52:54:00:00:00:01" }),
        json!({ "address": "10.30.0.77" }),
    ] {
        let problem = world.patch("/v1/vms/web1", &change(more)).await.problem(400, "invalid_object");
        assert_eq!(problem.field.as_deref(), Some("spec.nics[0]"));
        assert!(problem.hint.unwrap().contains("tabane vm plug"));
    }
    assert_eq!(world.vm("web1").await.spec.nics, vm.spec.nics);
    // As it is it may be sent again, and one that is off may be changed.
    world.patch("/v1/vms/web1", &change(json!({}))).await.expect(200);
    let off = tabane_model::VmStatus { phase: tabane_model::VmPhase::Stopped, ..Default::default() };
    host.say(&world.vm("web1").await, &off).await.unwrap();
    world.until::<Vm>("web1", |vm| vm.status.pid.is_none()).await;
    world.patch("/v1/vms/web1", &change(json!({ "network": "n2" }))).await.expect(200);
}
