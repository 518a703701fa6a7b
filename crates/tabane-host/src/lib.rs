//! The agent on each host: it makes true what the server wants of this host, and says what is.
//!
//! ```text
//!   server ──watch──► objects ──► one driver per VM ──► observe ─► core::vm::decide ─► one step ─► observe …
//!                        │                                                │
//!                        ├──► images, pools, networks, disks ◄────────────┘
//!   server ◄──reports── reporter ◄── statuses of all of them
//! ```
//!
//! The agent keeps no wishes of its own. What it has to remember over a restart (which process a VM is, how it last
//! ended) is one small file per VM. QEMUs outlive the agent: a new one finds and adopts them.

mod agent;
mod cgroup;
mod config;
mod disk;
mod doctor;
mod error;
mod export;
mod facts;
mod files;
mod identity;
pub mod image;
mod metrics;
mod moving;
mod network;
mod objects;
mod package;
mod pci;
mod pool;
mod report;
mod streams;
mod users;
mod vm;

pub use agent::Agent;
pub use config::Config;
pub use doctor::{Finding, Severity, examine};
pub use error::{Error, Result};
pub use identity::Identity;
