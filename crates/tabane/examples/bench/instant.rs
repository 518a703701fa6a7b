//! Instant clones: from the API call to the agent's answer, one after the other and thirty at once, and what memory they
//! have for themselves.

use std::time::Instant;

use serde_json::{Value, json};
use tabane_client::{Call, Client};
use tabane_model::{
    CloneMode, Identity, Meta, Name, Quiesce, Resource, Snapshot, SnapshotSpec, Vm, api::CloneRequest,
};

use crate::{
    Result, spread,
    start::{build_tiny, tiny_vm},
    up, wait,
};

const ROUNDS: usize = 40;
const AT_ONCE: usize = 30;
/// Clones are looked at when they have run for a while.
const SETTLED_S: u64 = 20;

pub async fn instant() -> Result<Value> {
    let (_up, client) = up().await?;
    build_tiny(&client).await?;
    let source: Vm = client.create(&tiny_vm("source")?, &wait("agent", 300)).await?;
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    let began = Instant::now();
    let mut spec = SnapshotSpec::new("source".parse()?);
    (spec.memory, spec.quiesce) = (true, Quiesce::Off);
    client.create(&Snapshot::new(Meta::new("golden".parse()?), spec), &wait("ready", 120)).await?;
    let snapshot_ms = began.elapsed().as_secs_f64() * 1e3;

    let first_ms = timed(&client, &["first"]).await?;
    let mut alone = vec![];
    for round in 0..ROUNDS {
        let name = format!("c{round}");
        alone.push(timed(&client, &[&name]).await?);
        client.delete::<Vm>(&name, &wait("deleted", 60)).await?;
    }
    let names: Vec<String> = (0..AT_ONCE).map(|i| format!("d{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let began = Instant::now();
    let at_once_ms = timed(&client, &names).await?;
    for name in &names {
        client.get::<Vm>(name, &wait("identity", 600)).await?;
    }
    let renewed_s = began.elapsed().as_secs_f64();
    tokio::time::sleep(std::time::Duration::from_secs(SETTLED_S)).await;
    let template = private_bytes(&source)?;
    let mut private = vec![];
    for name in &names {
        let vm: Vm = client.get(name, &Call::default()).await?;
        private.push(private_bytes(&vm)? / template * 100.0);
    }
    for name in names.iter().chain(&["first", "source"]) {
        client.delete::<Vm>(name, &wait("deleted", 60)).await?;
    }
    Ok(json!({
        "snapshot_with_memory_ms": snapshot_ms.round(),
        "first_clone_ms": first_ms.round(),
        "call_to_agent_answer_ms": spread(alone),
        "call_to_agent_answer_wanted_p95_ms": 1000,
        "at_once": AT_ONCE,
        "at_once_until_all_agents_answer_s": (at_once_ms / 10.0).round() / 100.0,
        "at_once_wanted_s": 10,
        "at_once_until_all_are_machines_of_their_own_s": (renewed_s * 100.0).round() / 100.0,
        "template_private_mib": (template / f64::from(1 << 20)).round(),
        "private_percent_of_template": spread(private),
        "private_wanted_percent": 25,
        "note": "private is all private memory of the process: the guest's and QEMU's own",
    }))
}

/// Milliseconds until the agents of these clones answer.
async fn timed(client: &Client, names: &[&str]) -> Result<f64> {
    let request = CloneRequest {
        names: names.iter().map(|name| name.parse::<Name>()).collect::<std::result::Result<_, _>>()?,
        clone: CloneMode::Linked,
        snapshot: Some("golden".parse()?),
        instant: true,
        identity: Identity::Renew,
        start: true,
    };
    let began = Instant::now();
    client.clone_vm("source", &request, &Call::default()).await?;
    let each = names.iter().map(|name| client.get::<Vm>(name, &WAIT_AGENT));
    for answer in futures_util::future::join_all(each).await {
        answer?;
    }
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

static WAIT_AGENT: std::sync::LazyLock<Call> = std::sync::LazyLock::new(|| wait("agent", 300));

fn private_bytes(vm: &Vm) -> Result<f64> {
    let pid = vm.status.pid.ok_or("it has no process")?;
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let private = text.lines().filter(|line| line.starts_with("Private_"));
    let kib: u64 = private.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum();
    Ok(kib as f64 * 1024.0)
}
