//! Surveys and plans: files in, a plan out that the loads prove, whatever comes in between.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tabane_model::{
    Role, Survey,
    planning::{Plan, PlanPhase, SurveyPhase},
};
use tabane_server::Server;

use crate::{
    raw::{self, Answer},
    world::{World, config},
};

/// A folder of traces: servers whose CPU and memory are asked for in this share of a host, all the time.
pub struct Files {
    pub servers: String,
    pub cpu: String,
    pub memory: String,
}

const HOST_CPU_MHZ: u32 = 40_000;
const HOST_MEMORY_MIB: u32 = 65_536;

impl Files {
    /// Each server has its `(cpu, memory)` in hundredths of a host.
    pub fn of(shares: &[(u32, u32)]) -> Self {
        let head = "# first_bin_unix=1700000000 step_s=3600 columns=server,v0..v23\n";
        let mut files = Self {
            servers: "server,cores,cpu_cap_mhz,mem_cap_mib\n".into(),
            cpu: head.into(),
            memory: head.into(),
        };
        let row = |value: u32| vec![value.to_string(); 24].join(",");
        for (at, (cpu, memory)) in shares.iter().enumerate() {
            files.servers += &format!("s{at},8,40000,65536\n");
            files.cpu += &format!("s{at},{}\n", row(HOST_CPU_MHZ / 100 * cpu));
            files.memory += &format!("s{at},{}\n", row(HOST_MEMORY_MIB / 100 * memory));
        }
        files
    }

    /// Two of these never share a host, though no single resource tells: a better plan is looked for to the end.
    pub fn endless() -> Self {
        Self::of(&[(55, 40), (40, 55)].repeat(6))
    }

    fn all(&self) -> [(&'static str, &str); 3] {
        [("servers.csv", &self.servers), ("cpu_mhz.csv", &self.cpu), ("mem_mib.csv", &self.memory)]
    }

    fn survey(&self, name: &str) -> Value {
        let files: Vec<Value> =
            self.all().iter().map(|(file, text)| json!({ "name": file, "size_bytes": text.len() })).collect();
        json!({ "meta": { "name": name }, "spec": { "files": files } })
    }
}

pub fn plan(name: &str, survey: &str, time_limit_s: u32) -> Value {
    let host = json!({ "name": "r1", "cpu_cores": 16, "cpu_mhz": HOST_CPU_MHZ, "memory_mib": HOST_MEMORY_MIB, "price": 5000.0 });
    let policy = json!({ "memory": "active", "time_limit_s": time_limit_s });
    json!({ "meta": { "name": name }, "spec": { "survey": survey, "hosts": [host], "policy": policy } })
}

async fn send(world: &World, survey: &str, file: &str, text: &str) -> Answer {
    let path = format!("/v1/surveys/{survey}/files/{file}");
    raw::ask(&world.socket(), "PUT", &path, &[], Some(text.as_bytes())).await
}

async fn push(world: &World, name: &str, files: &Files) {
    world.post("/v1/surveys", &files.survey(name)).await.expect(201);
    for (file, text) in files.all() {
        send(world, name, file, text).await.expect(204);
    }
}

pub async fn ready(world: &World, name: &str, files: &Files) -> Survey {
    push(world, name, files).await;
    world.until::<Survey>(name, |survey| survey.status.phase == SurveyPhase::Ready).await
}

pub async fn made(world: &World, name: &str) -> Plan {
    world.get(&format!("/v1/plans/{name}?wait=ready&timeout_s=60")).await.expect(200);
    world.read(name).await
}

#[tokio::test]
async fn a_survey_is_sent_and_a_plan_of_it_is_made_and_kept() {
    let world = World::new().await;
    // A plan may be asked for before the loads are here.
    let files = Files::of(&[(40, 10), (40, 10), (10, 40), (10, 40)]);
    world.post("/v1/surveys", &files.survey("may")).await.expect(201);
    world.post("/v1/plans", &plan("p1", "may", 5)).await.expect(201);
    let waiting = |plan: &Plan| plan.status.message == "waits for the survey may";
    world.until("p1", waiting).await;
    for (file, text) in files.all() {
        send(&world, "may", file, text).await.expect(204);
    }
    let plan = made(&world, "p1").await;
    let survey: Survey = world.read("may").await;
    assert_eq!((survey.status.servers, survey.status.days, survey.status.step_s), (4, 1.0, 3600));
    assert_eq!(survey.status.metrics, ["cpu_mhz", "mem_mib"]);
    let summary = plan.status.summary.unwrap();
    assert_eq!((summary.servers, summary.hosts, summary.spare_hosts, summary.unplaced), (4, 2, 1, 0));

    // The document is the plan as everybody knows it, and the loads prove it.
    let document = world.get("/v1/plans/p1/document").await.expect(200);
    let document: tabane_model::Plan = serde_json::from_value(document.json()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    files.all().iter().for_each(|(file, text)| std::fs::write(folder.path().join(file), text).unwrap());
    let traces = tabane_survey::read_folder(folder.path()).unwrap();
    let faults = tabane_core::plan::verify(&document, &traces);
    assert!(faults.is_empty(), "{faults:?}");
    let page = world.get("/v1/plans/p1/report?lang=ja").await.expect(200);
    assert!(String::from_utf8_lossy(&page.body).contains("<html lang=\"ja\""));
    world.get("/v1/plans/p1/report?lang=fr").await.problem(400, "invalid_query");

    // What was made from it stays, and nothing of both changes.
    world.delete("/v1/surveys/may").await.problem(409, "in_use");
    let change = json!({ "spec": { "policy": { "spare_hosts": 0 } } });
    world.patch("/v1/plans/p1", &change).await.problem(400, "invalid_object");
    world.patch("/v1/plans/p1", &json!({ "spec": { "note": "first" } })).await.expect(200);
    let change = json!({ "spec": { "files": [{ "name": "servers.csv", "size_bytes": 1 }, { "name": "cpu_mhz.csv", "size_bytes": 1 }] } });
    world.patch("/v1/surveys/may", &change).await.problem(400, "invalid_object");
    world.delete("/v1/plans/p1").await.expect(204);
    world.delete("/v1/surveys/may").await.expect(204);
    // Their files go with them.
    let left = || {
        ["surveys", "plans"].map(|kind| std::fs::read_dir(world.folder.path().join(kind)).unwrap().count())
    };
    for _ in 0..100 {
        if left() == [0, 0] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("files are left: {:?}", left());
}

#[tokio::test]
async fn a_plan_that_cannot_be_kept_says_so_holds_up_nobody_and_is_made_later() {
    let world = World::new().await;
    let files = Files::of(&[(40, 10), (10, 40)]);
    world.post("/v1/surveys", &files.survey("may")).await.expect(201);
    world.post("/v1/plans", &plan("p1", "may", 1)).await.expect(201);
    world.post("/v1/plans", &plan("p2", "may", 1)).await.expect(201);
    // Something is in the way of its folder.
    let first: Plan = world.read("p1").await;
    let place = world.folder.path().join("plans").join(first.meta.uid.to_string());
    std::fs::write(&place, "").unwrap();
    for (file, text) in files.all() {
        send(&world, "may", file, text).await.expect(204);
    }
    made(&world, "p2").await;
    let told = |plan: &Plan| {
        plan.status.phase == PlanPhase::Pending && plan.status.message.contains("tried again in")
    };
    world.until("p1", told).await;
    std::fs::remove_file(&place).unwrap();
    made(&world, "p1").await;
}

#[tokio::test]
async fn servers_are_moved_about_and_plans_compared_and_nothing_is_kept() {
    let world = World::new().await;
    ready(&world, "may", &Files::of(&[(40, 40), (40, 40), (40, 40), (40, 40)])).await;
    world.post("/v1/plans", &plan("p1", "may", 1)).await.expect(201);
    world.post("/v1/plans/p1/try", &json!({ "moves": [] })).await.problem(409, "plan_not_ready");
    made(&world, "p1").await;
    let document = world.get("/v1/plans/p1/document").await.json();
    let (one, other) = (&document["hosts"][0], &document["hosts"][1]);
    let revision = world.settled().await;
    let moves = json!({ "moves": [{ "server": other["servers"][0], "host": "n", "host_type": "r1" }] });
    let trial = world.post("/v1/plans/p1/try", &moves).await.expect(200).json();
    assert_eq!(trial["hosts"].as_array().unwrap().len(), 2, "{trial}");
    assert_eq!((&trial["fits"], &trial["cost"]["hosts_after"]), (&json!(true), &json!(20_000.0)));
    let moves = json!({ "moves": [
        { "server": other["servers"][0], "host": one["id"] },
        { "server": other["servers"][1], "host": one["id"] },
    ] });
    let trial = world.post("/v1/plans/p1/try", &moves).await.expect(200).json();
    assert_eq!((&trial["fits"], &trial["cost"]["hosts_after"]), (&json!(false), &json!(10_000.0)));
    let text = trial["hosts"][0]["breaches"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("host-001 would have to carry"), "{text}");
    let unknown = json!({ "moves": [{ "server": "s0", "host": "host-77" }] });
    let refused = world.post("/v1/plans/p1/try", &unknown).await.problem(400, "invalid_object");
    assert_eq!(refused.field.as_deref(), Some("moves[0].host"));
    let many = vec![json!({ "server": "s0", "host": "host-001" }); 1_001];
    world.post("/v1/plans/p1/try", &json!({ "moves": many })).await.problem(400, "invalid_object");
    assert_eq!(world.settled().await, revision, "something was written");
    assert_eq!(world.get("/v1/plans/p1/document").await.json(), document);

    let mut grown = plan("grown", "may", 1);
    grown["spec"]["policy"]["growth"] = json!({ "cpu_percent": 100 });
    world.post("/v1/plans", &grown).await.expect(201);
    made(&world, "grown").await;
    let compared = world.get("/v1/plans/p1/compare/grown").await.expect(200).json();
    assert_eq!((&compared["a"]["hosts"], &compared["b"]["name"]), (&json!(2), &json!("grown")));
    assert!(compared["b"]["hosts"].as_u64() > Some(2), "{compared}");
    assert!(!compared["moved"].as_array().unwrap().is_empty());
    ready(&world, "june", &Files::of(&[(40, 10)])).await;
    world.post("/v1/plans", &plan("other", "june", 1)).await.expect(201);
    world.get("/v1/plans/p1/compare/other").await.problem(409, "other_survey");
}

#[tokio::test]
async fn files_are_those_that_were_named_whole_and_once() {
    let world = World::new().await;
    let files = Files::of(&[(40, 10)]);
    for name in ["../servers.csv", "shadow", "a_servers.csv"] {
        let mut bad = files.survey("bad");
        bad["spec"]["files"][0]["name"] = name.into();
        world.post("/v1/surveys", &bad).await.problem(400, "invalid_object");
    }
    world.post("/v1/surveys", &files.survey("may")).await.expect(201);
    send(&world, "may", "net_rx_kbs.csv", "x").await.problem(400, "invalid_object");
    send(&world, "may", "..%2f..%2fservers.csv", "x").await.problem(400, "invalid_object");
    send(&world, "june", "servers.csv", "x").await.problem(404, "not_found");
    send(&world, "may", "servers.csv", "short").await.problem(409, "upload_broke_off");
    let long = format!("{}x", files.servers);
    send(&world, "may", "servers.csv", &long).await.problem(409, "upload_broke_off");
    let eye = world.token("eye", Role::Viewer).await;
    let headers = [("Authorization", format!("Bearer {eye}"))];
    let headers = [(headers[0].0, headers[0].1.as_str())];
    let path = "/v1/surveys/may/files/servers.csv";
    raw::ask(&world.socket(), "PUT", path, &headers, Some(files.servers.as_bytes()))
        .await
        .problem(403, "denied");
    // None of that has left anything.
    let uid = world.read::<Survey>("may").await.meta.uid.to_string();
    let folder = world.folder.path().join("surveys").join(uid);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    send(&world, "may", "servers.csv", &files.servers).await.expect(204);
    send(&world, "may", "servers.csv", &files.servers).await.problem(409, "not_uploading");
    world.until::<Survey>("may", |survey| survey.status.received == ["servers.csv"]).await;
}

#[tokio::test]
async fn what_cannot_be_read_or_planned_is_told_and_holds_up_nobody() {
    let world = World::new().await;
    let mut files = Files::of(&[(40, 10)]);
    files.cpu = files.cpu.replacen(",16000", ",16OOO", 1);
    push(&world, "odd", &files).await;
    let survey = world.until::<Survey>("odd", |survey| survey.status.phase == SurveyPhase::Failed).await;
    assert!(survey.status.message.starts_with("cpu_mhz.csv, line 2, column 2"), "{}", survey.status.message);
    world.post("/v1/plans", &plan("of-odd", "odd", 1)).await.expect(201);
    world.get("/v1/plans/of-odd?wait=ready").await.problem(409, "wait_failed");
    world.get("/v1/plans/of-odd/document").await.problem(409, "plan_not_ready");

    ready(&world, "good", &Files::of(&[(40, 10)])).await;
    let mut impossible = plan("nobody", "good", 1);
    impossible["spec"]["policy"]["exclude"] = json!(["s0"]);
    world.post("/v1/plans", &impossible).await.expect(201);
    world.post("/v1/plans", &plan("fine", "good", 1)).await.expect(201);
    made(&world, "fine").await;
    let nobody: Plan = world.read("nobody").await;
    assert_eq!(nobody.status.phase, PlanPhase::Failed);
    assert!(nobody.status.message.contains("no server is left to plan for"), "{}", nobody.status.message);

    world.post("/v1/plans", &plan("lost", "none", 1)).await.problem(400, "invalid_object");
    world.post("/v1/plans", &plan("long", "good", 100_000)).await.problem(400, "invalid_object");
    let mut empty = plan("empty", "good", 1);
    empty["spec"]["hosts"] = json!([]);
    let refused = world.post("/v1/plans", &empty).await.problem(400, "invalid_object");
    assert_eq!(refused.field.as_deref(), Some("spec.hosts"), "{refused:?}");
}

#[tokio::test]
async fn a_plan_that_is_deleted_is_given_up_and_the_next_is_made() {
    let world = World::new().await;
    ready(&world, "may", &Files::endless()).await;
    world.post("/v1/plans", &plan("long", "may", 600)).await.expect(201);
    world.post("/v1/plans", &plan("short", "may", 1)).await.expect(201);
    let at_work = |plan: &Plan| plan.status.progress.as_ref().is_some_and(|progress| progress.turns > 0);
    let long: Plan = world.until("long", at_work).await;
    assert_eq!(long.status.phase, PlanPhase::Making);
    assert_eq!(long.status.progress.unwrap().cost, Some(12.0));
    assert_eq!(world.read::<Plan>("short").await.status.phase, PlanPhase::Pending);
    world.delete("/v1/plans/long").await.expect(204);
    // Another one of the same name is another one.
    world.post("/v1/plans", &plan("long", "may", 1)).await.expect(201);
    made(&world, "short").await;
    let long = made(&world, "long").await;
    assert_eq!(long.status.summary.unwrap().hosts, 12);
}

#[tokio::test]
async fn a_plan_that_was_being_made_when_the_server_ended_is_made_again() {
    let world = World::new().await;
    ready(&world, "may", &Files::endless()).await;
    world.post("/v1/plans", &plan("p1", "may", 3)).await.expect(201);
    world.until::<Plan>("p1", |plan| plan.status.phase == PlanPhase::Making).await;
    let World { server, store, folder, .. } = world;
    server.stop().await;
    let server = Server::start(config(folder.path(), 60_000), Arc::clone(&store)).await.unwrap();
    let socket = tabane_server::Config::socket(folder.path());
    let plan = raw::ask(&socket, "GET", "/v1/plans/p1?wait=ready", &[], None).await.expect(200).json();
    assert_eq!(plan["status"]["summary"]["hosts"], 12);
    raw::ask(&socket, "GET", "/v1/plans/p1/document", &[], None).await.expect(200);
    server.stop().await;
}
