//! Images: what VMs are made from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Condition, Faults, Firmware, Generalise, Generalised, Kind, Name, Progress, SnapshotSource,
    resource::{resource, words},
};

resource!(
    /// An image that VMs are made from.
    Image, Kind::Image, ImageSpec, ImageStatus,
    validate: ImageSpec::validate,
    phase: |image| if image.meta.deleted_at.is_some() { "deleting" } else { image.status.phase.as_str() },
    host: |image| image.spec.host.as_ref(),
);

words!(ImageFormat {
    #[default]
    Raw = "raw",
    Qcow2 = "qcow2",
    Vmdk = "vmdk",
    Vhd = "vhd",
    Vhdx = "vhdx",
    Vdi = "vdi",
    /// A CD or DVD: goes into a drive, and is never a disk.
    Iso = "iso",
});

words!(ImagePhase {
    #[default]
    Pending = "pending",
    /// Waits for its content to be uploaded.
    Uploading = "uploading",
    Fetching = "fetching",
    Building = "building",
    Converting = "converting",
    Ready = "ready",
    Failed = "failed",
    Deleted = "deleted",
});

/// Where the content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ImageSource {
    /// Sent to `/v1/images/NAME/content`, of this size.
    Upload {
        size_bytes: u64,
    },
    Url {
        url: String,
    },
    /// Built on a host by a recipe: `debian-12`, `debian-13` or `tiny`.
    Build {
        recipe: String,
    },
    /// A template: what a disk of a VM was at the moment of a snapshot. The snapshot may go when the image is ready.
    Snapshot {
        snapshot: Name,
        /// Its name inside the VM that the snapshot is of.
        disk: Name,
        /// Without it the disk is copied as it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        generalise: Option<Generalise>,
    },
}

impl ImageSource {
    /// The disk of a snapshot that has to stay until the image is ready.
    pub fn snapshot(&self) -> Option<SnapshotSource> {
        match self {
            Self::Snapshot { snapshot, disk, .. } => {
                Some(SnapshotSource { snapshot: snapshot.clone(), disk: disk.clone() })
            }
            _ => None,
        }
    }
}

/// What VMs made from an image get unless they state it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageDefaults {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<Firmware>,
}

pub const RECIPES: [&str; 3] = ["debian-12", "debian-13", "tiny"];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    pub source: ImageSource,
    /// SHA-256 of the content as it is sent or fetched, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where the publisher lists checksums, such as `…/SHA256SUMS`: what is fetched must be what the list says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksums: Option<String>,
    /// Recognised when left out; stated, it must be what the content is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<ImageFormat>,
    /// A disk that says it is larger than this is refused before it is unpacked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_size_bytes_max: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_user: Option<String>,
    #[serde(default)]
    pub defaults: ImageDefaults,
    /// The host that makes the image ready; others copy from it. Written by the placement controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Name>,
    /// The host that is to take over from it. Written by the evacuation controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_to: Option<Name>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImageStatus {
    #[serde(default)]
    pub observed_generation: u64,
    #[serde(default)]
    pub phase: ImagePhase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Identity of the content: images of the same digest share their files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Size of a disk made from it.
    #[serde(default)]
    pub virtual_size_bytes: u64,
    /// Space taken on a host.
    #[serde(default)]
    pub size_bytes: u64,
    /// Content that arrived so far, while uploading.
    #[serde(default)]
    pub received_bytes: u64,
    /// Has a kernel of its own that is booted directly.
    #[serde(default)]
    pub kernel: bool,
    /// Has a disk.
    #[serde(default)]
    pub disk: bool,
    /// Is a CD or DVD, which goes into a drive.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cdrom: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_user: Option<String>,
    /// What was taken out of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub generalised: Vec<Generalised>,
    /// Copies, by host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, ImageCopy>)]
    pub hosts: BTreeMap<Name, ImageCopy>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// An image on one host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImageCopy {
    pub ready: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

impl ImageSpec {
    /// An image of this source, with nothing else stated.
    pub fn new(source: ImageSource) -> Self {
        Self {
            source,
            sha256: None,
            checksums: None,
            format: None,
            virtual_size_bytes_max: None,
            os: None,
            default_user: None,
            defaults: ImageDefaults::default(),
            host: None,
            moving_to: None,
        }
    }

    fn validate(&self, faults: &mut Faults) {
        match &self.source {
            ImageSource::Upload { size_bytes } => {
                faults.size("spec.source.upload.size_bytes", *size_bytes, 1, 64 << 40);
            }
            ImageSource::Url { url } => {
                faults.text("spec.source.url", url, 2048);
                if !(url.starts_with("https://") || url.starts_with("http://")) {
                    faults.add(
                        "spec.source.url",
                        "is no http or https address",
                        "to import a file, upload it",
                    );
                }
                if url.starts_with("http://") && self.sha256.is_none() && self.checksums.is_none() {
                    faults.add(
                        "spec.sha256",
                        "an unencrypted download needs a checksum",
                        "add `--sha256`, or use an https address",
                    );
                }
            }
            ImageSource::Snapshot { generalise, .. } => {
                if let Some(generalise) = generalise {
                    generalise.validate("spec.source.snapshot.generalise", faults);
                }
            }
            ImageSource::Build { recipe } => {
                if !RECIPES.contains(&recipe.as_str()) {
                    faults.add(
                        "spec.source.build.recipe",
                        "is no recipe",
                        format!("use {}", RECIPES.join(", ")),
                    );
                }
            }
        }
        if let Some(list) = &self.checksums {
            faults.text("spec.checksums", list, 2048);
            if !list.starts_with("https://") {
                faults.add(
                    "spec.checksums",
                    "is no https address",
                    "who can change the image on its way could change this list, too: use https, or state `sha256`",
                );
            }
            if !matches!(self.source, ImageSource::Url { .. }) {
                faults.add("spec.checksums", "is for what is fetched", "state `sha256` instead");
            }
        }
        if self.sha256.as_ref().is_some_and(|h| h.len() != 64 || !h.bytes().all(|b| b.is_ascii_hexdigit())) {
            faults.add("spec.sha256", "is no SHA-256", "give its 64 hexadecimal digits");
        }
        for (field, text) in [("spec.os", &self.os), ("spec.default_user", &self.default_user)] {
            if let Some(text) = text {
                faults.text(field, text, 64);
            }
        }
    }
}
