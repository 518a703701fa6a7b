//! Decisions as pure functions: what to do next with a VM, where to place it, which address it gets, which servers share
//! which hosts, how many licences they need, what their vendors support.
//!
//! No IO, no clock, no randomness: whatever a decision needs is an argument. The same arguments give the same
//! decision, so tables, property tests and simulations can hold every rule against every situation.

pub mod allocate;
pub mod layers;
pub mod licence;
pub mod pack;
mod parallel;
pub mod place;
pub mod plan;
pub mod support;
pub mod vm;
