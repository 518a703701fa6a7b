//! The figures of `cargo xtask bench`, as one JSON object on standard output.
//!
//! Whole processes and the real API are measured, release build, with the same QEMU started by hand beside it. Timings are
//! medians of several rounds; the machine's noise is shown by the extremes.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tabane_client::{Call, Client, Target};
use tabane_model::{
    HostStatus, Image, ImageSource, ImageSpec, Kind, Meta, Name, Nic, Power, Resource, TokenSpec, Vm, VmDisk,
    VmPhase, VmSpec, VmStatus,
    api::{Change, HostReport, JoinRequest, StatusReport},
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const ROUNDS: usize = 9;

#[tokio::main]
async fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    let mut figures = serde_json::Map::new();
    if runs("start") {
        figures.insert("start".into(), start().await?);
    }
    if runs("idle") {
        figures.insert("idle".into(), idle().await?);
    }
    if runs("scale") {
        figures.insert("scale".into(), scale().await?);
    }
    println!("{}", serde_json::to_string_pretty(&figures)?);
    Ok(())
}

/// `tabane up` in a folder of its own.
struct Up {
    folder: tempfile::TempDir,
    child: Child,
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary() -> PathBuf {
    // Examples are built beside the binary.
    let here = std::env::current_exe().unwrap_or_default();
    here.parent().and_then(Path::parent).unwrap_or(Path::new("")).join("tabane")
}

async fn up() -> Result<(Up, Client)> {
    let folder = tempfile::Builder::new().prefix("tabane-bench-").tempdir_in("/var/tmp")?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;
    let log = std::fs::File::create(folder.path().join("up.log"))?;
    let child = Command::new(binary())
        .args(["up", "--name", "h1", "--listen", "127.0.0.1:0"])
        .env("TABANE_DATA_DIR", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    let up = Up { folder, child };
    let target = Target::Local(up.folder.path().join("server/api.sock"));
    let started = Instant::now();
    loop {
        if let Ok(client) = Client::connect(target.clone(), None).await
            && client.get::<tabane_model::Host>("h1", &wait("ready", 10)).await.is_ok()
        {
            return Ok((up, client));
        }
        if started.elapsed() > Duration::from_secs(60) {
            return Err("`tabane up` is not ready".into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn wait(until: &str, timeout_s: u64) -> Call {
    Call { wait: Some(until.into()), timeout_s: Some(timeout_s), ..Call::default() }
}

fn spread(mut samples: Vec<f64>) -> Value {
    samples.sort_by(f64::total_cmp);
    let at = |q: f64| samples[((samples.len() - 1) as f64 * q).round() as usize];
    let round = |v: f64| (v * 100.0).round() / 100.0;
    json!({ "min": round(at(0.0)), "median": round(at(0.5)), "p99": round(at(0.99)), "max": round(at(1.0)), "samples": samples.len() })
}

fn median(value: &Value) -> f64 {
    value["median"].as_f64().unwrap_or(f64::NAN)
}

fn tiny_vm(name: &str) -> Result<Vm> {
    let mut spec = VmSpec::new(1, 192 << 20);
    spec.power = Power::On;
    let (image, root, nic, network): (Name, Name, Name, Name) =
        ("tiny".parse()?, "root".parse()?, "nic0".parse()?, "default".parse()?);
    spec.disks.push(VmDisk {
        name: root,
        disk: None,
        image: Some(image),
        size_bytes: None,
        pool: None,
        clone: Default::default(),
        keep: false,
    });
    spec.nics.push(Nic { name: nic, network, mac: None, address: None, forwards: Vec::new() });
    Ok(Vm::new(Meta::new(name.parse()?), spec))
}

/// From the API call to a running QEMU, and to the guest agent's first answer; and the same by hand.
async fn start() -> Result<Value> {
    let (up, client) = up().await?;
    let source = ImageSource::Build { recipe: "tiny".into() };
    let spec = ImageSpec { source, sha256: None, format: None, os: None, default_user: None, host: None };
    client.create(&Image::new(Meta::new("tiny".parse()?), spec), &wait("ready", 600)).await?;
    let (mut running, mut agent, mut by_hand, mut by_hand_agent) = (vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        let name = format!("b{round}");
        let began = Instant::now();
        client.create(&tiny_vm(&name)?, &wait("running", 60)).await?;
        running.push(began.elapsed().as_secs_f64() * 1e3);
        let vm: Vm = client.get(&name, &wait("agent", 240)).await?;
        agent.push(began.elapsed().as_secs_f64() * 1e3);
        let pid = vm.status.pid.ok_or("it has no process")?;
        let arguments = command_line(pid)?;
        client.delete::<Vm>(&name, &Call { wait: None, ..wait("", 60) }).await?;
        let gone = Call { wait: Some("deleted".into()), timeout_s: Some(60), ..Call::default() };
        let _ = client.get::<Vm>(&name, &gone).await;
        let (started, answered) = start_by_hand(up.folder.path(), &arguments).await?;
        by_hand.push(started);
        by_hand_agent.push(answered);
    }
    let [running, agent, by_hand, by_hand_agent] = [running, agent, by_hand, by_hand_agent].map(spread);
    Ok(json!({
        "create_to_running_ms": running,
        "by_hand_daemonize_ms": by_hand,
        "running_ratio": (median(&running) / median(&by_hand) * 100.0).round() / 100.0,
        "running_ratio_wanted": 1.25,
        "create_to_agent_ms": agent,
        "by_hand_to_agent_ms": by_hand_agent,
        "agent_ratio": (median(&agent) / median(&by_hand_agent) * 100.0).round() / 100.0,
        "agent_ratio_wanted": 1.15,
        "note": "by hand: the same command line, as root and without the system call filter, with blank disks",
    }))
}

fn command_line(pid: u32) -> Result<Vec<String>> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline"))?;
    let words = bytes.split(|b| *b == 0).filter(|w| !w.is_empty());
    Ok(words.map(|w| String::from_utf8_lossy(w).into_owned()).collect())
}

/// The same QEMU with `-daemonize`: milliseconds until the command returns, and until the agent answers.
async fn start_by_hand(folder: &Path, arguments: &[String]) -> Result<(f64, f64)> {
    let here = folder.join("by-hand");
    let _ = std::fs::remove_dir_all(&here);
    std::fs::create_dir_all(&here)?;
    let mut words = Vec::new();
    let mut skip = false;
    for (i, word) in arguments.iter().enumerate().skip(1) {
        if std::mem::take(&mut skip) || word == "-S" {
            continue;
        }
        // `-daemonize` forks, which the filter forbids.
        if word == "-sandbox" {
            skip = true;
            continue;
        }
        let value = arguments.get(i + 1).map(String::as_str).unwrap_or_default();
        // The VM's disk and seed went with it: blank ones of the same form take their places.
        if word == "-blockdev" && value.contains("\"filename\"") {
            let mut node: Value = serde_json::from_str(value)?;
            rewrite(&mut node, &here)?;
            words.extend([word.clone(), node.to_string()]);
            skip = true;
            continue;
        }
        words.push(word.clone());
    }
    let began = Instant::now();
    let pid_file = here.join("pid");
    let status = Command::new(&arguments[0])
        .args(&words)
        .args(["-daemonize", "-pidfile"])
        .arg(&pid_file)
        .current_dir(&here)
        .stdout(Stdio::null())
        .status()?;
    let started = began.elapsed().as_secs_f64() * 1e3;
    if !status.success() {
        return Err("QEMU by hand failed".into());
    }
    let agent = tabane_qemu::agent::Agent::new(here.join("agent.sock"));
    while agent.ping_within(Duration::from_millis(150)).await.is_err() {
        if began.elapsed() > Duration::from_secs(240) {
            return Err("the guest by hand does not answer".into());
        }
    }
    let answered = began.elapsed().as_secs_f64() * 1e3;
    let pid = std::fs::read_to_string(&pid_file)?.trim().to_owned();
    Command::new("kill").args(["-9", &pid]).status()?;
    Ok((started, answered))
}

fn rewrite(node: &mut Value, folder: &Path) -> Result<()> {
    let Some(object) = node.as_object_mut() else { return Ok(()) };
    for value in object.values_mut() {
        rewrite(value, folder)?;
    }
    let Some(name) = object.get("filename").and_then(Value::as_str).map(String::from) else { return Ok(()) };
    let file = folder.join(Path::new(&name).file_name().unwrap_or_default());
    if !file.exists() {
        if name.ends_with(".qcow2") {
            tabane_qemu::qcow2::create(&file, 64 << 20, None)?;
        } else {
            std::fs::write(&file, vec![0; 1 << 20])?;
        }
    }
    object.insert("filename".into(), file.to_string_lossy().into_owned().into());
    Ok(())
}

/// Memory and CPU time of `tabane up` with 1,000 VMs defined.
async fn idle() -> Result<Value> {
    const VMS: usize = 1000;
    let (up, client) = up().await?;
    for i in 0..VMS {
        let mut spec = VmSpec::new(1, 256 << 20);
        spec.nics.push(Nic {
            name: "nic0".parse()?,
            network: "default".parse()?,
            mac: None,
            address: None,
            forwards: Vec::new(),
        });
        client.create(&Vm::new(Meta::new(format!("vm{i}").parse()?), spec), &Call::default()).await?;
    }
    client.get::<Vm>(&format!("vm{}", VMS - 1), &wait("stopped", 120)).await?;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let pid = up.child.id();
    let before = cpu_ms(pid)?;
    let seconds = 30;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let used = cpu_ms(pid)? - before;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let rss =
        status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
    Ok(json!({
        "vms": VMS,
        "resident_mb": rss.unwrap_or(f64::NAN) / 1e3 * 1.024,
        "resident_mb_wanted": 60,
        "cpu_percent_of_a_core": used / (seconds as f64 * 10.0),
        "cpu_percent_wanted": 1.0,
    }))
}

fn cpu_ms(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<f64> = rest.split_whitespace().skip(11).take(2).filter_map(|f| f.parse().ok()).collect();
    // Clock ticks are hundredths of a second on Linux.
    Ok(fields.iter().sum::<f64>() * 10.0)
}

/// 10,000 VMs on simulated hosts: durable creates with placement per second, and pages of the list.
async fn scale() -> Result<Value> {
    const VMS: usize = 10_000;
    const HOSTS: usize = 10;
    const CLIENTS: usize = 32;
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
    for i in 0..HOSTS {
        simulate_host(&client, url.parse()?, &format!("h{i}")).await?;
    }
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..CLIENTS {
        let client = client.clone();
        tasks.spawn(async move {
            for i in (worker..VMS).step_by(CLIENTS) {
                let mut spec = VmSpec::new(1, 256 << 20);
                spec.disks.clear();
                let name = format!("vm{i:05}").parse::<Name>()?;
                client.create(&Vm::new(Meta::new(name), spec), &Call::default()).await?;
            }
            Result::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let created = began.elapsed().as_secs_f64();
    // Placement is a part of it: the last one has its host.
    loop {
        let unplaced = Call { fields: Some("!host".into()), limit: Some(1), ..Call::default() };
        if client.page::<Vm>(&unplaced).await?.items.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let placed = began.elapsed().as_secs_f64();
    let mut pages = Vec::new();
    let mut cursor = None;
    for _ in 0..500 {
        let call = Call { cursor: cursor.take(), limit: Some(100), ..Call::default() };
        let began = Instant::now();
        let page = client.page::<Vm>(&call).await?;
        pages.push(began.elapsed().as_secs_f64() * 1e3);
        cursor = page.cursor;
    }
    server.stop().await;
    Ok(json!({
        "vms": VMS,
        "hosts": HOSTS,
        "creates_per_s": (VMS as f64 / created).round(),
        "creates_with_placement_per_s": (VMS as f64 / placed).round(),
        "creates_per_s_wanted": 500,
        "list_page_of_100_ms": spread(pages),
        "list_page_p99_ms_wanted": 20,
    }))
}

/// A host that says of every VM that it is stopped.
async fn simulate_host(admin: &Client, target: Target, name: &str) -> Result<()> {
    let spec = TokenSpec { role: tabane_model::Role::Join, ..TokenSpec::default() };
    let token = admin.create_token(&format!("join-{name}"), &spec).await?.secret;
    let joiner = Client::connect(target.clone(), Some(token)).await?;
    let answer = joiner.join(&JoinRequest { name: name.parse()?, agent: uuid::Uuid::now_v7() }).await?;
    let client = Client::connect(target, Some(answer.token)).await?;
    let mut events = client.watch_host(name).await?;
    let status = HostStatus { cpus: 128, memory_bytes: 4 << 40, ..HostStatus::default() };
    client.report(name, &HostReport { host: Some(status), ..HostReport::default() }).await?;
    let name = name.to_owned();
    tokio::spawn(async move {
        while let Ok(Some(change)) = events.next().await {
            let Change::Put { kind: Kind::Vm, object, .. } = change else { continue };
            let Ok(vm) = serde_json::from_value::<Vm>(object) else { continue };
            if vm.status.observed_generation == vm.meta.generation {
                continue;
            }
            let status = VmStatus {
                observed_generation: vm.meta.generation,
                phase: VmPhase::Stopped,
                ..VmStatus::default()
            };
            let status = StatusReport {
                kind: Kind::Vm,
                name: vm.meta.name.clone(),
                uid: vm.meta.uid,
                status: serde_json::to_value(&status).unwrap_or_default(),
            };
            let report = HostReport { statuses: vec![status], ..HostReport::default() };
            let _ = client.report(&name, &report).await;
        }
    });
    Ok(())
}
