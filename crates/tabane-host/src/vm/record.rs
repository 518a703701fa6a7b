//! What is kept of a snapshot on the host, beside the layers that hold it.
//!
//! Invariant: the record is written last. A snapshot without one was never taken, whatever else there is of it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tabane_model::{Name, Pinned, SnapshotStatus, Uid};

use crate::{Result, config::Folders, files};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub uid: Uid,
    pub name: Name,
    /// As it was when the snapshot was taken, or failed.
    pub status: SnapshotStatus,
    /// For the memory: the machine that it fits into.
    pub pinned: Option<Pinned>,
    pub ports: BTreeMap<String, u8>,
    /// Whether that machine has the device of [`super::State::generation`].
    #[serde(default)]
    pub generation: Option<uuid::Uuid>,
    /// What was in its CD drives, by tag.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub media: BTreeMap<Name, String>,
}

fn of_vm(folders: &Folders, vm: Uid) -> PathBuf {
    folders.snapshots().join(vm.simple().to_string())
}

pub fn folder(folders: &Folders, vm: Uid, snapshot: Uid) -> PathBuf {
    of_vm(folders, vm).join(snapshot.simple().to_string())
}

pub fn memory(folder: &Path) -> PathBuf {
    folder.join("memory")
}

/// An empty folder for a new snapshot. The memory of guests will be in it: for us alone.
pub fn make(folders: &Folders, vm: Uid, snapshot: Uid) -> Result<PathBuf> {
    let path = folder(folders, vm, snapshot);
    files::remove_folder(&path)?;
    files::folder(&folders.snapshots(), 0o700)?;
    files::folder(&path, 0o700)?;
    files::sync_folder(&of_vm(folders, vm))?;
    Ok(path)
}

impl Record {
    pub fn save(&self, folders: &Folders, vm: Uid) -> Result<()> {
        files::write_json(&folder(folders, vm, self.uid).join("record.json"), self)
    }

    pub fn all(folders: &Folders, vm: Uid) -> BTreeMap<Uid, Self> {
        let entries = std::fs::read_dir(of_vm(folders, vm)).into_iter().flatten().flatten();
        let records =
            entries.filter_map(|entry| files::read_json(&entry.path().join("record.json")).ok().flatten());
        records.map(|record: Self| (record.uid, record)).collect()
    }
}

/// The record goes first: what has none is not there for anybody.
pub fn remove(folders: &Folders, vm: Uid, snapshot: Uid) -> Result<()> {
    let path = folder(folders, vm, snapshot);
    files::remove(&path.join("record.json"))?;
    files::remove_folder(&path)
}

pub fn remove_all(folders: &Folders, vm: Uid) -> Result<()> {
    files::remove_folder(&of_vm(folders, vm))
}
