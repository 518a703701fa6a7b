//! Metrics: who may send and read them, over time, now, and for Prometheus.

use serde_json::{Value, json};
use tabane_model::{Kind, Role, Sample, Uid, Vm, api::HostReport};

use crate::{
    fake_host::{FakeHost, known},
    world::{World, vm},
};

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Samples of the last steps: one of two CPUs is busy, and a megabyte is written each second.
fn samples(kind: Kind, name: &str, uid: Uid, steps: i64) -> Vec<Sample> {
    let now = now_ms() / 10_000;
    let each = (now - steps..=now).map(|step| {
        let mut sample = Sample::new(kind, name.parse().unwrap(), uid, step * 10_000, 1, 2);
        sample.cpu_us = Some(u64::try_from(step).unwrap() * 10_000_000);
        sample.disk_write_bytes = Some(u64::try_from(step).unwrap() * 10_000_000);
        sample.memory_resident_bytes = Some(1 << 30);
        sample.memory_used_bytes = (kind == Kind::Host).then_some(1 << 33);
        sample
    });
    each.collect()
}

async fn send(host: &FakeHost, samples: Vec<Sample>) {
    let report = HostReport { samples, ..HostReport::default() };
    host.client.report(host.name.as_str(), &report).await.unwrap();
}

async fn placed(world: &World, name: &str) -> Vm {
    let mut body = vm(name);
    body["spec"]["power"] = json!("on");
    world.post("/v1/vms?wait=running&timeout_s=5", &body).await.expect(201);
    world.vm(name).await
}

fn known_values(answer: &Value, series: &str) -> Vec<f64> {
    answer["series"][series].as_array().unwrap().iter().filter_map(Value::as_f64).collect()
}

#[tokio::test]
async fn what_a_host_measured_is_told_over_time() {
    let world = World::new().await;
    let h1 = FakeHost::join(&world, "h1").await;
    let vm = placed(&world, "web1").await;
    send(&h1, samples(Kind::Vm, "web1", vm.meta.uid, 60)).await;
    // Doubled, as after a lost answer.
    send(&h1, samples(Kind::Vm, "web1", vm.meta.uid, 60)).await;
    let answer = world.get("/v1/vms/web1/metrics").await.expect(200).json();
    assert_eq!(answer["step_s"], 10);
    let times = answer["times"].as_array().unwrap().len();
    assert!((360..=362).contains(&times), "{times}");
    assert_eq!(answer["series"].as_object().unwrap().len(), 8);
    assert!(
        answer["series"].as_object().unwrap().values().all(|list| list.as_array().unwrap().len() == times)
    );
    assert_eq!(known_values(&answer, "cpu_ratio"), vec![0.5; 60]);
    assert_eq!(known_values(&answer, "disk_write_bytes_per_s"), vec![1e6; 60]);
    assert_eq!(known_values(&answer, "net_receive_bytes_per_s"), [0.0; 0]);
    // To the precision of the archives.
    assert!((known_values(&answer, "memory_used_bytes")[0] / f64::from(1u32 << 30) - 1.0).abs() < 1e-6);

    // Coarser, by what was asked or by how long it is.
    let hour = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1);
    let path = format!("/v1/vms/web1/metrics?from={hour}&step_s=60&statistic=max");
    let answer = world.get(&path).await.expect(200).json();
    assert_eq!(answer["step_s"], 60);
    assert_eq!(known_values(&answer, "cpu_ratio")[5], 0.5);
    let path = format!("/v1/vms/web1/metrics?from={}", now_ms() / 1000 - 86_400 * 300);
    let answer = world.get(&path).await.expect(200).json();
    assert!(answer["times"].as_array().unwrap().len() <= 1000);
    assert_eq!(known_values(&answer, "cpu_ratio").last(), Some(&0.5));
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused() {
    let world = World::new().await;
    let _h1 = FakeHost::join(&world, "h1").await;
    world.create_vm("web1").await;
    for query in ["from=yesterday", "to=5&from=6", "from=-1", "step_s=x", "unknown=1", "statistic=min"] {
        world.get(&format!("/v1/vms/web1/metrics?{query}")).await.problem(400, "invalid_query");
    }
    world.get("/v1/metrics/vms?sort=name").await.problem(400, "invalid_query");
    world.get("/v1/vms/none/metrics").await.problem(404, "not_found");
    world.get("/v1/hosts/none/metrics").await.problem(404, "not_found");
    // Nothing was measured: gaps, and no failure.
    let answer = world.get("/v1/vms/web1/metrics?step_s=0").await.expect(200).json();
    assert_eq!(known_values(&answer, "cpu_ratio"), [0.0; 0]);
}

#[tokio::test]
async fn a_host_speaks_for_itself_and_its_own_vms() {
    let world = World::new().await;
    let h1 = FakeHost::join(&world, "h1").await;
    let h2 = FakeHost::join(&world, "h2").await;
    let mut body = vm("web1");
    body["spec"]["placement"] = json!({ "host": "h1" });
    world.post("/v1/vms", &body).await.expect(201);
    let vm: Vm = world.until("web1", |vm: &Vm| vm.spec.host.is_some()).await;
    send(&h2, samples(Kind::Vm, "web1", vm.meta.uid, 3)).await;
    send(&h1, samples(Kind::Vm, "web1", Uid::now_v7(), 3)).await;
    let other = known(&world, "h1").await.meta.uid;
    send(&h2, samples(Kind::Host, "h1", other, 3)).await;
    send(&h2, samples(Kind::Disk, "h1", other, 3)).await;
    assert_eq!(world.get("/v1/metrics/vms").await.expect(200).json(), json!({ "items": [] }));
    assert_eq!(world.get("/v1/metrics/hosts").await.expect(200).json(), json!({ "items": [] }));
    send(&h1, samples(Kind::Vm, "web1", vm.meta.uid, 3)).await;
    let items = world.get("/v1/metrics/vms").await.expect(200).json()["items"].clone();
    assert_eq!((&items[0]["name"], &items[0]["host"]), (&json!("web1"), &json!("h1")));
    let too_many = vec![samples(Kind::Vm, "web1", vm.meta.uid, 1)[0].clone(); 1001];
    let report = HostReport { samples: too_many, ..HostReport::default() };
    assert_eq!(h1.client.report("h1", &report).await.unwrap_err().code(), Some("invalid_object"));
}

#[tokio::test]
async fn a_vm_of_the_same_name_begins_anew() {
    let world = World::new().await;
    let h1 = FakeHost::join(&world, "h1").await;
    let vm = placed(&world, "web1").await;
    send(&h1, samples(Kind::Vm, "web1", vm.meta.uid, 6)).await;
    assert_eq!(known_values(&world.get("/v1/vms/web1/metrics").await.json(), "cpu_ratio").len(), 6);
    world.delete("/v1/vms/web1?wait=deleted&timeout_s=5").await.expect(204);
    placed(&world, "web1").await;
    assert_eq!(known_values(&world.get("/v1/vms/web1/metrics").await.json(), "cpu_ratio"), [0.0; 0]);
    assert_eq!(world.get("/v1/metrics/vms").await.json(), json!({ "items": [] }));
}

#[tokio::test]
async fn the_busiest_come_first() {
    let world = World::new().await;
    let h1 = FakeHost::join(&world, "h1").await;
    for (name, share) in [("idle", 0), ("busy", 10), ("half", 5)] {
        let vm = placed(&world, name).await;
        let mut samples = samples(Kind::Vm, name, vm.meta.uid, 2);
        for (i, sample) in (0..).zip(&mut samples) {
            sample.cpu_us = Some(i * share * 2_000_000);
            sample.disk_write_bytes = Some(i * (10 - share));
        }
        send(&h1, samples).await;
    }
    let names = async |query: &str| -> Vec<String> {
        let answer = world.get(&format!("/v1/metrics/vms?{query}")).await.expect(200).json();
        let items = answer["items"].as_array().unwrap().iter();
        items.map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("").await, ["busy", "half", "idle"]);
    assert_eq!(names("limit=1").await, ["busy"]);
    assert_eq!(names("sort=disk_write_bytes_per_s").await, ["idle", "half", "busy"]);
}

#[tokio::test]
async fn prometheus_reads_what_was_measured() {
    let world = World::new().await;
    let h1 = FakeHost::join(&world, "h1").await;
    let vm = placed(&world, "web1").await;
    world.create_vm("off").await;
    send(&h1, samples(Kind::Vm, "web1", vm.meta.uid, 3)).await;
    let host = known(&world, "h1").await;
    send(&h1, samples(Kind::Host, "h1", host.meta.uid, 3)).await;
    let answer = world.get("/metrics").await.expect(200);
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = answer.text();
    let value = |series: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series} is not in\n{text}")).parse::<f64>().unwrap()
    };
    let now = (now_ms() / 10_000 * 10) as f64;
    assert!((value("tabane_vm_cpu_seconds_total{vm=\"web1\",host=\"h1\"}") - now).abs() < 30.0);
    assert_eq!(value("tabane_vm_running{vm=\"web1\",host=\"h1\"}"), 1.0);
    assert_eq!(value("tabane_vm_memory_resident_bytes{vm=\"web1\",host=\"h1\"}"), f64::from(1u32 << 30));
    assert_eq!(value("tabane_host_memory_used_bytes{host=\"h1\"}"), 8.0 * f64::from(1u32 << 30));
    assert_eq!(value("tabane_host_up{host=\"h1\"}"), 1.0);
    assert_eq!(value("tabane_vms{phase=\"running\"}"), 1.0);
    assert_eq!(value("tabane_vms{phase=\"crashed\"}"), 0.0);
    assert!(value("tabane_store_operation_duration_seconds_count{operation=\"txn\"}") > 2.0);
    assert!(value("tabane_api_requests_total{method=\"POST\",path=\"/v1/vms\",status=\"201\"}") >= 2.0);
    assert!(text.contains("tabane_build_info{version=\"") && text.ends_with("# EOF\n"));
    assert!(!text.contains("tabane_vm_network_receive_bytes_total{"), "nobody measured it");
    assert!(!text.contains("tabane_vm_disk_reads__total"), "{text}");
    // Paths are patterns: what strangers ask for makes no series.
    world.get("/v1/vms/made-up-name").await.expect(404);
    world.get("/made/up/path").await.expect(404);
    let text = world.get("/metrics").await.expect(200).text();
    assert!(!text.contains("made") && text.contains("path=\"/v1/vms/{name}\",status=\"404\""));
}

#[tokio::test]
async fn reading_suffices_and_a_token_is_needed() {
    let world = World::new().await;
    raw_refused(&world).await;
    for (role, code) in [(Role::Viewer, None), (Role::Operator, None), (Role::Join, Some("denied"))] {
        let token = world.token(&format!("t-{role}"), role).await;
        let client = world.client(&token).await;
        let refused = client.exposition().await.err().and_then(|error| error.code().map(String::from));
        assert_eq!(refused.as_deref(), code, "{role}");
        let refused =
            client.usage::<Vm>(None, None).await.err().and_then(|error| error.code().map(String::from));
        assert_eq!(refused.as_deref(), code, "{role}");
    }
}

async fn raw_refused(world: &World) {
    let client = world.client("tbn_admin_wrong").await;
    assert_eq!(client.exposition().await.unwrap_err().code(), Some("unauthenticated"));
}
