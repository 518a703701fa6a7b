//! Moves of VMs from host to host.
//!
//! ```text
//!   spec.moving = {to, id} ──► the old host shuts it down ──► status.released = id
//!                                                                 │ the new host copies everything
//!   spec.host = to, in one txn with the disks  ◄── status.arrival = {id, complete}
//!   called off, and it starts where it was     ◄── status.arrival = {id, refused}
//! ```
//!
//! Invariant: at each moment `spec.host` names the one host that may run the VM, and while `spec.moving` is there not
//! even that one may.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Name, Progress, Uid};

/// A move to another host. While it lasts the VM is off, and `host` is still the one that it leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Move {
    pub to: Name,
    /// Tells this move from every other one of the same VM.
    #[schema(value_type = String)]
    pub id: Uid,
}

/// How far a move is, as the host tells that the VM moves to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Arrival {
    /// Of the move.
    #[schema(value_type = String)]
    pub id: Uid,
    /// Everything is there, on disk and checked.
    #[serde(default)]
    pub complete: bool,
    /// It cannot live there, and trying again would not help: `message` says why.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Why it does not come along; unless it is refused it is tried again.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}
