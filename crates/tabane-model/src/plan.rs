//! The forms of a consolidation plan: what hosts there may be, what is accepted, and what came of it.

#[cfg(test)]
mod absurd;
mod costs;
mod cpu;
mod document;
mod hosts;
mod licences;
mod note;
mod pattern;
mod phases;
mod policy;
mod review;
mod rules;
mod schema;
mod windows;

pub use costs::{AfterCosts, BeforeCosts, Costs, MigrationCosts, Rates, Tco, TcoItem, TcoPosition, TcoYear};
pub use cpu::{CpuIndex, CpuRating, CpuTable};
pub use document::{
    Assumptions, DataQuality, Exhaustion, Failover, LowerBound, PLAN_VERSION, Plan, PlanCurve, PlanResource,
    PlannedHost, Proof, Takeover, ThinTrace, UnplacedServer,
};
pub use hosts::{HostType, HostTypes};
pub use licences::{
    HostLicences, LicenceNeed, LicencePacks, LicencePosition, PlanLicences, PlanProduct, ProductLicences,
};
pub use note::{ClashHosts, CpuModel, Lack, PlanNote, UnplacedCause};
pub use pattern::ServerPattern;
pub(crate) use pattern::fits;
pub use phases::{Comparison, Dependency, Gate, GateKind, Phases, Wave, WaveKind};
pub use policy::{Gaps, MemoryBasis, Objective, PlanPolicy, Reserve};
pub use review::{JudgedGate, Review, ReviewedHost, ReviewedPeak, Verdict};
pub use rules::{Across, Growth, KeepApart, KeepTogether, Overhead, Pin};
pub use schema::plan_schema;
pub use windows::{Blackout, BlackoutError, DayOfWeek, MoveWindow, WaveWindow};
