//! What is kept beside each disk: what it was made from, and its layers.
//!
//! ```text
//!   pool/<uid>.json       the note
//!   pool/<uid>.qcow2      layer 0
//!   pool/<uid>-<n>.qcow2  layer n
//! ```
//!
//! Invariant: a file is made before the note says that the disk needs it, and removed after the note says that it does
//! not. A number that is used again finds what an interrupted step left, and replaces it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tabane_core::layers::{Layer, Layers};

use crate::{Result, files};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// What the disk was made from, so that the image is not removed under it.
    pub image_digest: Option<String>,
    /// Whether layer 0 stands on the image.
    pub linked: bool,
    /// Users of VMs whose frozen layers this disk stands on: its QEMU has to be of their groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<u32>,
    #[serde(default)]
    pub layers: Layers,
}

/// `place` is that of layer 0, by which a disk is named.
fn path(place: &Path) -> PathBuf {
    place.with_extension("json")
}

impl Note {
    pub fn load(place: &Path) -> Result<Option<Self>> {
        files::read_json(&path(place))
    }

    pub fn save(&self, place: &Path) -> Result<()> {
        files::write_json(&path(place), self)
    }

    /// The file that the guest writes to, or would if QEMU were started now.
    pub fn active_path(&self, place: &Path) -> PathBuf {
        layer_path(place, self.layers.pivot().unwrap_or(self.layers.active()))
    }
}

pub fn layer_path(place: &Path, layer: Layer) -> PathBuf {
    if layer == 0 {
        return place.to_path_buf();
    }
    let stem = place.file_stem().unwrap_or_default().to_string_lossy();
    place.with_file_name(format!("{stem}-{layer}.qcow2"))
}

/// Removes a disk: all its layers, and what interrupted steps left of it; the note goes last, since as long as the disk
/// may be there its image is protected.
pub fn remove_files(place: &Path) -> Result<()> {
    let stem = place.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folder = place.parent().unwrap_or(Path::new("/"));
    let own = |name: &str| {
        let rest = name.strip_prefix(&stem).unwrap_or("?");
        let layer =
            rest.strip_prefix('-').map_or(rest, |r| r.trim_start_matches(|c: char| c.is_ascii_digit()));
        matches!(layer, ".qcow2" | ".qcow2.new" | ".json.new" | ".new")
    };
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(own) {
            files::remove(&entry.path())?;
        }
    }
    files::remove(&path(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_of_before_there_were_layers_is_understood() {
        let note: Note = serde_json::from_str(r#"{"image_digest":null,"linked":true}"#).unwrap();
        assert_eq!(note.layers, Layers::default());
        assert_eq!(note.active_path(Path::new("/pool/abc.qcow2")), Path::new("/pool/abc.qcow2"));
    }

    #[test]
    fn a_disk_goes_with_all_its_layers_and_no_other_disk() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("ab.qcow2");
        assert_eq!(layer_path(&place, 12), folder.path().join("ab-12.qcow2"));
        let own = [
            "ab.qcow2",
            "ab-1.qcow2",
            "ab-12.qcow2",
            "ab.qcow2.new",
            "ab.json.new",
            "ab.new",
            "ab-3.new",
            "ab.json",
        ];
        let others = ["abc.qcow2", "ab-x.qcow2", "abc-1.qcow2", "abc.json", "b.qcow2"];
        for name in own.iter().chain(&others) {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        remove_files(&place).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        let mut expected = others.to_vec();
        expected.sort_unstable();
        assert_eq!(left, expected);
    }
}
