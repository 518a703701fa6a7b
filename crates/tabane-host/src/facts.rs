//! What this host is and has.

use std::{collections::BTreeMap, net::IpAddr, path::Path, time::Duration};

use tabane_model::{AccelVerdict, HostPhase, HostStatus, PoolUse};
use tabane_qemu::accel;

use crate::agent::Shared;

const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Finds out whether KVM really runs guests.
pub async fn probe_kvm() -> AccelVerdict {
    let probe = || accel::probe_kvm(Path::new("/dev/kvm"), PROBE_TIMEOUT);
    match tokio::task::spawn_blocking(probe).await {
        Ok(accel::Verdict::Usable { loop_us, .. }) => AccelVerdict {
            kvm: true,
            reason: format!(
                "a probe VM ran: 2,000 turns in ring 0 took {loop_us} µs, and its int3 was delivered"
            ),
        },
        Ok(accel::Verdict::Unusable { reason }) => AccelVerdict { kvm: false, reason },
        Err(error) => AccelVerdict { kvm: false, reason: format!("the probe was cut short: {error}") },
    }
}

/// What new programs can have of the memory.
pub fn available_memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    Some(meminfo(&text, "MemAvailable")).filter(|bytes| *bytes > 0)
}

/// A value of `/proc/meminfo`, in bytes.
fn meminfo(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'));
    let number = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) << 10
}

fn cpu_model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line =
        text.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':').map(|(_, v)| v.trim()));
    line.unwrap_or("unknown").chars().take(128).collect()
}

/// Addresses that others may reach us by.
fn addresses() -> Vec<IpAddr> {
    // Asking the kernel which source address it would take sends no packet.
    let probe = |bind: &str, to: &str| -> Option<IpAddr> {
        let socket = std::net::UdpSocket::bind(bind).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
    };
    [probe("0.0.0.0:0", "192.0.2.1:9"), probe("[::]:0", "[2001:db8::1]:9")].into_iter().flatten().collect()
}

pub fn status(shared: &Shared) -> HostStatus {
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let installation = shared.installation.as_ref().ok();
    let pools: BTreeMap<_, _> = shared
        .objects
        .pools()
        .iter()
        .filter_map(|pool| {
            let (capacity_bytes, free_bytes) = crate::pool::space(&crate::pool::folder(shared, pool)).ok()?;
            Some((pool.meta.name.clone(), PoolUse { capacity_bytes, free_bytes }))
        })
        .collect();
    let mut conditions = shared.host_conditions.clone();
    conditions.truncate(32);
    HostStatus {
        phase: HostPhase::Ready,
        heard_at: None,
        version: env!("CARGO_PKG_VERSION").into(),
        cpus: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
        cpu_model: cpu_model(),
        memory_bytes: meminfo(&memory, "MemTotal"),
        memory_free_bytes: meminfo(&memory, "MemAvailable"),
        qemu_version: installation.map(|i| i.qemu.version.to_string()),
        machine: installation.map(|i| i.machine_type.clone()),
        accel: shared.verdict.clone(),
        addresses: addresses(),
        pools,
        pci: crate::pci::Pci::default().devices(),
        conditions,
    }
}
