//! Plans as objects: what is asked for, how far it is, and what came of it in short.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Costs, Faults, HostType, HostTypes, Kind, Name, PlanPolicy, PlanProduct,
    resource::{resource, words},
    support::Support,
};

/// A server makes one plan after the other: none may keep the others waiting for longer.
pub const PLAN_TIME_LIMIT_S_MAX: u32 = 3600;
const NOTE_LENGTH_MAX: usize = 1024;
const HOST_TYPES_MAX: usize = 100;

resource!(
    /// Which servers of a survey share which hosts.
    Plan, Kind::Plan, PlanSpec, PlanStatus,
    validate: PlanSpec::validate,
    phase: |plan| plan.status.phase.as_str(),
);

words!(PlanPhase {
    /// Waits for its survey, or for other plans.
    #[default]
    Pending = "pending",
    Making = "making",
    Ready = "ready",
    Failed = "failed",
});

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanSpec {
    pub survey: Name,
    /// It goes on from another plan: what has moved stays, and as many others as still fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<PlanAfter>,
    /// Kinds of hosts that may be used.
    pub hosts: Vec<HostType>,
    /// What is accepted.
    #[serde(default)]
    pub policy: PlanPolicy,
    /// What things cost, to compare before and after over years.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub costs: Option<Costs>,
    /// Of licence catalogues, with the prices that hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<PlanProduct>,
    /// Entries of support matrices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub support: Vec<Support>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// The plan before, and how far it was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanAfter {
    pub plan: Name,
    /// The last of its waves that is done, such as `pilot`; empty if none is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub done: String,
}

impl PlanAfter {
    /// Of the waves of the plan before, in their order, those that are done; `None` if it has no such wave.
    pub fn waves<'a>(&self, waves: &'a [String]) -> Option<&'a [String]> {
        if self.done.is_empty() {
            return Some(&[]);
        }
        waves.iter().position(|wave| *wave == self.done).map(|at| &waves[..=at])
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanStatus {
    #[serde(default)]
    pub phase: PlanPhase,
    /// While it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<PlanProgress>,
    /// When it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<PlanSummary>,
    /// What it waits for, or why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanProgress {
    /// Attempts at better plans.
    pub turns: u64,
    /// Of the best plan until now, in the unit of the policy's objective; `null` before there is one.
    pub cost: Option<f64>,
    pub seconds: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanSummary {
    #[schema(value_type = String, format = DateTime)]
    pub made_at: Timestamp,
    /// How long it took.
    pub seconds: f64,
    /// That have a host.
    pub servers: u32,
    /// Spare ones not counted.
    pub hosts: u32,
    pub spare_hosts: u32,
    /// No plan has fewer, spare ones not counted.
    pub lower_bound_hosts: u32,
    /// Servers without a host.
    pub unplaced: u32,
    /// Of all hosts, spare ones included.
    pub cost: f64,
    /// The most of a host that was planned for.
    pub fill: f64,
    /// `null` where the traces are too short to tell.
    pub predicted_overload_share: Option<f64>,
    /// Names of its pilot and waves, in the order in which they are carried out.
    pub waves: Vec<String>,
}

impl PlanSummary {
    pub fn new(plan: &crate::Plan, seconds: f64) -> Self {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let spare_hosts = plan.hosts.iter().filter(|host| host.spare).count();
        Self {
            made_at: plan.made_at,
            seconds,
            servers: count(plan.hosts.iter().map(|host| host.servers.len()).sum()),
            hosts: count(plan.hosts.len() - spare_hosts),
            spare_hosts: count(spare_hosts),
            lower_bound_hosts: plan.lower_bound.hosts,
            unplaced: count(plan.unplaced.len()),
            cost: plan.cost,
            fill: plan.assumptions.fill,
            predicted_overload_share: plan.predicted_overload_share,
            waves: plan.waves.iter().map(|wave| wave.name.clone()).collect(),
        }
    }
}

impl PlanSpec {
    fn validate(&self, faults: &mut Faults) {
        faults.text("spec.note", &self.note, NOTE_LENGTH_MAX);
        let mut under = |place: &str, found: Faults| {
            for fault in found.0 {
                faults.add(format!("{place}.{}", fault.field), fault.message, fault.hint);
            }
        };
        let mut hosts = HostTypes { host_type: self.hosts.clone() }.faults();
        for fault in &mut hosts.0 {
            fault.field = fault.field.replacen("host_type", "hosts", 1);
        }
        under("spec", hosts);
        under("spec.policy", self.policy.faults());
        if let Some(costs) = &self.costs {
            under("spec.costs", costs.faults());
        }
        if self.hosts.len() > HOST_TYPES_MAX {
            faults.add("spec.hosts", "these are too many kinds", format!("use {HOST_TYPES_MAX} at most"));
        }
        let limit = u64::from(self.policy.time_limit_s);
        faults.range("spec.policy.time_limit_s", limit, 0, PLAN_TIME_LIMIT_S_MAX.into(), " s");
    }
}
