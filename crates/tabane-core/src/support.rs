//! Support: whether anybody answers for what runs on a server once it is a VM.
//!
//! ```text
//!  servers, entries, hypervisor ─► judge ─► SupportJudgement for each server      the worst of what is said
//!  judgements, SupportRule ──────► refuse ─► SupportRefusal for each that the rule does not allow
//! ```
//!
//! **By analogy.** Tabane runs QEMU and KVM and is on no vendor's list. What a vendor supports on the KVM of a
//! distribution, or on any hypervisor, is an argument for Tabane and no promise: there it is conditional at best
//! ([`on`]). What a vendor refuses there stays refused. Only an entry that names Tabane itself can make anything
//! supported; no file that ships has one, and a site that has a vendor's word in writing can add its own.
//!
//! **What is not said is unknown**: a server that says nothing of what runs on it, an operating system or an application
//! that no entry is about, a product whose support depends on a version that the server does not tell.
//!
//! **How it is meant to be used.** Whoever makes a plan reads the files of the matrix and the policy's [`SupportRule`],
//! calls [`judge`] for the servers that are planned for and [`refuse`] on what comes of it. Who is refused is left out as
//! the policy's `exclude` does, with the refusal as the cause; the other judgements go into the plan as notes, beside
//! which each may be read before its wave. Nothing here knows of plans yet.

mod analogy;
mod judge;

pub use analogy::{OnHypervisor, on};
pub use judge::{judge, refuse};

#[cfg(test)]
mod tests;
