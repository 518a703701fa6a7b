//! Clones of a 10 GiB image, from the API call to the disk being ready, with virt-clone beside it; and fifty deployments at
//! once.

use std::{
    io::Write,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tabane_client::{Call, Client};
use tabane_model::{Meta, Power, Resource, Vm};

use crate::{
    Result, Up, binary,
    by_hand::command_line,
    median, spread,
    start::{build_tiny, tiny_vm},
    up,
    virsh::Virsh,
    wait,
};

const ROUNDS: usize = 40;
const ROUNDS_OF_VIRT_CLONE: usize = 3;
const IMAGE_BYTES: u64 = 10 << 30;
/// As much as a small Debian has.
const DATA_BYTES: usize = 1 << 30;
const AT_ONCE: usize = 50;

pub async fn clone() -> Result<Value> {
    let (up, client) = up().await?;
    let content = up.folder.path().join("big.qcow2");
    import_big(&up, &content)?;
    let mut linked = vec![];
    for round in 0..ROUNDS {
        let name = format!("c{round}");
        let mut spec = tiny_vm(&name)?.spec;
        spec.power = Power::Off;
        spec.disks[0].image = Some("big".parse()?);
        let began = Instant::now();
        client.create(&Vm::new(Meta::new(name.parse()?), spec), &wait("ready", 60)).await?;
        linked.push(began.elapsed().as_secs_f64() * 1e3);
    }
    for round in 0..ROUNDS {
        client.delete::<Vm>(&format!("c{round}"), &Call::default()).await?;
    }
    build_tiny(&client).await?;
    let began = deploy_many(&up, &client).await?;
    let vm: Vm = client.create(&tiny_vm("like")?, &wait("running", 60)).await?;
    let like = command_line(vm.status.pid.ok_or("it has no process")?)?;
    client.delete::<Vm>("like", &wait("deleted", 60)).await?;
    let mut by_virt_clone = vec![];
    if let Some(virsh) = Virsh::open(up.folder.path(), &like)? {
        for _ in 0..ROUNDS_OF_VIRT_CLONE {
            by_virt_clone.extend(virsh.clone_with(&content)?);
        }
    }
    let linked = spread(linked);
    let (peer, times_faster) = if by_virt_clone.is_empty() {
        (Value::Null, Value::Null)
    } else {
        let peer = spread(by_virt_clone);
        let ratio = (median(&peer) / median(&linked)).round();
        (peer, json!(ratio))
    };
    Ok(json!({
        "linked_clone_of_10_gib_ready_ms": linked,
        "linked_clone_wanted_p50_ms": 50,
        "virt_clone_ms": peer,
        "times_faster_than_virt_clone": times_faster,
        "times_faster_wanted": 20,
        "deployments_at_once": began,
        "note": "virt-clone copies the data, as it always does; a linked clone stands on the image",
    }))
}

/// An image of 10 GiB with 1 GiB of data that does not compress.
fn import_big(up: &Up, content: &Path) -> Result<()> {
    let raw = up.folder.path().join("big.raw");
    let mut file = std::fs::File::create(&raw)?;
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut chunk = vec![0u8; 1 << 20];
    for _ in 0..DATA_BYTES >> 20 {
        for word in chunk.chunks_exact_mut(8) {
            // Xorshift: fast, and nothing that any compression finds.
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            word.copy_from_slice(&seed.to_le_bytes());
        }
        file.write_all(&chunk)?;
    }
    file.set_len(IMAGE_BYTES)?;
    let made = Command::new("qemu-img")
        .args(["convert", "-f", "raw", "-O", "qcow2"])
        .arg(&raw)
        .arg(content)
        .status()?;
    std::fs::remove_file(&raw)?;
    let imported = Command::new(binary())
        .args(["image", "import", "big"])
        .arg(content)
        .env("TABANE_DATA_DIR", up.folder.path())
        .stdout(std::process::Stdio::null())
        .status()?;
    if made.success() && imported.success() { Ok(()) } else { Err("the image cannot be made".into()) }
}

/// Fifty VMs asked for at once, until all of their agents answer; whose CPU time that is.
async fn deploy_many(up: &Up, client: &Client) -> Result<Value> {
    let before = cpu_s(up.child.id())?;
    let began = Instant::now();
    let vms = (0..AT_ONCE).map(|i| tiny_vm(&format!("d{i}"))).collect::<Result<Vec<_>>>()?;
    let each = vms.into_iter().map(|vm| {
        let client = client.clone();
        async move {
            let name = vm.meta.name.to_string();
            client.create(&vm, &Call::default()).await?;
            client.get::<Vm>(&name, &wait("agent", 1800)).await
        }
    });
    let answers = futures_util::future::join_all(each).await;
    let took = began.elapsed();
    let ours = cpu_s(up.child.id())? - before;
    let (mut failed, mut theirs) = (0, 0.0);
    for answer in answers {
        match answer {
            Ok(vm) => theirs += vm.status.pid.map_or(Ok(0.0), cpu_s)?,
            Err(_) => failed += 1,
        }
    }
    for i in 0..AT_ONCE {
        client.delete::<Vm>(&format!("d{i}"), &Call::default()).await?;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let share = ours / (ours + theirs) * 100.0;
    Ok(json!({
        "count": AT_ONCE,
        "failed": failed,
        "until_all_agents_answer_s": took.as_secs(),
        "our_cpu_s": (ours * 10.0).round() / 10.0,
        "qemu_cpu_s": (theirs * 10.0).round() / 10.0,
        "our_share_percent": (share * 100.0).round() / 100.0,
        "our_share_wanted_percent": 10,
    }))
}

/// CPU time of a process, in seconds.
fn cpu_s(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().filter_map(|i| fields.get(*i)?.parse::<u64>().ok()).sum();
    // USER_HZ is 100 for programs on every Linux that we run on.
    Ok(ticks as f64 / 100.0)
}
