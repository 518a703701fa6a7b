//! CD drives: on the SATA controller that q35 has anyway, where firmware and installers find them. A medium is a block
//! node of its own, put into a drive and taken out while the drive stays.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{names, text};
use crate::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CdDrive {
    /// At most 12 letters, digits and `-`.
    pub id: String,
    pub medium: Option<Medium>,
    /// Lower boots first.
    pub boot_index: Option<u32>,
    /// Which of the six SATA ports; `None` takes the first free one.
    pub port: Option<u8>,
}

/// What is put into a drive: a file with the content of a CD or DVD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Medium {
    /// Tells media apart: 12 hexadecimal digits of a digest of the content.
    pub tag: String,
    pub path: PathBuf,
}

/// The drive as the guest sees it.
pub fn drive_device(drive: &CdDrive, bus: &str) -> Result<Value> {
    names::check_drive(&drive.id)?;
    let mut device = json!({ "driver": "ide-cd", "id": super::drive_device_id(&drive.id), "bus": bus });
    if let Some(medium) = &drive.medium {
        device["drive"] = super::medium_node(&drive.id, &medium.tag).into();
    }
    if let Some(index) = drive.boot_index {
        device["bootindex"] = index.into();
    }
    Ok(device)
}

/// What a medium is made of: `-blockdev` and `blockdev-add`. It can be read and nothing else.
pub fn medium_blockdev(drive: &str, medium: &Medium) -> Result<Value> {
    names::check_drive(drive)?;
    if !names::is_tag(&medium.tag) {
        return Err(Error::invalid("tag", format!("{:?} is not 12 hexadecimal digits", medium.tag)));
    }
    let path: &Path = &medium.path;
    Ok(json!({
        "driver": "raw",
        "node-name": super::medium_node(drive, &medium.tag),
        "read-only": true,
        "file": {
            "driver": "file", "filename": text::path("path", path)?, "read-only": true, "aio": "threads",
        },
    }))
}
