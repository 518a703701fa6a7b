//! The API, tested as its users see it: a real server over TLS and its local socket, with a fake host in-process.

// A test that cannot go on should panic where it stands.
#![allow(clippy::unwrap_used)]

mod evacuation;
mod fake_host;
mod raw;
mod world;

mod audit;
mod auth;
mod catalogue;
mod clones;
mod collections;
mod console;
mod devices;
mod disks;
mod dry_run;
mod hosts;
mod idempotency;
mod lists;
mod metrics;
mod networks;
mod objects;
mod openapi;
mod packages;
mod pinning;
mod placement;
mod planning;
mod power;
mod races;
mod refusals;
mod restart;
mod sessions;
mod snapshots;
mod streams;
mod vnc;
mod waits;
mod watches;
mod waves;
