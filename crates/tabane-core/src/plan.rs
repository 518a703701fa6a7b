//! Plans: from loads, kinds of hosts and a policy to a document that says which server goes where, and what that stands on.
//!
//! ```text
//!  Traces ─► needs ─► resources over time ─┐
//!  hosts.toml, policy.toml ─► rules ───────┴─► setting ─► pack ─► reserve ─► phases ─► licences, tco ─► Plan
//!  catalogues, support matrix, costs ──────┘                                Plan, Traces ─► verify, review
//! ```
//!
//! Invariant: [`verify`] makes its problem from the plan's own assumptions and the traces alone, so a plan is judged by
//! what it says, not by what made it.

/// What follows the search for a better plan is not given up earlier for time: who searches briefly wants a plan soon, and no
/// worse reserve.
pub const FINISH_MIN: std::time::Duration = std::time::Duration::from_secs(30);

mod compare;
mod cpus;
mod licences;
mod make;
mod needs;
mod peaks;
mod phases;
mod quality;
mod replan;
mod reserve;
mod review;
mod risk;
mod rules;
mod setting;
mod shortage;
mod since;
mod spare;
mod supported;
mod tco;
mod units;
mod verify;

use thiserror::Error;

pub use compare::compare;
pub use cpus::moved;
pub use make::{Request, make, make_until};
pub use replan::replan;
pub use review::review;
pub use since::since;
pub use verify::{Bench, Fault, TrialError, verify};

#[derive(Debug, Error)]
pub enum PlanError {
    #[error("no server has a load to plan with: the rows of the matrices have to be named as in servers.csv")]
    NoServer,
    #[error(
        "no server is left to plan for: exclude, days_min and support of the policy leave out all {0} that were measured"
    )]
    NobodyLeft(usize),
    #[error("there is no load of {resource}, which {wanted_by}")]
    NotMeasured { resource: &'static str, wanted_by: &'static str },
    #[error(
        "{field}: nobody is meant by {pattern}: no server of the traces is called or described like that"
    )]
    NobodyMeant { field: String, pattern: String },
    #[error("{field}: there is no type of host {name}")]
    UnknownType { field: String, name: String },
    #[error("no catalogue has {0}: name the catalogues with --licences, and products as they do")]
    UnknownProduct(String),
    #[error("the policy asks for vendors' support, and there is no matrix of it: name it with --support")]
    NoSupportMatrix,
    #[error(
        "there is no window for {wave} within ten years from {from} on: blackouts of the policy close all that phases.windows open"
    )]
    NoWindow { wave: String, from: String },
    #[error("there is no wave {wave}; there are {there}")]
    UnknownWave { wave: String, there: String },
    #[error("the plan's assumptions: {0}")]
    Assumption(String),
    #[error(
        "{0} has moved, and is not in the traces that the plan was made from: name that folder with --traces"
    )]
    NotInTraces(String),
    #[error(
        "one folder has a sample every {planned} s and the other every {measured} s: both have to be the same part of a week"
    )]
    Steps { planned: u32, measured: u32 },
    #[error("{0} is nothing to be stated: no gate of the plan asks for it, or the traces tell it")]
    UnknownFact(String),
    #[error("costs are stated in {0} and in {1}: give all in one currency")]
    Currencies(String, String),
    #[error(transparent)]
    Tariff(#[from] crate::licence::TariffError),
    /// The smallest set that cannot be kept.
    #[error("these cannot be kept together: {}", .0.join("; "))]
    Clash(Vec<String>),
    #[error(transparent)]
    Problem(#[from] crate::pack::ProblemError),
}

#[cfg(test)]
mod tests;
