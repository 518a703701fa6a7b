//! VMs that began as copies of others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Faults, Mac, Name, Uid, resource::words};

words!(
    /// Who the guest takes itself for.
    Identity {
        /// A machine of its own: machine-id, host name, SSH host keys, random numbers and MAC addresses are made anew by
        /// the guest agent.
        #[default]
        Renew = "renew",
        /// The one that it was copied from.
        Keep = "keep",
    }
);

/// What a VM was copied from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloneOf {
    pub snapshot: Name,
    /// It does not boot, but goes on where the snapshot's memory stands. It is cut off from its networks until it has an
    /// identity of its own.
    #[serde(default)]
    pub memory: bool,
    #[serde(default)]
    pub identity: Identity,
    /// Identity of the VM that the snapshot is of. Written by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub vm: Option<Uid>,
    /// Its MAC addresses, by nic. Written by the server.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub macs: BTreeMap<Name, Mac>,
}

impl CloneOf {
    pub(crate) fn validate(&self, faults: &mut Faults) {
        if self.memory && self.identity == Identity::Keep {
            faults.add(
                "spec.clone_of.identity",
                "a machine that goes on beside the one that it was copied from cannot keep its identity",
                "leave it out, or clone without the memory",
            );
        }
    }
}
