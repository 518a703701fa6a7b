//! Collects loads and inventory over SSH, without installing anything.
//!
//! ```text
//!  target ─► ssh … sh -s ◄─ sample.sh on its standard input
//!                 │ a block of text for each sample
//!                 ▼
//!            counters ─► recording: one line for each sample, appended ─► rates ─► matrices of a folder of traces
//! ```
//!
//! Invariants: a source is only read from, by its own shell and with nothing but what the shell has built in, so a sample
//! costs it a few milliseconds; when the connection ends, so does the script. What a source says is foreign input:
//! bounded, and parsed without panics. A sample is stamped by our clock, not by the source's. What was recorded is never
//! written again: a collection that is cut short goes on with the next sample, and the gap is seen.

mod applications;
mod counters;
mod export;
mod inventory;
mod list;
mod probe;
mod range;
mod rates;
mod recording;
mod session;
mod target;

pub use counters::Counters;
pub use export::{Exported, export};
pub use inventory::Inventory;
pub(crate) use inventory::parts;
pub use list::Sources;
pub use probe::probe;
pub use range::{Range, RangeError};
pub use recording::{Recording, Sample};
pub(crate) use session::{INVENTORY, INVENTORY_BYTES_MAX, SERVERS};
pub use session::{Options, Progress, collect};
pub use target::{Target, TargetError};
