//! Licences: how many a host and its VMs need, which edition is cheapest, and what no placement can do without.
//!
//! ```text
//!  Edition, Host, VMs, Pool ─► count ─► Counts { contract, policy }          what has to be licensed
//!  Product, Host, VMs ───────► cheapest ─► Mix                               what to buy for a host
//!  Product ─► Tariff ─► HostTariff::price(Tally)                             the same, asked for by a search
//!  Tariff, kinds of hosts, VMs ─► lower_bound                                what every placement costs at least
//! ```
//!
//! **Two positions.** A contract counts what its words say; a vendor's policy may claim more (hosts that a VM could move
//! to) or be content with less (a hard partition). Both are counted, neither is called right.
//!
//! **Money** is whole ten-thousandths of one currency and for one term. A [`Tariff`] is of prices alike in both or it is
//! not made.
//!
//! **For a search over placements** (`pack`): of each product make a [`Tariff`], and of each kind of host a
//! [`HostTariff`]; of each server that needs the product weigh its VM once ([`Tariff::weigh`]). A host keeps one
//! [`Tally`] for each product, adds a server's weight when it comes and takes it off when it goes; the host-dependent
//! term of its cost is the sum of [`HostTariff::price`] over products, which looks at each edition once and allocates
//! nothing. `price` buys one edition for a whole host; [`cheapest`] also mixes them and is for the plan that came out.
//! The term never falls when a VM comes, and jumps when a host gets its first: a search has to try whole groups.
//! Bounds of products add up: no licence is of two.

mod bound;
mod cheapest;
mod count;
mod facts;
mod tariff;

use thiserror::Error;

pub use bound::{Room, lower_bound};
pub use cheapest::{Mix, Part, cheapest};
pub use count::{Counts, beyond_hosts, count, packs};
pub use facts::{Host, Pool, Position, Site, Vm};
pub use tariff::{GAUGES_MAX, HostTariff, Tally, Tariff, TariffError};

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
mod tests;
#[cfg(test)]
mod vectors;
