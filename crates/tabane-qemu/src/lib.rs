//! QEMU, and nothing else: the command line, QMP, the guest agent, `qemu-img` and the KVM probe.
//!
//! This crate knows nothing of Tabane's objects; everything it needs is handed in as plain values.
//!
//! ```text
//! install ─► command ─► process ─► qmp ─► hotplug      the life of one QEMU
//!    accel ─┘                        └──► agent        what its guest says
//! ```
//!
//! Invariant: everything that QEMU or a guest says is hostile. It is bounded in size, parsed without panics, and no
//! wait on it is without end.

pub mod accel;
pub mod agent;
pub mod appliance;
pub mod command;
mod error;
pub mod hotplug;
pub mod img;
pub mod install;
pub mod layers;
mod lines;
pub mod media;
pub mod memory;
pub mod process;
pub mod qcow2;
pub mod qmp;
pub mod socket;
pub mod throttle;

pub use error::{Error, Result};
