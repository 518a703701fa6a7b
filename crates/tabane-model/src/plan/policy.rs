//! What is accepted of a plan: `policy.toml`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Faults;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlanPolicy {
    /// The accepted share of host-samples at which a host has less than its servers ask for.
    pub overload_share: f64,
    pub memory: MemoryBasis,
    /// The most of a host that is planned for.
    pub fill_max: f64,
    /// Hosts that may fail at the same time without a server losing its place.
    pub spare_hosts: u32,
    pub objective: Objective,
    /// What stands for samples that are missing.
    pub gaps: Gaps,
    pub seed: u64,
    /// How long better plans are looked for.
    pub time_limit_s: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemoryBasis {
    /// What servers use, over time.
    Active,
    /// What servers have.
    #[default]
    Configured,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    #[default]
    Hosts,
    Cost,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gaps {
    /// The 95th percentile of the server's own samples: rather too much than too little.
    #[default]
    P95,
    /// Nothing: the server did not exist then.
    Zero,
}

impl Default for PlanPolicy {
    fn default() -> Self {
        Self {
            overload_share: 0.0001,
            memory: MemoryBasis::default(),
            fill_max: 0.9,
            spare_hosts: 1,
            objective: Objective::default(),
            gaps: Gaps::default(),
            seed: 1,
            time_limit_s: 60,
        }
    }
}

impl PlanPolicy {
    /// Everything that is wrong.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        if !(0.0..1.0).contains(&self.overload_share) {
            faults.add(
                "overload_share",
                "no share from 0 to below 1",
                "state it as a share, for example 0.0001",
            );
        }
        if !(self.fill_max > 0.0 && self.fill_max <= 1.0) {
            faults.add("fill_max", "no share above 0 to 1", "state it as a share, for example 0.9");
        }
        if self.spare_hosts > 16 {
            faults.add("spare_hosts", "more than 16 hosts", "state how many hosts may fail at the same time");
        }
        faults
    }
}
