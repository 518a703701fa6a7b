//! End to end: the real binary, real QEMUs, real guests under TCG.
//!
//! Tests named `e2e_…` boot guests. Each has a server and an agent of its own in its own data folder, and leaves no
//! process behind, however it ends.

// A test that cannot go on should panic where it stands.
#![allow(clippy::unwrap_used)]

mod e2e_badinput;
mod e2e_clones;
mod e2e_collection;
mod e2e_console;
mod e2e_debian;
mod e2e_display;
mod e2e_drain;
mod e2e_exports;
mod e2e_guests;
mod e2e_hostlost;
mod e2e_hosts;
mod e2e_hotplug;
mod e2e_images;
mod e2e_imports;
mod e2e_instant;
mod e2e_kvm;
mod e2e_limits;
mod e2e_media;
mod e2e_metrics;
mod e2e_networks;
mod e2e_pci;
mod e2e_snapshots;
mod e2e_storage;
mod e2e_survey;
mod e2e_templates;
mod help;
mod medium;
mod plan;
mod planning;
mod sshd;
mod survey_collected;
mod survey_import;
mod terminal;
mod world;
