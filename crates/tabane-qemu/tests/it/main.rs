//! A real QEMU under TCG, without a guest.

#![allow(clippy::unwrap_used, reason = "all of it is tests")]

mod agent;
mod hotplug;
mod launch;
mod layers;
mod machine;
mod media;
mod memory;
mod support;
