//! Snapshots: what a VM's disks held at one moment, and, if wanted, its memory; on the same storage as the VM.
//!
//! Invariant: a snapshot is whole or not there: of all disks at the same moment.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Condition, Faults, Firmware, Kind, Name, Uid,
    resource::{resource, words},
};

/// Of one VM: each costs a layer on each of its disks, and reads slow down with their number.
pub const SNAPSHOTS_MAX: usize = 32;
const NOTE_LENGTH_MAX: usize = 1024;

resource!(
    /// What a VM's disks held at one moment, and its memory if wanted.
    Snapshot, Kind::Snapshot, SnapshotSpec, SnapshotStatus,
    validate: SnapshotSpec::validate,
    phase: |s| if s.meta.deleted_at.is_some() { "deleting" } else { s.status.phase.as_str() },
    host: |s| s.spec.host.as_ref(),
    vm: |s| Some(&s.spec.vm),
);

words!(
    /// Whether the guest's file systems are brought to rest for the moment of the snapshot.
    Quiesce {
        /// If the guest agent answers and can.
        #[default]
        Auto = "auto",
        /// No snapshot without it.
        Required = "required",
        Off = "off",
    }
);

words!(
    /// What can be said of the content.
    Consistency {
        /// As after a power failure: journals are replayed at the next start.
        #[default]
        Crash = "crash",
        /// The guest's file systems were frozen.
        FileSystem = "file-system",
        /// The VM was off.
        Off = "off",
        /// The memory belongs to it: nothing was interrupted.
        Memory = "memory",
    }
);

words!(SnapshotPhase {
    #[default]
    Pending = "pending",
    Ready = "ready",
    Failed = "failed",
    /// The host has let go of it; the object may go.
    Deleted = "deleted",
});

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotSpec {
    pub vm: Name,
    /// With the guest's memory: a revert goes on where it was. The VM must run.
    #[serde(default)]
    pub memory: bool,
    #[serde(default)]
    pub quiesce: Quiesce,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Deleted after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub expires_at: Option<Timestamp>,
    /// Made for clones: goes by itself when none needs it any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub for_clones: bool,
    /// The VM's hardware at that time. Written by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<Hardware>,
    /// The VM's host. Written by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Name>,
}

/// What a saved memory fits to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    pub cpus: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus_max: Option<u32>,
    pub memory_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes_max: Option<u64>,
    #[serde(default)]
    pub firmware: Firmware,
    #[serde(default)]
    pub tpm: bool,
    pub disks: Vec<SnapshotDisk>,
    pub nics: Vec<Name>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cdroms: Vec<Name>,
    /// Nics with a boot ROM.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boot_nics: Vec<Name>,
    /// Disks that sit on SATA.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sata_disks: Vec<Name>,
    /// Nics that are no virtio ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub e1000e_nics: Vec<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tablet: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotDisk {
    /// The name inside the VM.
    pub name: Name,
    pub disk: Name,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotStatus {
    #[serde(default)]
    pub observed_generation: u64,
    #[serde(default)]
    pub phase: SnapshotPhase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub taken_at: Option<Timestamp>,
    #[serde(default)]
    pub consistency: Consistency,
    /// The snapshot that the VM stood on when this one was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Name>,
    /// Space that its own layers take in the pools.
    #[serde(default)]
    pub used_bytes: u64,
    /// Size of the saved memory.
    #[serde(default)]
    pub memory_bytes: u64,
    /// How long the guest stood still for it.
    #[serde(default)]
    pub paused_ms: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// Asks for a VM's disks, and its memory if the snapshot has it, to be as they were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Revert {
    /// Tells this revert from every other one of the same VM.
    #[schema(value_type = String)]
    pub id: Uid,
    #[schema(value_type = String)]
    pub snapshot: Uid,
    /// Start from the saved memory.
    #[serde(default)]
    pub memory: bool,
}

impl SnapshotSpec {
    pub fn new(vm: Name) -> Self {
        Self {
            vm,
            memory: false,
            quiesce: Quiesce::Auto,
            note: String::new(),
            expires_at: None,
            for_clones: false,
            hardware: None,
            host: None,
        }
    }

    fn validate(&self, faults: &mut Faults) {
        faults.text("spec.note", &self.note, NOTE_LENGTH_MAX);
    }
}
