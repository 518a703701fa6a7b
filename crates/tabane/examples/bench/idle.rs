//! What `tabane up` costs when nothing happens.

use std::time::Duration;

use serde_json::{Value, json};
use tabane_client::Call;
use tabane_model::{Meta, Nic, Resource, Vm, VmSpec};

use crate::{Result, up, wait};

/// Memory and CPU time of `tabane up` with 1,000 VMs defined.
pub async fn idle() -> Result<Value> {
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
            model: Default::default(),
            limits: Default::default(),
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

pub fn cpu_ms(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<f64> = rest.split_whitespace().skip(11).take(2).filter_map(|f| f.parse().ok()).collect();
    // Clock ticks are hundredths of a second on Linux.
    Ok(fields.iter().sum::<f64>() * 10.0)
}
