//! What a policy says about certain servers: which stay apart, which stay together, where they may go, what they need more
//! of than was measured.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ServerPattern;
use crate::Faults;

/// Servers that never share a host, or a failure domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepApart {
    pub name: String,
    pub servers: Vec<ServerPattern>,
    #[serde(default)]
    pub across: Across,
}

/// What of a group there may be one of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Across {
    #[default]
    Host,
    /// `domain` of the types of hosts: a rack, a room, a power feed.
    Domain,
}

/// Servers that share one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepTogether {
    pub name: String,
    pub servers: Vec<ServerPattern>,
}

/// Servers that go to certain types of hosts only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    pub servers: Vec<ServerPattern>,
    pub host_types: Vec<String>,
}

/// How much more than was measured servers will need, in percent; less where negative.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Growth {
    pub cpu_percent: f64,
    pub memory_percent: f64,
    pub disk_percent: f64,
    /// Of what is kept on disks; `disk_percent` is of what goes to and from them.
    #[serde(skip_serializing_if = "is_none")]
    pub disk_space_percent: f64,
    pub net_percent: f64,
}

fn is_none(percent: &f64) -> bool {
    *percent == 0.0
}

/// What a hypervisor takes for certain servers, besides what they need themselves. The first that matches a server counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Overhead {
    pub servers: Vec<ServerPattern>,
    /// Of the CPU that they need.
    #[serde(default)]
    pub cpu_percent: f64,
    /// For each server.
    #[serde(default)]
    pub memory_mib: u32,
}

const PERCENT_MIN: f64 = -99.0;
const PERCENT_MAX: f64 = 1_000.0;

impl Growth {
    pub(super) fn faults(&self, faults: &mut Faults) {
        for (name, percent) in [
            ("cpu_percent", self.cpu_percent),
            ("memory_percent", self.memory_percent),
            ("disk_percent", self.disk_percent),
            ("disk_space_percent", self.disk_space_percent),
            ("net_percent", self.net_percent),
        ] {
            percents(&format!("growth.{name}"), percent, faults);
        }
    }
}

pub(super) fn percents(field: &str, percent: f64, faults: &mut Faults) {
    if !(PERCENT_MIN..=PERCENT_MAX).contains(&percent) {
        faults.add(field, "no percentage from -99 to 1000", "state by how much more, for example 20");
    }
}

/// Lists that have to have something in them, and names that tell groups apart.
pub(super) fn groups<'a>(
    kind: &str,
    groups: impl Iterator<Item = (&'a str, &'a [ServerPattern])>,
    faults: &mut Faults,
) {
    let mut names = std::collections::BTreeSet::new();
    for (at, (name, servers)) in groups.enumerate() {
        if name.trim().is_empty() || !names.insert(name) {
            let hint = "give each group a name of its own, by which the plan can speak of it";
            faults.add(format!("{kind}[{at}].name"), "the name is empty or taken", hint);
        }
        patterns(&format!("{kind}[{at}].servers"), servers, faults);
    }
}

pub(super) fn patterns(field: &str, servers: &[ServerPattern], faults: &mut Faults) {
    if servers.is_empty() || servers.iter().any(|pattern| pattern.0.trim().is_empty()) {
        let hint = "name servers: \"db1\", \"web-*\", or by a column of servers.csv, \"application=oracle*\"";
        faults.add(field, "no server is named", hint);
    }
}
