//! Collections: what collectors say is taken down, one collector at a time, and they are answered what is wished for.

use serde_json::{Value, json};
use tabane_model::{
    Event, Role,
    planning::{Collection, CollectionPhase},
};
use tabane_store::Txn;

use crate::world::World;

fn collection(name: &str, sources: &[&str]) -> Value {
    json!({ "meta": { "name": name }, "spec": { "sources": sources } })
}

fn report(session: &str) -> Value {
    json!({
        "session": session, "collector": "ops1", "servers": 2, "reached": 1, "samples": 7,
        "sources": [
            { "source": "root@web2", "state": "lost", "cores": 0, "memory_mib": 0, "samples": 0,
              "message": "no route to host" },
            { "source": "root@web1", "state": "measured", "os": "Debian 12", "cores": 4, "memory_mib": 1000, "samples": 7,
              "load": { "cpu_share": 0.25, "memory_mib": 900, "disk_kbs": 3, "net_kbs": 4 } },
        ],
    })
}

async fn told(world: &World, report: &Value) -> Value {
    world.post("/v1/collections/may/report", report).await.expect(200).json()
}

#[tokio::test]
async fn a_collector_tells_how_far_it_is_and_is_told_what_is_wished_for() {
    let world = World::new().await;
    let made =
        world.post("/v1/collections", &collection("may", &["root@web1", "root@web2"])).await.expect(201);
    assert_eq!(
        (&made.json()["spec"]["step_s"], &made.json()["status"]["phase"]),
        (&json!(20), &json!("waiting"))
    );
    assert_eq!(told(&world, &report("a")).await, json!({ "ended": false }));
    let known: Collection = world.read("may").await;
    assert_eq!(known.status.phase, CollectionPhase::Running);
    assert!(known.status.begun_at.is_some() && known.status.reported_at >= known.status.begun_at);
    assert_eq!(serde_json::to_value(known.status.report).unwrap()["sources"], report("a")["sources"]);

    // One at a time; who has stopped is no longer at it.
    let refused =
        world.post("/v1/collections/may/report", &report("b")).await.problem(409, "other_collector");
    assert!(refused.detail.contains("ops1"), "{}", refused.detail);
    let mut stopped = report("a");
    stopped["ended"] = json!(true);
    told(&world, &stopped).await;
    let known: Collection = world.read("may").await;
    assert_eq!(known.status.phase, CollectionPhase::Waiting, "another one may go on");
    told(&world, &report("b")).await;

    // A survey that is asked for is wished for until it is made.
    world.patch("/v1/collections/may", &json!({ "spec": { "survey": "first" } })).await.expect(200);
    assert_eq!(told(&world, &report("b")).await, json!({ "survey": "first", "ended": false }));
    let mut made = report("b");
    made["made"] = json!(["first"]);
    assert_eq!(told(&world, &made).await, json!({ "ended": false }));
    world.get("/v1/collections/may?wait=ready&timeout_s=5").await.expect(200);

    // One of the whole is made when it ends, and then nobody takes it up.
    world.patch("/v1/collections/may", &json!({ "spec": { "ended": true } })).await.expect(200);
    assert_eq!(told(&world, &made).await, json!({ "survey": "may", "ended": true }));
    made["made"] = json!(["first", "may"]);
    made["ended"] = json!(true);
    assert_eq!(told(&world, &made).await, json!({ "ended": true }));
    let known: Collection = world.read("may").await;
    assert_eq!(known.status.phase, CollectionPhase::Ended);
    assert_eq!(serde_json::to_value(&known.status.surveys).unwrap(), json!(["first", "may"]));
    world.get("/v1/collections/may?wait=ready&timeout_s=5").await.expect(200);
    world.post("/v1/collections/may/report", &report("c")).await.problem(409, "collection_ended");

    world.delete("/v1/collections/may").await.expect(204);
    world.post("/v1/collections/may/report", &report("b")).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_collection_that_ends_without_its_survey_says_why_and_may_be_taken_up_again() {
    let world = World::new().await;
    world.post("/v1/collections", &collection("may", &["web1"])).await.expect(201);
    told(&world, &report("a")).await;
    world.patch("/v1/collections/may", &json!({ "spec": { "ended": true } })).await.expect(200);
    let mut failed = report("a");
    failed["ended"] = json!(true);
    failed["message"] = json!("the disk is full");
    told(&world, &failed).await;
    let failure = world.get("/v1/collections/may?wait=ready&timeout_s=5").await.problem(409, "wait_failed");
    assert!(failure.detail.contains("the disk is full"), "{}", failure.detail);
    assert_eq!(told(&world, &report("b")).await, json!({ "survey": "may", "ended": true }));
}

#[tokio::test]
async fn a_collector_that_is_not_heard_is_called_silent_and_may_be_replaced() {
    let world = World::new().await;
    for name in ["may", "june"] {
        world.post("/v1/collections", &collection(name, &["web1", "web2"])).await.expect(201);
        world.post(&format!("/v1/collections/{name}/report"), &report("a")).await.expect(200);
    }
    // What the one said is two minutes ago when the server starts again.
    let key = "objects/collections/may";
    let kept = world.store.get(key).await.unwrap().unwrap();
    let mut long_ago: Value = serde_json::from_slice(&kept.value).unwrap();
    let heard = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(120);
    long_ago["status"]["reported_at"] = json!(heard);
    world.store.txn(Txn::new().put(key, long_ago.to_string())).await.unwrap();
    let world = world.again().await;
    world.until("may", |may: &Collection| may.status.phase == CollectionPhase::Silent).await;
    let told = async || {
        let events = world.get("/v1/events").await.json()["items"].as_array().unwrap().clone();
        let events = events.into_iter().map(|event| serde_json::from_value::<Event>(event).unwrap());
        events.map(|event| event.spec).filter(|event| event.reason == "silent").collect::<Vec<_>>()
    };
    let silent = told().await;
    assert_eq!(silent.len(), 1, "{silent:?}");
    assert!(silent[0].about.name.as_str() == "may" && silent[0].message.contains("ops1"), "{silent:?}");
    assert_eq!(world.read::<Collection>("june").await.status.phase, CollectionPhase::Running);

    // Who takes it up is heard, and the other one, should it come back, is not.
    world.post("/v1/collections/may/report", &report("b")).await.expect(200);
    assert_eq!(world.read::<Collection>("may").await.status.phase, CollectionPhase::Running);
    world.post("/v1/collections/may/report", &report("a")).await.problem(409, "other_collector");
    assert_eq!(told().await.len(), 1);
}

#[tokio::test]
async fn what_is_no_source_no_report_or_would_be_changed_is_refused() {
    let world = World::new().await;
    let fault = async |body: Value| world.post("/v1/collections", &body).await.problem(400, "invalid_object");
    for (source, field) in [
        ("-oProxyCommand=x", "spec.sources[0]"),
        ("10.0.0.0/8", "spec.sources[0]"),
        ("a;b", "spec.sources[0]"),
    ] {
        let refused = fault(collection("may", &[source])).await;
        assert_eq!(refused.field.as_deref(), Some(field), "{source}: {refused:?}");
    }
    assert_eq!(fault(collection("may", &["a@h", "b@h"])).await.field.as_deref(), Some("spec.sources"));
    assert_eq!(fault(collection("may", &[])).await.field.as_deref(), Some("spec.sources"));
    let mut own = collection("may", &["h"]);
    own["spec"]["survey"] = json!("may");
    assert_eq!(fault(own).await.field.as_deref(), Some("spec.survey"));
    let files =
        json!([{ "name": "servers.csv", "size_bytes": 1 }, { "name": "cpu_mhz.csv", "size_bytes": 1 }]);
    world
        .post("/v1/surveys", &json!({ "meta": { "name": "old" }, "spec": { "files": files } }))
        .await
        .expect(201);
    assert_eq!(fault(collection("old", &["h"])).await.field.as_deref(), Some("meta.name"));

    world.post("/v1/collections", &collection("may", &["h"])).await.expect(201);
    for change in [json!({ "sources": ["h2"] }), json!({ "step_s": 5 }), json!({ "length_s": 600 })] {
        world.patch("/v1/collections/may", &json!({ "spec": change })).await.problem(400, "invalid_object");
    }
    world.patch("/v1/collections/may", &json!({ "spec": { "ended": true } })).await.expect(200);
    let again = json!({ "spec": { "ended": false } });
    world.patch("/v1/collections/may", &again).await.problem(400, "invalid_object");

    let mut bad = report("");
    bad["sources"][0]["message"] = json!("\u{1b}[2J");
    let refused = world.post("/v1/collections/may/report", &bad).await.problem(400, "invalid_object");
    let fields: Vec<&str> = refused.faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["session", "sources[0].message"]);
    bad["more"] = json!(1);
    world.post("/v1/collections/may/report", &bad).await.problem(400, "invalid_body");

    // Viewers look on.
    let viewer = world.client(&world.token("viewer", Role::Viewer).await).await;
    let report = serde_json::from_value(report("a")).unwrap();
    assert_eq!(viewer.report_collection("may", &report).await.unwrap_err().code(), Some("denied"));
}
