//! Waves go one after the other, and on only through their gates.

use std::sync::Arc;

use serde_json::{Value, json};
use tabane_model::{Verdict, planning::Wave};
use tabane_server::{Config, Server};

use crate::{
    planning::{Files, made, plan, ready},
    raw,
    world::{World, config},
};

fn wave(name: &str, of: &str) -> Value {
    json!({ "meta": { "name": name }, "spec": { "plan": "p1", "wave": of } })
}

fn state(state: &str) -> Value {
    json!({ "spec": { "state": state } })
}

/// Everything that traces do not tell went well.
fn facts() -> Value {
    json!({
        "migrations_failed_share": 0.0, "guests_answering_share": 1.0, "critical_alerts": 0.0,
        "backups_failed_share": 0.0, "sources_switched_off_share": 1.0, "saving_realised_share": 1.0,
    })
}

fn review(measured: &str, facts: Value) -> Value {
    json!({ "spec": { "review": { "measured": measured, "facts": facts } } })
}

/// A plan of three waves; what was measured since as planned, and far busier.
async fn world() -> (World, Vec<String>) {
    let world = World::new().await;
    ready(&world, "may", &Files::of(&[(30, 40); 6])).await;
    ready(&world, "since", &Files::of(&[(30, 40); 6])).await;
    ready(&world, "busy", &Files::of(&[(39, 40); 6])).await;
    let mut asked = plan("p1", "may", 1);
    asked["spec"]["policy"]["phases"] = json!({ "pilot_servers": 2, "wave_servers": 2, "watch_days": 1 });
    world.post("/v1/plans", &asked).await.expect(201);
    let waves = made(&world, "p1").await.status.summary.unwrap().waves;
    assert_eq!(waves.len(), 3, "{waves:?}");
    (world, waves)
}

#[tokio::test]
async fn a_wave_is_done_when_its_gates_have_passed_and_then_the_next_may_run() {
    let (world, names) = world().await;
    world.post("/v1/waves", &wave("w1", &names[0])).await.expect(201);
    world.post("/v1/waves", &wave("w2", &names[1])).await.expect(201);
    world.post("/v1/waves", &wave("w9", "wave-99")).await.problem(400, "invalid_object");
    world.post("/v1/waves", &wave("again", &names[0])).await.problem(409, "in_use");
    world.patch("/v1/waves/w2", &state("running")).await.problem(409, "wave_turn");
    world.patch("/v1/waves/w1", &state("done")).await.problem(409, "wave_state");
    world.patch("/v1/waves/w1", &review("since", facts())).await.problem(409, "wave_state");
    world.patch("/v1/waves/w1", &state("running")).await.expect(200);
    world.patch("/v1/waves/w1", &state("done")).await.problem(409, "gates_not_passed");

    // What is not known lets nothing pass.
    let wait = "/v1/waves/w1?wait=ready&timeout_s=30";
    world.patch(wait, &review("since", json!({}))).await.expect(200);
    assert_eq!(world.read::<Wave>("w1").await.verdict(), Some(Verdict::Wait));
    let refused = world.patch("/v1/waves/w1", &state("done")).await.problem(409, "gates_not_passed");
    assert!(refused.detail.contains("migrations_failed_share"), "{refused:?}");
    world.patch(wait, &review("since", json!({ "weather": 1.0 }))).await.problem(409, "wait_failed");
    let told = world.read::<Wave>("w1").await.status.message;
    assert!(told.contains("weather is nothing to be stated"), "{told}");
    world.patch("/v1/waves/w1", &json!({ "spec": { "review": null } })).await.expect(200);
    world.patch(wait, &review("since", facts())).await.expect(200);

    // What has passed has passed, also for a server that was started anew.
    let World { server, store, folder, .. } = world;
    server.stop().await;
    let server = Server::start(config(folder.path(), 60_000), Arc::clone(&store)).await.unwrap();
    let socket = Config::socket(folder.path());
    let patch = async |name: &str, change: Value| {
        let body = serde_json::to_vec(&change).unwrap();
        raw::ask(&socket, "PATCH", &format!("/v1/waves/{name}"), &[], Some(&body)).await
    };
    patch("w1", state("done")).await.expect(200);
    patch("w1", state("running")).await.problem(409, "wave_state");
    patch("w2", state("running")).await.expect(200);
    // What came later goes first.
    patch("w1", state("rolled-back")).await.problem(409, "in_use");
    server.stop().await;
}

#[tokio::test]
async fn a_wave_that_is_too_busy_is_not_gone_on_with_and_holds_up_the_rest() {
    let (world, names) = world().await;
    for (name, of) in [("w1", &names[0]), ("w2", &names[1])] {
        world.post("/v1/waves", &wave(name, of)).await.expect(201);
    }
    world.patch("/v1/waves/w1", &state("running")).await.expect(200);
    let wait = "/v1/waves/w1?wait=ready&timeout_s=30";
    world.patch(wait, &review("busy", facts())).await.expect(200);
    let judged: Wave = world.read("w1").await;
    assert_eq!(judged.verdict(), Some(Verdict::Stop), "{judged:?}");
    world.patch("/v1/waves/w1", &state("done")).await.problem(409, "gates_not_passed");
    world.patch("/v1/waves/w1", &state("stopped")).await.expect(200);
    world.patch("/v1/waves/w1", &state("running")).await.problem(409, "gates_not_passed");
    world.patch("/v1/waves/w2", &state("running")).await.problem(409, "wave_turn");
    // Measured again, it is as planned, and goes on.
    world.patch(wait, &review("since", facts())).await.expect(200);
    world.patch("/v1/waves/w1", &state("running")).await.expect(200);
    world.patch("/v1/waves/w1", &state("rolled-back")).await.expect(200);
    world.patch("/v1/waves/w2", &state("running")).await.problem(409, "wave_turn");

    for path in ["/v1/plans/p1", "/v1/surveys/since"] {
        world.delete(path).await.problem(409, "in_use");
    }
    world.patch("/v1/waves/w1", &state("planned")).await.expect(200);
    world.patch("/v1/waves/w1", &state("running")).await.expect(200);
    world.delete("/v1/waves/w1").await.problem(409, "in_use");
    world.patch("/v1/waves/w1", &state("rolled-back")).await.expect(200);
    for path in ["/v1/waves/w1", "/v1/waves/w2", "/v1/plans/p1", "/v1/surveys/since"] {
        world.delete(path).await.expect(204);
    }
}

/// The first wave of a plan, carried out and reviewed.
async fn carried_out(world: &World, name: &str, of: &str) {
    world.post("/v1/waves", &wave(name, of)).await.expect(201);
    world.patch(&format!("/v1/waves/{name}"), &state("running")).await.expect(200);
    let wait = format!("/v1/waves/{name}?wait=ready&timeout_s=30");
    world.patch(&wait, &review("since", facts())).await.expect(200);
    world.patch(&format!("/v1/waves/{name}"), &state("done")).await.expect(200);
}

#[tokio::test]
async fn a_plan_goes_on_after_waves_that_are_done_and_nobody_moves_by_two_plans() {
    let (world, names) = world().await;
    let next = |name: &str, done: &str| {
        let mut next = plan(name, "since", 1);
        next["spec"]["policy"]["phases"] = json!({ "pilot_servers": 2, "wave_servers": 2, "watch_days": 1 });
        next["spec"]["after"] = json!({ "plan": "p1", "done": done });
        next
    };
    world.post("/v1/plans", &next("p2", &names[0])).await.problem(400, "invalid_object");
    carried_out(&world, "w1", &names[0]).await;
    world.post("/v1/plans", &next("p2", "wave-99")).await.problem(400, "invalid_object");
    world.post("/v1/plans", &next("p2", &names[0])).await.expect(201);
    world.post("/v1/plans", &next("p3", &names[0])).await.expect(201);
    let waves = made(&world, "p2").await.status.summary.unwrap().waves;
    made(&world, "p3").await;
    assert_eq!(waves[0], names[0], "what is done stays the first");
    let document = async |name: &str| world.get(&format!("/v1/plans/{name}/document")).await.json();
    let host_of = |document: &Value, server: &str| -> String {
        let hosts = document["hosts"].as_array().unwrap().iter();
        let found = hosts.filter(|host| host["servers"].as_array().unwrap().contains(&json!(server)));
        found.map(|host| host["id"].as_str().unwrap().to_owned()).collect()
    };
    let (first, second) = (document("p1").await, document("p2").await);
    for server in first["waves"][0]["servers"].as_array().unwrap() {
        let server = server.as_str().unwrap();
        assert_eq!(host_of(&first, server), host_of(&second, server));
    }

    // What stands on a wave holds it; and on a plan.
    world.patch("/v1/waves/w1", &state("rolled-back")).await.problem(409, "in_use");
    world.delete("/v1/plans/p1").await.problem(409, "in_use");
    // The pilot is over; the next wave is carried out by one of the plans alone.
    let of = |name: &str, plan: &str, wave: &str| json!({ "meta": { "name": name }, "spec": { "plan": plan, "wave": wave } });
    world.post("/v1/waves", &of("again", "p2", &waves[0])).await.problem(400, "invalid_object");
    for (name, plan) in [("of1", "p1"), ("of2", "p2"), ("of3", "p3")] {
        world.post("/v1/waves", &of(name, plan, &waves[1])).await.expect(201);
    }
    world.patch("/v1/waves/of2", &state("running")).await.expect(200);
    for other in ["of1", "of3"] {
        let refused = world.patch(&format!("/v1/waves/{other}"), &state("running")).await;
        let refused = refused.problem(409, "wave_turn");
        assert!(refused.detail.contains("p2 has begun"), "{refused:?}");
    }
    world.patch("/v1/waves/of2", &state("rolled-back")).await.expect(200);
    // Whoever called it back may go on by the plan before; then those after it wait.
    world.patch("/v1/waves/of1", &state("running")).await.expect(200);
    let refused = world.patch("/v1/waves/of3", &state("running")).await.problem(409, "wave_turn");
    assert!(refused.detail.contains("of the plan p1 before this one is running"), "{refused:?}");
}
