//! What is accepted of a plan: `policy.toml`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    CpuIndex, Growth, KeepApart, KeepTogether, LicenceNeed, LicencePosition, Overhead, Phases, Pin,
    ServerPattern, cpu, licences,
    rules::{groups, patterns, percents},
};
use crate::{Faults, support::SupportRule};

/// A week: nobody waits longer for a plan.
const TIME_LIMIT_MAX_S: u64 = 604_800;
/// 16 TiB.
const OVERHEAD_MAX_MIB: u64 = 16 << 20;
/// More than twice what there is is no plan.
const FILL_MAX: f64 = 2.0;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlanPolicy {
    /// The accepted share of host-samples at which a host has less than its servers ask for.
    pub overload_share: f64,
    pub memory: MemoryBasis,
    /// The most of a host that is planned for. Above 1, CPU, disk and network are overcommitted; memory and disk space never
    /// are.
    pub fill_max: f64,
    /// Hosts that may fail at the same time without a server losing its place.
    pub spare_hosts: u32,
    /// Who takes over what failed hosts carried.
    pub reserve: Reserve,
    /// The most of a host that is used while it carries servers of one that failed, where the reserve is shared.
    pub fill_failed: f64,
    pub objective: Objective,
    /// What stands for samples that are missing.
    pub gaps: Gaps,
    /// Servers that were measured for fewer days are not planned for.
    pub days_min: f64,
    pub seed: u64,
    /// How long better plans are looked for.
    pub time_limit_s: u32,
    /// Which servers may be moved, by what vendors support.
    pub support: SupportRule,
    /// Servers that stay what they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<ServerPattern>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keep_apart: Vec<KeepApart>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keep_together: Vec<KeepTogether>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pin: Vec<Pin>,
    pub growth: Growth,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overhead: Vec<Overhead>,
    /// What CPUs do with a MHz; the first that matches a model counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpu: Vec<CpuIndex>,
    pub phases: Phases,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub licence: Vec<LicenceNeed>,
    pub licence_position: LicencePosition,
    /// Over which licences are counted.
    pub licence_years: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reserve {
    /// Hosts that stand by, one for each that may fail.
    #[default]
    Spare,
    /// What the other hosts have left, for one failure; hosts that stand by for each further one.
    Shared,
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
            reserve: Reserve::default(),
            fill_failed: 1.0,
            objective: Objective::default(),
            gaps: Gaps::default(),
            days_min: 0.0,
            seed: 1,
            time_limit_s: 60,
            support: SupportRule::default(),
            exclude: Vec::new(),
            keep_apart: Vec::new(),
            keep_together: Vec::new(),
            pin: Vec::new(),
            growth: Growth::default(),
            overhead: Vec::new(),
            cpu: Vec::new(),
            phases: Phases::default(),
            licence: Vec::new(),
            licence_position: LicencePosition::default(),
            licence_years: 5,
        }
    }
}

impl PlanPolicy {
    /// Everything that is wrong.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        if !(0.0..1.0).contains(&self.overload_share) || self.overload_share.is_sign_negative() {
            faults.add(
                "overload_share",
                "no share from 0 to below 1",
                "state it as a share, for example 0.0001",
            );
        }
        if !(self.fill_max > 0.0 && self.fill_max <= FILL_MAX) {
            let hint =
                "state it as a share, for example 0.9; above 1, CPU, disk and network are overcommitted";
            faults.add("fill_max", "no share above 0 to 2", hint);
        }
        if !(self.fill_failed >= self.fill_max && self.fill_failed <= FILL_MAX) {
            let hint =
                "while a host has failed the others carry more: state it as a share from fill_max to 2";
            faults.add("fill_failed", "no share from fill_max to 2", hint);
        }
        faults.amount("days_min", self.days_min, 3_660.0, " days");
        faults.range("time_limit_s", self.time_limit_s.into(), 0, TIME_LIMIT_MAX_S, " s");
        if self.spare_hosts > 16 {
            faults.add("spare_hosts", "more than 16 hosts", "state how many hosts may fail at the same time");
        }
        if !self.exclude.is_empty() {
            patterns("exclude", &self.exclude, &mut faults);
        }
        groups("keep_apart", self.keep_apart.iter().map(|g| (&*g.name, &*g.servers)), &mut faults);
        groups("keep_together", self.keep_together.iter().map(|g| (&*g.name, &*g.servers)), &mut faults);
        for (at, pin) in self.pin.iter().enumerate() {
            patterns(&format!("pin[{at}].servers"), &pin.servers, &mut faults);
        }
        self.growth.faults(&mut faults);
        for (at, overhead) in self.overhead.iter().enumerate() {
            patterns(&format!("overhead[{at}].servers"), &overhead.servers, &mut faults);
            percents(&format!("overhead[{at}].cpu_percent"), overhead.cpu_percent, &mut faults);
            let field = format!("overhead[{at}].memory_mib");
            faults.range(&field, overhead.memory_mib.into(), 0, OVERHEAD_MAX_MIB, " MiB");
        }
        cpu::faults_of(&self.cpu, &mut faults);
        self.phases.faults(&mut faults);
        licences::faults(&self.licence, self.licence_years, &mut faults);
        faults
    }
}
