//! The forms of a consolidation plan: what hosts there may be, what is accepted, and what came of it.

mod document;
mod hosts;
mod policy;
mod schema;

pub use document::{
    Assumptions, DataQuality, LowerBound, PLAN_VERSION, Plan, PlanResource, PlannedHost, Proof,
    UnplacedServer,
};
pub use hosts::{HostType, HostTypes};
pub use policy::{Gaps, MemoryBasis, Objective, PlanPolicy};
pub use schema::plan_schema;
