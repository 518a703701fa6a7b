//! Waiting for what a host does.

use serde_json::json;
use tabane_model::{Guest, VmPhase, VmStatus};

use crate::{
    fake_host::{FakeHost, Options, status_report},
    world::{MIB, World, vm},
};

#[tokio::test]
async fn a_vm_is_waited_for_from_birth_to_death() {
    let world = World::new().await;
    let _host = FakeHost::join(&world, "h1").await;
    let mut object = vm("web1");
    object["spec"]["power"] = json!("on");
    object["spec"]["disks"] = json!([{ "name": "root", "size_bytes": MIB }]);
    let made = world.post("/v1/vms?wait=running&timeout_s=5", &object).await.expect(201).json();
    assert_eq!((&made["status"]["phase"], &made["spec"]["host"]), (&json!("running"), &json!("h1")));
    world.get("/v1/disks/web1-root?wait=ready&timeout_s=5").await.expect(200);
    let off = world.post("/v1/vms/web1/shutdown?wait=stopped&timeout_s=5", &json!({})).await.expect(200);
    assert_eq!(off.json()["status"]["phase"], "stopped");
    let seen = world.patch("/v1/vms/web1?wait=observed&timeout_s=5", &json!({ "spec": { "cpus": 2 } })).await;
    let seen = seen.expect(200).json();
    assert_eq!(seen["status"]["observed_generation"], seen["meta"]["generation"]);
    world.get("/v1/hosts/h1?wait=ready&timeout_s=5").await.expect(200);
    world.delete("/v1/vms/web1?wait=deleted&timeout_s=5").await.expect(204);
    world.get("/v1/vms/web1").await.problem(404, "not_found");
    world.get("/v1/vms/web1?wait=deleted&timeout_s=1").await.expect(204);
    world.get("/v1/vms/web1?wait=running&timeout_s=1").await.problem(404, "not_found");
}

#[tokio::test]
async fn a_time_out_is_a_problem_and_the_object_stays() {
    let world = World::new().await;
    let mut object = vm("web1");
    object["spec"]["power"] = json!("on");
    let problem =
        world.post("/v1/vms?wait=running&timeout_s=0", &object).await.problem(504, "wait_timed_out");
    assert_eq!(problem.detail, "waited 0 s for vm web1 (running)");
    world.get("/v1/vms/web1").await.expect(200);
    let _host = FakeHost::join_with(&world, "h1", Options { idle: true, ..Options::default() }).await;
    world.until::<tabane_model::Vm>("web1", |vm| vm.spec.host.is_some()).await;
    world.delete("/v1/vms/web1?wait=deleted&timeout_s=0").await.problem(504, "wait_timed_out");
    let marked = world.delete("/v1/vms/web1").await.expect(202).json();
    assert!(marked["meta"]["deleted_at"].is_string());
    world.patch("/v1/vms/web1", &json!({ "spec": { "cpus": 2 } })).await.problem(409, "being_deleted");
}

#[tokio::test]
async fn an_image_that_fails_ends_the_wait_with_its_reason() {
    let world = World::new().await;
    let options = Options { image_failure: Some("the server answers 404".into()), ..Options::default() };
    let _host = FakeHost::join_with(&world, "h1", options).await;
    let image = json!({ "meta": { "name": "i1" }, "spec": { "source": { "build": { "recipe": "tiny" } } } });
    let problem = world.post("/v1/images?wait=ready&timeout_s=5", &image).await.problem(409, "wait_failed");
    assert_eq!(problem.detail, "the server answers 404");
    assert_eq!(world.get("/v1/images/i1").await.expect(200).json()["status"]["phase"], "failed");
}

#[tokio::test]
async fn an_image_becomes_ready_on_one_host() {
    let world = World::new().await;
    let _hosts = [FakeHost::join(&world, "h1").await, FakeHost::join(&world, "h2").await];
    let image = json!({ "meta": { "name": "i1" }, "spec": { "source": { "build": { "recipe": "tiny" } } } });
    let ready = world.post("/v1/images?wait=ready&timeout_s=5", &image).await.expect(201).json();
    assert_eq!(ready["status"]["phase"], "ready");
    let problem = world
        .post("/v1/disks", &json!({ "meta": { "name": "d" }, "spec": { "pool": "local", "image": "i1", "size_bytes": MIB } }))
        .await
        .problem(400, "invalid_object");
    assert_eq!(problem.hint.as_deref(), Some("use at least 1 GiB"));
}

#[tokio::test]
async fn what_a_host_said_before_it_went_away_is_not_believed() {
    let world = World::new().await;
    let host = FakeHost::join(&world, "h1").await;
    let mut object = vm("web1");
    object["spec"]["power"] = json!("on");
    world.post("/v1/vms?wait=running&timeout_s=5", &object).await.expect(201);
    let said = world.until::<tabane_model::Vm>("web1", |vm| vm.status.phase == VmPhase::Running).await;
    let client = host.client.clone();
    drop(host);
    // Its watch ends when the server next writes to it; until then it cannot be told from a silent one.
    let mut events = client.watch_host("h1").await.unwrap();
    world.get("/v1/vms/web1?wait=running&timeout_s=0").await.problem(504, "wait_timed_out");
    let wait = world.get("/v1/vms/web1?wait=running&timeout_s=5");
    let say = async {
        events.next_host().await.unwrap();
        // The very same: nothing in the store changes.
        client.report("h1", &status_report(&said, &said.status)).await.unwrap();
    };
    let (answer, ()) = tokio::join!(wait, say);
    answer.expect(200);
}

#[tokio::test]
async fn an_answer_of_the_agent_and_a_pause_are_waited_for() {
    let world = World::new().await;
    let host = FakeHost::join_with(&world, "h1", Options { idle: true, ..Options::default() }).await;
    world.create_vm("web1").await;
    let vm = world.until::<tabane_model::Vm>("web1", |vm| vm.spec.host.is_some()).await;
    let say = async |phase: VmPhase, agent: bool| {
        let guest = agent.then(|| Guest { agent: true, ..Guest::default() });
        let status = VmStatus { phase, guest, observed_generation: 1, ..VmStatus::default() };
        host.say(&vm, &status).await.unwrap();
    };
    say(VmPhase::Running, false).await;
    world.get("/v1/vms/web1?wait=agent&timeout_s=0").await.problem(504, "wait_timed_out");
    let waiting = world.get("/v1/vms/web1?wait=agent&timeout_s=5");
    let (answer, ()) = tokio::join!(waiting, say(VmPhase::Running, true));
    assert_eq!(answer.expect(200).json()["status"]["guest"]["agent"], true);
    world.get("/v1/vms/web1?wait=paused&timeout_s=0").await.problem(504, "wait_timed_out");
    let waiting = world.get("/v1/vms/web1?wait=paused&timeout_s=5");
    let (answer, ()) = tokio::join!(waiting, say(VmPhase::Paused, true));
    answer.expect(200);
    // A paused guest does not answer, whatever it did before.
    world.get("/v1/vms/web1?wait=agent&timeout_s=0").await.problem(504, "wait_timed_out");
}
