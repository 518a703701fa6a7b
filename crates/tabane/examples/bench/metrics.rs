//! What metrics of 10,000 VMs cost: taken in through the API, kept, and scraped.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tabane_client::{Call, Client, Question, Target};
use tabane_model::{Kind, Meta, Resource, Sample, Vm, VmSpec, api::HostReport};
use tabane_server::Config;

use crate::{Result, scale::join_simulated, spread};

const VMS: usize = 10_000;
const HOSTS: usize = 10;
/// As hosts send them.
const BATCH: usize = 200;
/// Rounds of 10 s: long enough that every VM's archive is written.
const ROUNDS: i64 = 90;

pub async fn metrics() -> Result<Value> {
    let folder = tempfile::Builder::new().prefix("tabane-bench-").tempdir_in("/var/tmp")?;
    let store = Arc::new(tabane_store::Sqlite::open(folder.path().join("store")).await?);
    let config = tabane_server::Config {
        folder: folder.path().join("server"),
        listen: "127.0.0.1:0".parse()?,
        names: Vec::new(),
        host_timeout_ms: 600_000,
    };
    let server = tabane_server::Server::start(config, store).await?;
    let client = Client::connect(Target::Local(folder.path().join("server/api.sock")), None).await?;
    let url = format!("https://{}/#{}", server.address, server.fingerprint.0);
    let mut hosts = Vec::new();
    for i in 0..HOSTS {
        hosts.push(join_simulated(&client, url.parse()?, &format!("h{i}")).await?);
    }
    let vms = create(&client).await?;
    let before_kb = resident_kb();
    let per_host: Vec<Vec<&Vm>> = (0..HOSTS)
        .map(|i| {
            vms.iter()
                .filter(|vm| vm.spec.host.as_ref().is_some_and(|h| h.as_str() == format!("h{i}")))
                .collect()
        })
        .collect();
    let now = jiff::Timestamp::now().as_millisecond() / 10_000;
    let mut rounds = Vec::new();
    let cpu = cpu_s();
    for round in now - ROUNDS..now {
        // What the hosts do is not measured: it is made before.
        let reports: Vec<Vec<HostReport>> =
            per_host.iter().map(|vms| vms.chunks(BATCH).map(|vms| report(vms, round)).collect()).collect();
        let began = Instant::now();
        futures_util::future::try_join_all(hosts.iter().zip(&reports).enumerate().map(
            |(i, (host, reports))| async move {
                for report in reports {
                    host.report(&format!("h{i}"), report).await?;
                }
                Ok::<_, tabane_client::Error>(())
            },
        ))
        .await?;
        rounds.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let round_cpu_ms = (cpu_s() - cpu) * 1e3 / ROUNDS as f64;
    let (mut scrapes, mut charts, mut bytes) = (Vec::new(), Vec::new(), 0);
    for i in 0..10 {
        // Fresh again, so that all are in the answer.
        let began = Instant::now();
        bytes = client.exposition().await?.len();
        scrapes.push(began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        client.metrics::<Vm>(&format!("vm{:05}", i * 997), &Question::default()).await?;
        charts.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let resident_kb = resident_kb();
    // Until all archives are there.
    let archives = Config::metrics(&folder.path().join("server"));
    let began = Instant::now();
    while files(&archives) < VMS && began.elapsed() < Duration::from_secs(120) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let archive = std::fs::read_dir(&archives)?
        .flatten()
        .find(|e| e.path().extension().is_some_and(|e| e == "archive"));
    let archive_bytes = archive.map_or(0, |e| e.metadata().map_or(0, |m| m.len()));
    server.stop().await;
    let round = spread(rounds);
    Ok(json!({
        "vms": VMS,
        "samples_per_s": (VMS as f64 / crate::median(&round) * 1e3).round(),
        "round_of_all_ms": round,
        "cpu_ms_per_round": round_cpu_ms.round(),
        "cpu_note": "of server and simulated hosts together, with TLS and JSON on both sides",
        "bytes_per_vm_year": archive_bytes,
        "archives_written": files(&archives),
        "resident_mb_of_metrics": (resident_kb - before_kb) / 1e3,
        "scrape_bytes": bytes,
        "scrape_ms": spread(scrapes),
        "chart_of_an_hour_ms": spread(charts),
    }))
}

async fn create(client: &Client) -> Result<Vec<Vm>> {
    const CLIENTS: usize = 32;
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..CLIENTS {
        let client = client.clone();
        tasks.spawn(async move {
            for i in (worker..VMS).step_by(CLIENTS) {
                let vm = Vm::new(Meta::new(format!("vm{i:05}").parse()?), VmSpec::new(1, 256 << 20));
                client.create(&vm, &Call::default()).await?;
            }
            Result::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    loop {
        let vms = client.list::<Vm>(&Call::default()).await?;
        if vms.iter().all(|vm| vm.spec.host.is_some()) {
            return Ok(vms);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn report(vms: &[&Vm], round: i64) -> HostReport {
    let samples = vms.iter().map(|vm| {
        let mut sample = Sample::new(Kind::Vm, vm.meta.name.clone(), vm.meta.uid, round * 10_000, 1, 1);
        let counter = Some(round.unsigned_abs() * 1_234_567);
        (sample.cpu_us, sample.memory_resident_bytes) = (counter, Some(200 << 20));
        (sample.disk_read_bytes, sample.disk_write_bytes) = (counter, counter);
        (sample.disk_read_ops, sample.disk_write_ops) = (counter, counter);
        (sample.net_receive_bytes, sample.net_transmit_bytes) = (counter, counter);
        sample
    });
    HostReport { samples: samples.collect(), ..HostReport::default() }
}

fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|e| e.path().extension().is_some_and(|e| e == "archive")).count()
}

fn resident_kb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    line.unwrap_or(f64::NAN)
}

fn cpu_s() -> f64 {
    crate::idle::cpu_ms(std::process::id()).unwrap_or(f64::NAN) / 1e3
}
