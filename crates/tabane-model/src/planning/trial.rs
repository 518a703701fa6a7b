//! A plan with some servers on other hosts, judged and not kept.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{PlanCurve, resource::words};

/// More would be another plan.
pub const TRIAL_MOVES_MAX: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialRequest {
    /// In this order: of one server the last move counts.
    pub moves: Vec<TrialMove>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialMove {
    pub server: String,
    /// A host of the plan that does not stand by, or one that is new.
    pub host: String,
    /// Of a host that is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_type: Option<String>,
}

/// What would be. Nothing of it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Trial {
    /// Whether every constraint and rule is kept by the hosts that are touched.
    pub fits: bool,
    /// Hosts that a server leaves or goes to.
    pub hosts: Vec<TrialHost>,
    /// Rules between hosts that are not kept.
    pub breaches: Vec<TrialBreach>,
    /// Whether as many failures are absorbed as the plan promises; `null` where the reserve is shared: takeovers are found
    /// when a plan is made.
    pub reserve_holds: Option<bool>,
    pub cost: TrialCost,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrialCost {
    /// Of all hosts, spare ones included.
    pub hosts_before: f64,
    pub hosts_after: f64,
    /// Where the plan counts licences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licences_before: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licences_after: Option<f64>,
    /// That licences are counted in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrialHost {
    pub id: String,
    pub host_type: String,
    pub servers: Vec<String>,
    pub fits: bool,
    pub resources: Vec<TrialResource>,
    pub curves: Vec<PlanCurve>,
    /// The share of moments of these traces at which the servers ask for more than the host has.
    pub overload_share: f64,
    /// Estimated in the same way before and after; `null` where the traces are too short to tell.
    pub overload_probability_before: Option<f64>,
    pub overload_probability: Option<f64>,
    pub breaches: Vec<TrialBreach>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrialResource {
    pub resource: String,
    pub peak_before: u64,
    pub peak: u64,
    /// When the peak begins.
    pub at_unix: i64,
    /// The most that is planned for.
    pub planned: u32,
    /// What the host has.
    pub capacity: u32,
}

words!(BreachKind {
    /// At some moment a resource is asked for more than is planned for.
    #[default]
    Overload = "overload",
    /// Two are kept apart, and share a host.
    Apart = "apart",
    /// Two are kept apart by domains, and share one.
    Domain = "domain",
    /// Some stay together, and do not.
    Together = "together",
    /// A server may not be on this type of host.
    HostType = "host-type",
    /// There are not so many hosts of a type.
    Count = "count",
});

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrialBreach {
    pub kind: BreachKind,
    /// Servers, or the name of the rule or of the type of hosts, or the resource.
    pub names: Vec<String>,
    pub text: String,
}
