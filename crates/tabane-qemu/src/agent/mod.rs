//! The guest agent: what the guest says of itself, and work inside it.
//!
//! The agent reads and writes one byte stream without ever saying which answer belongs to what, and the stream may
//! still hold answers to calls that we, or another before us, gave up. So each connection goes through
//!
//! ```text
//!   none ──connect──► unsynchronized ──guest-sync-delimited──► synchronized ──call─► waiting
//!    ▲                  ▲       │ time-out                          ▲                 │  │
//!    └──────────────────┼───────┘                                   └──── answer ─────┘  │
//!                       └──────────────── time-out or dropped call ──────────────────────┘
//! ```
//!
//! Source: QEMU's `qga/qapi-schema.json`.
//!
//! Invariant: an answer is only ever given to the call it belongs to, and a guest cannot make us hold more than the
//! limits here, nor wait longer than the time-outs.

mod bounded;
mod channel;
mod commands;
mod exec;
mod files;
mod types;

pub use channel::{Agent, Limits};
pub use exec::{ExecStatus, Input, Output, Program, Run};
pub use files::{FileHandle, OpenMode};
pub use types::{
    AgentInfo, CommandInfo, Disk, FileSystem, FreezeState, IpAddress, MemoryBlock, MemoryBlockResult,
    NetworkInterface, NetworkStatistics, OsInfo, PciAddress, ShutdownMode, VcpuInfo,
};

pub(crate) const PEER: &str = "the guest agent";

#[cfg(test)]
mod tests;
