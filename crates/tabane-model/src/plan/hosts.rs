//! Kinds of hosts that a plan may use: `hosts.toml`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    CpuRating, PlanPolicy,
    costs::{MONEY_MAX, WATTS_MAX},
    cpu,
};
use crate::Faults;

const CORES_MAX: u64 = 65_536;
const COUNT_MAX: u64 = 1_000_000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostTypes {
    pub host_type: Vec<HostType>,
}

/// Hosts of one kind. What is not limited may be left out, save for CPU and memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostType {
    pub name: String,
    pub cpu_cores: u32,
    /// All cores together.
    pub cpu_mhz: u32,
    /// As `/proc/cpuinfo` has it, to be looked up in the table of CPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_model: Option<String>,
    /// What a core does with a MHz, of what one of the reference does; goes before `cpu_model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_index: Option<f64>,
    pub memory_mib: u32,
    /// Space for disks of VMs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_gib: Option<u32>,
    /// Reads and writes together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_kbs: Option<u32>,
    /// Reads and writes together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_iops: Option<u32>,
    /// Each way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_kbs: Option<u32>,
    /// Of one host, in any currency.
    pub price: f64,
    #[serde(default)]
    pub watts: f64,
    /// How many there are at most; as many as it takes unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    #[serde(default = "one")]
    pub sockets: u32,
    /// As licence catalogues name it.
    #[serde(default = "x86")]
    pub cpu_family: String,
    /// What fails together with them: a rack, a room, a power feed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

fn one() -> u32 {
    1
}

fn x86() -> String {
    "x86".into()
}

impl HostType {
    /// All cores together, in MHz of the reference; rounded down, rather too little than too much.
    pub fn cpu_reference_mhz(&self) -> u32 {
        (f64::from(self.cpu_mhz) * self.cpu_index.unwrap_or(1.0)) as u32
    }
}

impl HostTypes {
    /// The same with what a policy's table of CPUs says of their models, so that nothing has to be looked up again.
    pub fn rated(&self, policy: &PlanPolicy) -> Self {
        let mut rated = self.clone();
        for host in &mut rated.host_type {
            if let CpuRating::Listed { index, .. } = policy.cpu_of_host(host) {
                host.cpu_index = Some(index);
            }
        }
        rated
    }

    /// Everything that is wrong.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        if self.host_type.is_empty() {
            faults.add("host_type", "there is no host type", "describe one under [[host_type]]");
        }
        let mut names = BTreeSet::new();
        for (at, host) in self.host_type.iter().enumerate() {
            let field = |name: &str| format!("host_type[{at}].{name}");
            if host.name.trim().is_empty() || !names.insert(&host.name) {
                faults.add(
                    field("name"),
                    "the name is empty or taken",
                    "give each host type a name of its own",
                );
            }
            if host.sockets == 0 || host.sockets > host.cpu_cores.max(1) {
                let hint = "state occupied sockets, each with a core at least";
                faults.add(field("sockets"), "there are more sockets than cores, or none", hint);
            }
            if host.cpu_mhz == 0 || host.memory_mib == 0 {
                faults.add(field("cpu_mhz"), "a host without CPU or memory carries nothing", "state both");
            }
            if let Some(index) = host.cpu_index {
                cpu::index_fault(field("cpu_index"), index, &mut faults);
            }
            faults.amount(field("price"), host.price, MONEY_MAX, "");
            faults.amount(field("watts"), host.watts, WATTS_MAX, " W");
            faults.range(&field("cpu_cores"), host.cpu_cores.into(), 0, CORES_MAX, " cores");
            faults.range(&field("count"), host.count.unwrap_or(0).into(), 0, COUNT_MAX, " hosts");
        }
        faults
    }
}
