//! VMs: one driver for each.
//!
//! ```text
//!   driver ──► observe ──► core::vm::decide ──► steps ──► state.json, QEMU
//!      │                                          │
//!      └──► status ──► reporter                   └──► machine (spec to command line), seed, console, snapshots, layers
//! ```

mod console;
mod driver;
mod guest;
mod identity;
mod instant;
mod layers;
mod limits;
mod machine;
mod media;
mod obstacle;
mod passthrough;
mod record;
mod seed;
mod snapshots;
mod state;
mod status;
mod steps;
mod tpm;

pub use driver::{Handle, LiveParts, spawn};
pub use identity::Turns;
pub use instant::{Bases, clean as clean_bases};
pub use machine::fits;
pub use state::{Ended, State};
