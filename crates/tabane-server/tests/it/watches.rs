//! A watch shows what there is, says so, and then misses nothing; it goes on where somebody left it.

use std::time::Duration;

use serde_json::json;
use tabane_client::{Call, Events};
use tabane_model::{Vm, api::Change};

use crate::world::{World, config, network};

async fn next(events: &mut Events) -> Change {
    tokio::time::timeout(Duration::from_secs(5), events.next()).await.expect("in time").unwrap().unwrap()
}

/// The change in one word, such as `put web1 2` with the number of CPUs.
fn brief(change: &Change) -> String {
    match change {
        Change::Put { object, .. } => {
            format!("put {} {}", object["meta"]["name"].as_str().unwrap(), object["spec"]["cpus"])
        }
        Change::Gone { name, .. } => format!("gone {name}"),
        Change::Synced { .. } => "synced".into(),
    }
}

fn revision(change: &Change) -> u64 {
    match change {
        Change::Put { revision, .. } | Change::Gone { revision, .. } | Change::Synced { revision } => {
            *revision
        }
    }
}

async fn quiet(events: &mut Events) {
    let more = tokio::time::timeout(Duration::from_millis(150), events.next()).await;
    assert!(more.is_err(), "{more:?}");
}

async fn cpus(world: &World, vm: &str, cpus: u32) {
    world.patch(&format!("/v1/vms/{vm}"), &json!({ "spec": { "cpus": cpus } })).await.expect(200);
}

#[tokio::test]
async fn snapshot_then_synced_then_live() {
    let world = World::new().await;
    for name in ["a", "b"] {
        world.create_vm(name).await;
    }
    world.settled().await;
    let mut events = world.admin.watch::<Vm>(&Call::default()).await.unwrap();
    let mut said = Vec::new();
    for _ in 0..3 {
        said.push(brief(&next(&mut events).await));
    }
    assert_eq!(said, ["put a 1", "put b 1", "synced"]);
    // Other kinds are none of this watch's business.
    world.post("/v1/networks", &network("n1", "10.30.0.0/24")).await.expect(201);
    cpus(&world, "a", 2).await;
    let change = next(&mut events).await;
    assert_eq!((brief(&change), revision(&change)), ("put a 2".into(), world.vm("a").await.meta.revision));
    world.delete("/v1/vms/b").await.expect(204);
    assert_eq!(brief(&next(&mut events).await), "gone b");
    quiet(&mut events).await;
    world.server.stop().await;
    assert!(events.next().await.is_ok_and(|change| change.is_none()), "the end is an orderly one");
}

#[tokio::test]
async fn a_resumed_watch_tells_exactly_what_changed() {
    let world = World::new().await;
    for name in ["a", "b", "c", "d"] {
        world.create_vm(name).await;
    }
    world.settled().await;
    let page: tabane_model::api::List<Vm> = world.admin.page(&Call::default()).await.unwrap();
    cpus(&world, "c", 2).await;
    world.delete("/v1/vms/b").await.expect(204);
    world.delete("/v1/vms/d").await.expect(204);
    world.create_vm("d").await;
    cpus(&world, "c", 3).await;
    world.settled().await;
    let call = Call { resume: Some(page.revision), ..Call::default() };
    let mut events = world.admin.watch::<Vm>(&call).await.unwrap();
    let mut said = std::collections::BTreeSet::new();
    let mut last = page.revision;
    // Placement conditions may be told once more, so the latest state of each counts.
    while said.len() < 3 {
        let change = next(&mut events).await;
        assert!(revision(&change) >= last, "out of order");
        last = revision(&change);
        said.insert(brief(&change));
    }
    assert_eq!(said, ["gone b", "put c 3", "put d 1"].map(String::from).into());
    quiet(&mut events).await;
    // From its own last word there is nothing new.
    let call = Call { resume: Some(last), ..Call::default() };
    quiet(&mut world.admin.watch::<Vm>(&call).await.unwrap()).await;
}

#[tokio::test]
async fn a_browser_resumes_by_its_header() {
    let world = World::new().await;
    world.create_vm("a").await;
    world.create_vm("b").await;
    world.settled().await;
    let revision = world.get("/v1/vms").await.json()["revision"].as_u64().unwrap();
    cpus(&world, "b", 2).await;
    let text = revision.to_string();
    let socket = world.socket();
    let headers = [("Last-Event-ID", text.as_str())];
    let ask = crate::raw::upgrade(&socket, "/v1/vms?watch=true", &headers);
    let (answer, mut stream) = ask.await;
    assert_eq!(answer.expect(200).header("content-type"), Some("text/event-stream"));
    let mut bytes = vec![0; 64 << 10];
    let read = tokio::io::AsyncReadExt::read(&mut stream, &mut bytes);
    let n = tokio::time::timeout(Duration::from_secs(5), read).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
    let expected = world.vm("b").await.meta.revision;
    assert!(text.contains(&format!("id: {expected}\n")) && text.contains("event: put"), "{text}");
    assert!(text.contains("\"name\":\"b\"") && !text.contains("\"name\":\"a\""), "{text}");
}

#[tokio::test]
async fn whoever_leaves_the_selector_is_gone() {
    let world = World::new().await;
    world.create_vm("a").await;
    world.create_vm("b").await;
    let label = |value: &str| json!({ "meta": { "labels": { "env": value } } });
    world.patch("/v1/vms/a", &label("prod")).await.expect(200);
    world.settled().await;
    let call = Call { labels: Some("env=prod".into()), ..Call::default() };
    let mut events = world.admin.watch::<Vm>(&call).await.unwrap();
    assert_eq!(brief(&next(&mut events).await), "put a 1");
    let synced = next(&mut events).await;
    assert_eq!(brief(&synced), "synced");
    world.patch("/v1/vms/b", &label("prod")).await.expect(200);
    assert_eq!(brief(&next(&mut events).await), "put b 1");
    world.patch("/v1/vms/a", &label("test")).await.expect(200);
    assert_eq!(brief(&next(&mut events).await), "gone a");
    // Once is enough.
    cpus(&world, "a", 2).await;
    quiet(&mut events).await;
    world.delete("/v1/vms/b").await.expect(204);
    assert_eq!(brief(&next(&mut events).await), "gone b");
}

#[tokio::test]
async fn a_resumed_watch_tells_who_left_the_selector_meanwhile() {
    let world = World::new().await;
    for name in ["a", "b"] {
        world.create_vm(name).await;
        let label = json!({ "meta": { "labels": { "env": "prod" } } });
        world.patch(&format!("/v1/vms/{name}"), &label).await.expect(200);
    }
    world.settled().await;
    let revision = world.get("/v1/vms?labels=env%3Dprod").await.json()["revision"].as_u64();
    world.patch("/v1/vms/a", &json!({ "meta": { "labels": { "env": "test" } } })).await.expect(200);
    let call = Call { labels: Some("env=prod".into()), resume: revision, ..Call::default() };
    let mut events = world.admin.watch::<Vm>(&call).await.unwrap();
    assert_eq!(brief(&next(&mut events).await), "gone a");
    cpus(&world, "a", 2).await;
    quiet(&mut events).await;
    // Back and away again is told again.
    world.patch("/v1/vms/a", &json!({ "meta": { "labels": { "env": "prod" } } })).await.expect(200);
    assert_eq!(brief(&next(&mut events).await), "put a 2");
    world.patch("/v1/vms/a", &json!({ "meta": { "labels": { "env": null } } })).await.expect(200);
    assert_eq!(brief(&next(&mut events).await), "gone a");
}

#[tokio::test]
async fn a_point_that_is_not_kept_is_refused() {
    let world = World::new().await;
    world.create_vm("a").await;
    let now = world.settled().await;
    // Behind the store: it was put back to an older state, and the watcher's knowledge is of another future.
    for resume in [now + 1000, u64::MAX] {
        world.get(&format!("/v1/vms?watch=true&resume={resume}")).await.problem(410, "resume_too_old");
    }
    let World { server, store, folder, .. } = world;
    server.stop().await;
    let server = tabane_server::Server::start(config(folder.path(), 60_000), store).await.unwrap();
    let socket = tabane_server::Config::socket(folder.path());
    let path = "/v1/vms?watch=true&resume=1";
    crate::raw::ask(&socket, "GET", path, &[], None).await.problem(410, "resume_too_old");
    let header = [("Last-Event-ID", "1")];
    crate::raw::ask(&socket, "GET", "/v1/vms?watch=true", &header, None).await.problem(410, "resume_too_old");
    server.stop().await;
}
