//! Virtual machines in foreign forms.
//!
//! ```text
//!   out   VM ─► ovf: descriptor ─► ova: descriptor, disks, manifest in one tar
//!   in    package ─► ova: index, manifest ─► ovf: machine ─► plan: VM, disks, nics, notes
//! ```
//!
//! Invariants: what is written here is read by others, so it follows the documents to the letter: DMTF DSP0243 (OVF) and
//! POSIX.1-1988 (ustar). What is read here was written by anybody: nothing in it is believed before it is checked, and
//! nothing is ever taken out to a path that it names.

mod error;
pub mod ova;
pub mod ovf;
pub mod plan;

pub use error::{Error, Result};
