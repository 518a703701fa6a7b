//! Hosts: physical servers of the pool.

use std::{collections::BTreeMap, net::IpAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Condition, Faults, Kind, Name, PciDevice,
    resource::{resource, words},
};

resource!(
    /// A physical server that runs VMs.
    Host, Kind::Host, HostSpec, HostStatus,
    validate: |_: &HostSpec, _: &mut Faults| {},
    phase: |host| if host.meta.deleted_at.is_some() { "deleting" }
        else if host.spec.drain { "draining" }
        else if host.spec.cordoned { "cordoned" } else { host.status.phase.as_str() },
    host: |host| Some(&host.meta.name),
);

words!(HostPhase {
    /// Joined, and not heard of yet.
    #[default]
    Pending = "pending",
    Ready = "ready",
    /// No word from its agent; its VMs may well be running.
    Unreachable = "unreachable",
});

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostSpec {
    /// Takes no new VMs.
    #[serde(default)]
    pub cordoned: bool,
    /// Takes no new VMs, and those it has are to leave.
    #[serde(default)]
    pub drain: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostStatus {
    #[serde(default)]
    pub phase: HostPhase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub heard_at: Option<Timestamp>,
    #[serde(default)]
    pub version: String,
    #[serde(default)]
    pub cpus: u32,
    #[serde(default)]
    pub cpu_model: String,
    #[serde(default)]
    pub memory_bytes: u64,
    #[serde(default)]
    pub memory_free_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qemu_version: Option<String>,
    /// The machine type that new VMs get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    #[serde(default)]
    pub accel: AccelVerdict,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, PoolUse>)]
    pub pools: BTreeMap<Name, PoolUse>,
    /// What can be handed through to VMs, or could.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pci: Vec<PciDevice>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// Whether KVM really runs guests here, and how that was found out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AccelVerdict {
    pub kvm: bool,
    pub reason: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PoolUse {
    pub capacity_bytes: u64,
    pub free_bytes: u64,
}
