//! Licences: how many a host and its VMs need.
//!
//! ```text
//!  Edition, Host, VMs, Pool ─► count ─► Counts { contract, policy }          what has to be licensed
//! ```
//!
//! **Two positions.** A contract counts what its words say; a vendor's policy may claim more (hosts that a VM could move
//! to) or be content with less (a hard partition). Both are counted, neither is called right.

mod count;
mod facts;

use thiserror::Error;

pub use count::{Counts, beyond_hosts, count, packs};
pub use facts::{Host, Pool, Position, Site, Vm};

/// Why an edition cannot licence a host.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CountError {
    #[error("the metric has no number for CPU family {family:?} with {sockets} sockets")]
    Family { family: String, sockets: u32 },
    #[error("hosts with more than {most} sockets may not be licensed so; this one has {sockets}")]
    Sockets { most: u32, sockets: u32 },
    #[error("a host with {sockets} sockets and {cores} cores is none")]
    Host { sockets: u32, cores: u32 },
    #[error("the count is more than can be counted")]
    Overflow,
}

#[cfg(test)]
mod vectors;
