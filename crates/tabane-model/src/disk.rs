//! Disks of VMs, kept in a pool.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Condition, Faults, Kind, Move, Name,
    resource::{resource, words},
};

resource!(
    /// A disk: an image's clone or blank space, kept in a pool.
    Disk, Kind::Disk, DiskSpec, DiskStatus,
    validate: DiskSpec::validate,
    phase: |disk| if disk.meta.deleted_at.is_some() { "deleting" } else { disk.status.phase.as_str() },
    host: |disk| disk.spec.host.as_ref(),
    vm: |disk| disk.spec.vm.as_ref(),
);

words!(CloneMode {
    /// Only what differs from the image is stored.
    #[default]
    Linked = "linked",
    /// Independent of the image; copied by reflink where the file system can.
    Full = "full",
});

words!(DiskPhase {
    #[default]
    Pending = "pending",
    Ready = "ready",
    Failed = "failed",
    /// The host has removed the file; the object may go.
    Deleted = "deleted",
});

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskSpec {
    pub pool: Name,
    /// The image's own size unless stated; grows, never shrinks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Name>,
    /// A disk of a snapshot to clone, in place of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<SnapshotSource>,
    #[serde(default)]
    pub clone: CloneMode,
    /// The VM that it is attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<Name>,
    /// Written by the placement controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Name>,
    /// Where it is moving with its VM. Written by the evacuation controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving: Option<Move>,
}

/// A disk as a snapshot holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotSource {
    pub snapshot: Name,
    /// Its name inside the VM that the snapshot is of.
    pub disk: Name,
}

impl Disk {
    /// The snapshot that has to stay for this disk's sake: for ever if it stands on it, otherwise until it is copied.
    pub fn needs_snapshot(&self) -> Option<&Name> {
        let copied = self.spec.clone == CloneMode::Full && self.status.phase == DiskPhase::Ready;
        self.spec.from.as_ref().filter(|_| !copied).map(|from| &from.snapshot)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DiskStatus {
    #[serde(default)]
    pub observed_generation: u64,
    #[serde(default)]
    pub phase: DiskPhase,
    #[serde(default)]
    pub size_bytes: u64,
    /// Space taken in the pool.
    #[serde(default)]
    pub used_bytes: u64,
    /// The content of the image that a linked clone stands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// qcow2 and virtio-blk both reach further; nobody's pool does.
const DISK_BYTES_MAX: u64 = 64 << 40;

pub(crate) fn validate_size(field: &str, size_bytes: u64, faults: &mut Faults) {
    faults.size(field, size_bytes, 1 << 20, DISK_BYTES_MAX);
    if !size_bytes.is_multiple_of(512) {
        faults.add(field, "is no multiple of 512 bytes", "round it up, best to a whole MiB");
    }
}

impl DiskSpec {
    fn validate(&self, faults: &mut Faults) {
        match self.size_bytes {
            Some(size) => validate_size("spec.size_bytes", size, faults),
            None if self.image.is_none() && self.from.is_none() => {
                faults.add("spec.size_bytes", "a blank disk needs a size", "add `size_bytes`, or an `image`");
            }
            None => {}
        }
        if self.image.is_some() && self.from.is_some() {
            faults.add("spec.from", "an image is given, too", "give `image` or `from`");
        }
    }
}
