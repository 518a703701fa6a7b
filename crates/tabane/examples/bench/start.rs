//! From the API call to a running QEMU, and to the guest agent's first answer; beside it by hand and by libvirt.

use std::time::Instant;

use serde_json::{Value, json};
use tabane_client::{Call, Client};
use tabane_model::{Image, ImageSource, ImageSpec, Meta, Name, Nic, Power, Resource, Vm, VmDisk, VmSpec};

use crate::{
    Result,
    by_hand::{command_line, start_by_hand},
    median, spread, up,
    virsh::Virsh,
    wait,
};

const ROUNDS: usize = 15;
/// Each takes some seconds.
const ROUNDS_OF_VIRSH: usize = 5;

pub fn tiny_vm(name: &str) -> Result<Vm> {
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
        from: None,
        clone: Default::default(),
        keep: false,
        bus: Default::default(),
        limits: Default::default(),
    });
    spec.nics.push(Nic {
        name: nic,
        network,
        mac: None,
        address: None,
        forwards: Vec::new(),
        model: Default::default(),
        limits: Default::default(),
    });
    Ok(Vm::new(Meta::new(name.parse()?), spec))
}

pub async fn build_tiny(client: &Client) -> Result<()> {
    let source = ImageSource::Build { recipe: "tiny".into() };
    let spec = ImageSpec::new(source);
    client.create(&Image::new(Meta::new("tiny".parse()?), spec), &wait("ready", 600)).await?;
    Ok(())
}

/// From the API call to a running QEMU, and to the guest agent's first answer; and the same by hand.
pub async fn start() -> Result<Value> {
    let (up, client) = up().await?;
    build_tiny(&client).await?;
    let (mut running, mut agent, mut by_hand, mut by_hand_agent) = (vec![], vec![], vec![], vec![]);
    let (mut like, mut by_virsh) = (vec![], vec![]);
    for round in 0..ROUNDS {
        let name = format!("b{round}");
        eprintln!("round {} of {ROUNDS}", round + 1);
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
        like = arguments;
    }
    // Afterwards, since its daemons go on working for a while after each start.
    if let Some(virsh) = Virsh::open(up.folder.path(), &like)? {
        for _ in 0..ROUNDS_OF_VIRSH {
            by_virsh.push(virsh.start()?);
        }
    }
    let ratios = running.iter().zip(&by_hand).map(|(ours, theirs)| ours / theirs).collect();
    let by_virsh = if by_virsh.is_empty() { Value::Null } else { spread(by_virsh) };
    let [running, agent, by_hand, by_hand_agent] = [running, agent, by_hand, by_hand_agent].map(spread);
    Ok(json!({
        "create_to_running_ms": running,
        "by_hand_daemonize_ms": by_hand,
        "running_ratio": (median(&running) / median(&by_hand) * 100.0).round() / 100.0,
        "running_ratio_wanted": 1.25,
        "running_ratio_of_pairs": spread(ratios),
        "virsh_start_less_a_question_ms": by_virsh,
        "create_to_agent_ms": agent,
        "by_hand_to_agent_ms": by_hand_agent,
        "agent_ratio": (median(&agent) / median(&by_hand_agent) * 100.0).round() / 100.0,
        "agent_ratio_wanted": 1.15,
        "note": "by hand: the same command line, as root and without the system call filter, with blank disks",
    }))
}
