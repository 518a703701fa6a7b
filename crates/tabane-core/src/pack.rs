//! Packing: which servers share which hosts, judged at every moment of a common time line.
//!
//! ```text
//!  Demand ── servers × dimensions × bins, as integers          Kind ── what a host offers, its price, how many there are
//!      └──────────────┬────────────────────────────────────────────┘
//!                  Problem ── and which servers stay apart, and where each may go
//!                     │
//!     construct ─► improve ─► level ─► Packing ─► settle, where hosts cost by what is on them; evacuations, where a host fails
//!                                          └─► exhaust, where there are few servers: the cheapest of all, proved
//!                                bound ─► Bound        check(Problem, Packing), check(Problem, Bound)
//! ```
//!
//! The problem is vector bin packing with time as further dimensions: a host is full when at one moment one resource is.
//! Loads are added as they come, not as peaks, so servers that are busy at different times share a host. Everything is
//! integers: what is said to fit, fits exactly.
//!
//! Sources: Panigrahy, Talwar, Uyeda, Wieder, "Heuristics for Vector Bin Packing" (2011) for weighted products as a
//! measure of fit; Kirkpatrick, Gelatt, Vecchi, "Optimization by Simulated Annealing" (1983) for the improvement; Fekete,
//! Schepers, "New classes of fast lower bounds for bin packing problems" (2001) for the bound.

mod anneal;
mod bound;
mod check;
mod columns;
mod construct;
mod crowd;
mod demand;
mod evacuate;
mod exhaust;
#[cfg(test)]
mod few;
mod improve;
mod level;
mod load;
mod problem;
mod repair;
mod settle;
mod sums;

use crowd::Crowd;
use load::Load;

pub use bound::{Bound, Certificate, Step, lower_bound, rough_bound};
pub use check::{Breach, check_bound, check_host, check_packing};
pub use construct::construct;
pub use demand::{AMOUNT_MAX, Demand, DemandBuilder};
pub use evacuate::evacuations;
pub use exhaust::{Exhausted, SERVERS_MAX, exhaust};
pub use improve::{Outcome, improve};
pub use level::level;
pub use problem::{Kind, Packed, Packing, Problem, ProblemError};
pub use repair::repair;
pub use settle::{Toll, settle, total};

#[cfg(test)]
mod tests;
