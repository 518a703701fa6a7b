//! The store: get, list, compare-and-swap txn, watch and lease over a small set of keys.
//!
//! ```text
//!   controllers, API ──► dyn Store ──┬─► Memory   tests and simulation; nothing survives
//!                                    ├─► Sqlite   one server; durable before it answers
//!                                    └─► (etcd)   a cluster; the trait is shaped to map onto v3 one to one
//! ```
//!
//! Invariants that every backend keeps, and that [`conformance`] checks:
//!
//! - A txn is all or nothing, and is durable before [`Store::txn`] answers `Committed`.
//! - Every txn that changes something has a revision of its own; revisions only grow and are never used twice.
//! - A read sees everything that was acknowledged before the read began.
//! - A watch misses no key: it may skip values that were overwritten meanwhile, never the latest state.
//! - A lease lives until the commit that removes its keys; no clock but the store's own decides when.

pub mod conformance;
mod error;
mod lease;
mod memory;
mod sqlite;
mod store;
mod types;
mod watch;

pub use error::{Error, Result};
pub use memory::Memory;
pub use sqlite::Sqlite;
pub use store::Store;
pub use types::{
    COMPARES_MAX, Change, Compare, Entry, KEY_BYTES_MAX, LEASE_TTL_MS_MAX, LeaseId, OPS_MAX, Op, Outcome,
    Page, Revision, TXN_BYTES_MAX, Txn, VALUE_BYTES_MAX, prefix_end,
};
pub use watch::{Batch, Watch, WatchSource};
