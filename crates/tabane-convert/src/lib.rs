//! Virtual machines in foreign forms.
//!
//! ```text
//!   VM ─► ovf: descriptor ─► ova: descriptor, disks, manifest in one tar
//! ```
//!
//! Invariant: what is written here is read by others, so it follows the documents to the letter: DMTF DSP0243 (OVF) and
//! POSIX.1-1988 (ustar).

pub mod ova;
pub mod ovf;
