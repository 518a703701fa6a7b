//! Hosts: what they may say, what is said of them when they are silent, and when they can go.

use std::sync::Arc;

use serde_json::json;
use tabane_model::{
    EventLevel, EventSpec, HostPhase, Kind, Reference, Vm, VmPhase, VmStatus, api::HostReport,
};
use tabane_store::Memory;

use crate::{
    fake_host::{FakeHost, Options, known, report_host, status_report},
    world::{GIB, World, name, vm},
};

#[tokio::test]
async fn a_report_about_another_hosts_vm_changes_nothing() {
    let world = World::new().await;
    let h1 = FakeHost::join(&world, "h1").await;
    let mut body = vm("web1");
    body["spec"]["power"] = json!("on");
    world.post("/v1/vms?wait=running&timeout_s=5", &body).await.expect(201);
    let thief = FakeHost::join_with(&world, "h2", Options { idle: true, ..Options::default() }).await;
    let vm = world.vm("web1").await;
    world.settled().await;
    let before = world.vm("web1").await;
    let dead = VmStatus { phase: VmPhase::Deleted, ..VmStatus::default() };
    thief.say(&vm, &dead).await.unwrap();
    assert_eq!(world.vm("web1").await, before);
    // Nor does its own host speak of a VM that had the name before.
    let mut former = vm.clone();
    former.meta.uid = tabane_model::Uid::now_v7();
    h1.say(&former, &dead).await.unwrap();
    assert_eq!(world.vm("web1").await, before);
    // A VM that nobody asked to delete does not go by a host's word.
    h1.say(&vm, &dead).await.unwrap();
    assert_eq!(world.vm("web1").await.meta.deleted_at, None);
}

#[tokio::test]
async fn a_host_cannot_speak_for_kinds_that_are_not_its_own() {
    let world = World::new().await;
    let h1 = FakeHost::join(&world, "h1").await;
    FakeHost::join(&world, "h2").await;
    world.settled().await;
    let mut other = known(&world, "h2").await;
    let before = other.clone();
    other.status.phase = HostPhase::Unreachable;
    let status = other.status.clone();
    h1.client.report("h1", &status_report(&other, &status)).await.unwrap();
    assert_eq!(known(&world, "h2").await, before);
    // Of what every host has, it writes its own part only.
    let pool: tabane_model::Pool = world.read("local").await;
    let part = tabane_model::PoolOnHost { ready: true, ..Default::default() };
    let status = tabane_model::PoolStatus { hosts: [(name("h1"), part.clone()), (name("h2"), part)].into() };
    h1.say(&pool, &status).await.unwrap();
    let pool: tabane_model::Pool = world.read("local").await;
    assert_eq!(pool.status.hosts.keys().map(|n| n.as_str()).collect::<Vec<_>>(), ["h1"]);
}

#[tokio::test]
async fn events_of_a_host_are_its_own_and_bounded() {
    let world = World::new().await;
    let h1 = FakeHost::join(&world, "h1").await;
    let event = EventSpec {
        at: jiff::Timestamp::now(),
        level: EventLevel::Warning,
        reason: "crashed".into(),
        about: Reference { kind: Kind::Vm, name: name("web1") },
        host: Some(name("h2")),
        message: format!("line\none{}", "x".repeat(5000)),
    };
    let report = HostReport { events: vec![event.clone(), event], ..HostReport::default() };
    h1.client.report("h1", &report).await.unwrap();
    let found = world.get("/v1/events?fields=about%3Dvm/web1").await.expect(200).json();
    let items = found["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!((&items[0]["spec"]["host"], &items[0]["spec"]["level"]), (&json!("h1"), &json!("warning")));
    let message = items[0]["spec"]["message"].as_str().unwrap();
    assert!(message.starts_with("lineonex") && message.len() == 1000, "{message}");
}

#[tokio::test]
async fn a_silent_host_is_unreachable_and_comes_back() {
    let world = World::with(Arc::new(Memory::new()), 400).await;
    let host = FakeHost::join(&world, "h1").await;
    assert_eq!(known(&world, "h1").await.status.phase, HostPhase::Ready);
    world.until("h1", |h: &tabane_model::Host| h.status.phase == HostPhase::Unreachable).await;
    let page = world.get("/v1/events?fields=about%3Dhost/h1").await.json();
    for _ in 0..50 {
        let page = world.get("/v1/events?fields=about%3Dhost/h1").await.json();
        if page["items"][0]["spec"]["reason"] == "unreachable" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    drop(page);
    let page = world.get("/v1/events?fields=about%3Dhost/h1").await.json();
    let items = page["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["spec"]["level"]), (1, &json!("error")), "said once");
    world.create_vm("web1").await;
    report_host(&host.client, "h1", 64 * GIB).await;
    assert_eq!(known(&world, "h1").await.status.phase, HostPhase::Ready);
    world.until("web1", |vm: &Vm| vm.spec.host.is_some()).await;
}

#[tokio::test]
async fn a_host_goes_when_nothing_is_left_on_it() {
    let world = World::new().await;
    let host = FakeHost::join(&world, "h1").await;
    world.create_vm("web1").await;
    world.until("web1", |vm: &Vm| vm.spec.host.is_some()).await;
    let problem = world.delete("/v1/hosts/h1").await.problem(409, "in_use");
    assert_eq!(problem.detail, "the host h1 still has 1 VMs and 0 disks");
    world.delete("/v1/tokens/host-h1").await.problem(409, "in_use");
    world.delete("/v1/vms/web1?wait=deleted&timeout_s=5").await.expect(204);
    world.settled().await;
    world.delete("/v1/hosts/h1").await.expect(204);
    world.get("/v1/tokens/host-h1").await.problem(404, "not_found");
    let error = host.client.report("h1", &HostReport::default()).await.unwrap_err();
    assert_eq!(error.code(), Some("unauthenticated"));
    // The name is free for another agent.
    drop(host);
    world.delete("/v1/tokens/join-h1").await.expect(204);
    FakeHost::join(&world, "h1").await;
}

#[tokio::test]
async fn the_newer_connection_of_a_host_takes_over() {
    let world = World::new().await;
    let host = FakeHost::join(&world, "h1").await;
    let mut second = host.client.watch_host("h1").await.unwrap();
    while !matches!(second.next().await.unwrap().unwrap(), tabane_model::api::Change::Synced { .. }) {}
    let mut third = host.client.watch_host("h1").await.unwrap();
    while !matches!(third.next().await.unwrap().unwrap(), tabane_model::api::Change::Synced { .. }) {}
    let ended = tokio::time::timeout(std::time::Duration::from_secs(2), second.next()).await.unwrap();
    assert!(ended.unwrap().is_none(), "two connections must not both act");
}

#[tokio::test]
async fn a_hosts_watch_shows_its_own_and_no_secrets() {
    let world = World::new().await;
    let _h1 = FakeHost::join(&world, "h1").await;
    let h2 = FakeHost::join_with(&world, "h2", Options { idle: true, ..Options::default() }).await;
    let mut body = vm("web1");
    body["spec"]["placement"] = json!({ "host": "h1" });
    world.post("/v1/vms", &body).await.expect(201);
    world.until("web1", |vm: &Vm| vm.spec.host.is_some()).await;
    let mut watch = h2.client.watch_host("h2").await.unwrap();
    let mut seen = Vec::new();
    while let Some(tabane_model::api::Change::Put { kind, object, .. }) = watch.next().await.unwrap() {
        seen.push(format!("{kind}/{}", object["meta"]["name"].as_str().unwrap()));
    }
    assert_eq!(seen, ["pool/local", "network/default", "host/h2"]);
}
