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
//! A plan leaves out who is refused, and says of all others what they were judged to be (`plan/supported.rs`).

mod analogy;
mod judge;

pub use analogy::{OnHypervisor, on};
pub use judge::{judge, refuse};

#[cfg(test)]
mod tests;
