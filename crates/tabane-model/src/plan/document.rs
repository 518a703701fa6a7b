//! A plan as a document: `plan.json`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::support::{Support, SupportJudgement};

use super::{
    Costs, Gate, HostType, PlanLicences, PlanNote, PlanPolicy, PlanProduct, Tco, UnplacedCause, Wave,
};

/// Of the form that is written.
pub const PLAN_VERSION: u32 = 1;

/// The document. In the API's description a plan is the object that it belongs to, so it has a name of its own there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = PlanDocument)]
pub struct Plan {
    pub version: u32,
    #[schema(value_type = String, format = DateTime)]
    pub made_at: Timestamp,
    pub hosts: Vec<PlannedHost>,
    pub unplaced: Vec<UnplacedServer>,
    pub lower_bound: LowerBound,
    /// The share of host-samples at which a host is expected to have less than its servers ask for; `null` where the
    /// traces are too short to tell.
    pub predicted_overload_share: Option<f64>,
    /// Of all hosts, spare ones included.
    pub cost: f64,
    /// So many hosts may fail at the same time, whichever they are, and the spare ones take over everything.
    pub failures_absorbed: u32,
    /// Where the servers of each host go when it fails, where the reserve is shared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failover: Vec<Failover>,
    /// How it is introduced, the pilot first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<Wave>,
    /// Between one wave and the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// Whether vendors support what runs on the servers, if a matrix was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub support: Vec<SupportJudgement>,
    /// If it was said which servers need which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licences: Option<PlanLicences>,
    /// Before and after, if it was said what things cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tco: Option<Tco>,
    pub assumptions: Assumptions,
    pub data_quality: DataQuality,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedHost {
    pub id: String,
    pub host_type: String,
    /// Empty for a spare host.
    pub servers: Vec<String>,
    /// The probability that the host has less than its servers ask for at some moment; `null` where the traces are too
    /// short to tell.
    pub overload_probability: Option<f64>,
    /// It stands by for others that fail.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spare: bool,
    /// The most that it is asked for of each resource over the time line, as a share of what it has.
    pub peaks: Vec<PlanResource>,
    /// The same over time: the most in each of equal parts of the time line, in thousandths of what the host has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curves: Vec<PlanCurve>,
}

/// A resource over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanCurve {
    pub resource: String,
    pub thousandths: Vec<u32>,
}

/// The failure of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failover {
    pub host: String,
    /// Hosts that take its servers over, and which.
    pub takeovers: Vec<Takeover>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Takeover {
    pub host: String,
    pub servers: Vec<String>,
}

/// An amount of a resource, by the resource's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanResource {
    pub resource: String,
    pub share: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UnplacedServer {
    pub server: String,
    /// The cause as a sentence.
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<UnplacedCause>,
}

/// What no plan can do without, spare hosts not counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LowerBound {
    pub hosts: u32,
    pub cost: f64,
    /// `moment`: all hosts together have to carry what is asked for then.
    pub kind: String,
    pub certificate: Option<Proof>,
    /// Where it is not the cheapest choice of as many hosts: the moment that costs so much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_certificate: Option<Proof>,
    /// There if the objective is cost and every way to place these few servers was tried or seen to cost no less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exhausted: Option<Exhaustion>,
}

/// A proof that no placement costs less, which is checked by trying again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Exhaustion {
    /// Of hosts in use, and of their licences over the policy's years: what the plan costs, and the least.
    pub cost: f64,
    /// Placements of a part of the servers that were looked at.
    pub turns: u64,
}

/// A moment and a resource of which there has to be enough, and the dual feasible function that sizes are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Proof {
    pub resource: String,
    pub bin: usize,
    /// `volume`, `parts` (Fekete and Schepers) or `fringe` (Martello and Toth).
    pub function: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<u32>,
}

/// Everything that the plan stands on besides the traces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Assumptions {
    pub host_types: Vec<HostType>,
    pub policy: PlanPolicy,
    /// The most of a host that was planned for: `fill_max` of the policy, or less where past loads showed that it takes
    /// less to keep the accepted share.
    pub fill: f64,
    /// What was looked at, in the order of the proof.
    pub resources: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub costs: Option<Costs>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<PlanProduct>,
    /// Entries of the support matrix that are about these servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub support: Vec<Support>,
    pub notes: Vec<PlanNote>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DataQuality {
    pub first_bin_unix: i64,
    pub step_s: u32,
    pub bins: usize,
    pub servers: usize,
    /// Servers with at least one sample.
    pub servers_measured: usize,
    /// The share of samples that are missing, of servers that were measured.
    pub missing_share: f64,
    /// Servers of which too little is known to trust what is said of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thin: Vec<ThinTrace>,
    pub findings: Vec<String>,
}

/// A server that should be measured longer, or without gaps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ThinTrace {
    pub server: String,
    /// All its samples of CPU, one after the other.
    pub days_measured: f64,
    /// Of CPU, over the whole time line.
    pub missing_share: f64,
    /// How many more days would do.
    pub days_wanted: f64,
}
