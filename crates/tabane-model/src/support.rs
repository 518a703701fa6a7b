//! The support matrix: what vendors say of their products on hypervisors, and where they say it.
//!
//! ```text
//!  SupportMatrix (as of a day) ─► Support ─► match, versions   which servers it is about
//!                                    ├─────► hypervisor         on what
//!                                    ├─────► status, condition  what is said
//!                                    └─────► Origin             by whom, and how well known
//!  SupportJudgement ─► SupportCause   what that means for a server     SupportRule   what a site accepts
//! ```
//!
//! Vendors change their minds and their lists, so this is data with a date and an origin, never code. Whoever moves a
//! server wants to know beforehand whether anybody will answer the phone: what nothing is known of is `unknown`, never
//! `supported`. How servers are judged is in the core's `support`.

mod cause;
mod matrix;
mod recognise;
mod rule;
mod status;

pub use cause::{SupportCause, SupportJudgement, SupportRefusal, product_of};
pub use matrix::{Support, SupportMatrix};
pub use recognise::{Recognised, VersionPattern, VersionTold, parts};
pub use rule::SupportRule;
pub use status::SupportStatus;

/// As entries name this platform. No vendor does.
pub const TABANE: &str = "tabane";
/// QEMU and KVM as such: on no list of its own, of no distribution in particular.
pub const QEMU_KVM: &str = "qemu-kvm";
/// What is so on any hypervisor.
pub const ANY_HYPERVISOR: &str = "any";

#[cfg(test)]
mod tests;
