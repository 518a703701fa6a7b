//! Metrics: what is counted of hosts, VMs and people.
//!
//! Each names its parameters in the words of those who licence by it. All whole numbers; a factor is in thousandths.

use serde::{Deserialize, Serialize};

use crate::Faults;

/// Of anything that a rule names: more is a slip of the pen, and could not be counted.
pub(super) const NUMBER_MAX: u64 = 1_000_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Metric {
    /// All physical cores of a host.
    HostCores {
        #[serde(default)]
        cores_per_socket_min: u32,
        #[serde(default)]
        cores_per_host_min: u32,
        covers: Cover,
        /// Also on hosts without a VM that needs the product: it runs on the host itself.
        #[serde(default)]
        each_host: bool,
    },
    /// All physical cores of a host times a factor of its CPU family, rounded up. The vendor's policy may claim other
    /// hosts too, or be content with the cores of a hard partition: it is counted besides the contract.
    CoreFactor { factors: Vec<CoreFactor> },
    /// Virtual cores of each VM.
    VmCores {
        #[serde(default)]
        cores_per_vm_min: u32,
    },
    /// Processor value units: cores times a rate of the CPU family and the number of sockets.
    Pvu {
        rates: Vec<PvuRate>,
        /// Virtual cores count where they are less than the host's.
        sub_capacity: bool,
    },
    /// Virtual processor cores: as PVU, each core one.
    Vpc { sub_capacity: bool },
    /// Occupied sockets of a host.
    HostSockets {
        #[serde(default = "one")]
        sockets_per_licence: u32,
        /// Hosts with more, occupied or not, may not be licensed so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sockets_max: Option<u32>,
        covers: Cover,
        #[serde(default)]
        each_host: bool,
        /// The vendor's policy claims each host that the VMs may move to.
        #[serde(default)]
        claims_pool: bool,
    },
    /// VMs, so many to a licence.
    Vms {
        #[serde(default = "one")]
        vms_per_licence: u32,
    },
    /// Named users, with a minimum for the hosts: for each processor, counted by a core factor, or for each host.
    NamedUsers {
        #[serde(default)]
        users_per_processor_min: u32,
        #[serde(default)]
        factors: Vec<CoreFactor>,
        #[serde(default)]
        users_per_host_min: u32,
    },
    /// Users of the whole site, whatever the hosts.
    Users,
    /// One licence for everything.
    Site,
}

/// Which VMs a host's licences cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cover {
    /// As many as there are.
    All,
    /// So many; the host is licensed once more for as many again.
    Vms(u32),
    /// As many as the host has licences, one more licence for each other.
    OnePerLicence,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoreFactor {
    /// As facts of hosts name it.
    pub family: String,
    pub thousandths: u32,
}

/// The first rate that fits a host holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PvuRate {
    pub family: String,
    /// Of hosts with so many sockets at most, occupied or not; any number unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sockets_max: Option<u32>,
    pub pvu_per_core: u32,
}

fn one() -> u32 {
    1
}

impl Metric {
    pub(super) fn check(&self, field: &str, faults: &mut Faults) {
        let mut within = |name: &str, value: u32, low: u64| {
            faults.range(&format!("{field}.{name}"), value.into(), low, NUMBER_MAX, "");
        };
        match self {
            Self::HostCores { cores_per_socket_min, cores_per_host_min, covers, .. } => {
                within("cores_per_socket_min", *cores_per_socket_min, 0);
                within("cores_per_host_min", *cores_per_host_min, 0);
                within("covers.vms", covers.vms(), 1);
            }
            Self::CoreFactor { factors } => all("factors", factors, &mut within),
            Self::VmCores { cores_per_vm_min } => within("cores_per_vm_min", *cores_per_vm_min, 0),
            Self::Pvu { rates, .. } => {
                if rates.is_empty() {
                    within("rates", 0, 1);
                }
                rates.iter().for_each(|rate| within("rates", rate.pvu_per_core, 1));
            }
            Self::HostSockets { sockets_per_licence, sockets_max, covers, .. } => {
                within("sockets_per_licence", *sockets_per_licence, 1);
                within("sockets_max", sockets_max.unwrap_or(1), 1);
                within("covers.vms", covers.vms(), 1);
            }
            Self::Vms { vms_per_licence } => within("vms_per_licence", *vms_per_licence, 1),
            Self::NamedUsers { users_per_processor_min, factors, users_per_host_min } => {
                within("users_per_processor_min", *users_per_processor_min, 0);
                if *users_per_processor_min > 0 {
                    all("factors", factors, &mut within);
                }
                within("users_per_host_min", *users_per_host_min, u64::from(*users_per_processor_min == 0));
            }
            Self::Vpc { .. } | Self::Users | Self::Site => {}
        }
    }
}

impl Cover {
    /// That a set of licences covers; one where it is no matter of numbers.
    fn vms(self) -> u32 {
        if let Self::Vms(vms) = self { vms } else { 1 }
    }
}

/// A table has to have an entry, and each a factor above 0.
fn all(name: &str, factors: &[CoreFactor], within: &mut impl FnMut(&str, u32, u64)) {
    if factors.is_empty() {
        within(name, 0, 1);
    }
    factors.iter().for_each(|factor| within(name, factor.thousandths, 1));
}
