//! What qemu-img tells in JSON.

use serde::Deserialize;

/// Of an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Info {
    /// QEMU's name of the format.
    pub format: String,
    #[serde(rename = "virtual-size")]
    pub virtual_size_bytes: u64,
    /// What the file takes up on its file system.
    #[serde(rename = "actual-size", default)]
    pub actual_size_bytes: u64,
    #[serde(rename = "cluster-size")]
    pub cluster_size_bytes: Option<u64>,
    /// As it is written in the image.
    pub backing_filename: Option<String>,
    pub backing_filename_format: Option<String>,
    #[serde(default)]
    pub encrypted: bool,
    /// Was not closed properly.
    #[serde(default, rename = "dirty-flag")]
    pub dirty: bool,
    #[serde(default)]
    pub snapshots: Vec<InternalSnapshot>,
    #[serde(default)]
    format_specific: Option<FormatSpecific>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InternalSnapshot {
    pub id: String,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct FormatSpecific {
    #[serde(default)]
    data: Specifics,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Specifics {
    data_file: Option<String>,
    #[serde(default)]
    corrupt: bool,
    #[serde(default)]
    extents: Vec<Extent>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Extent {
    filename: String,
}

impl Info {
    /// The qcow2 is marked as damaged.
    pub fn corrupt(&self) -> bool {
        self.specifics().is_some_and(|data| data.corrupt)
    }

    fn specifics(&self) -> Option<&Specifics> {
        self.format_specific.as_ref().map(|specific| &specific.data)
    }

    /// Another file that the image needs. `own` is the name by which qemu-img was given the image.
    pub(super) fn reference(&self, own: &str) -> Option<String> {
        if let Some(backing) = &self.backing_filename {
            return Some(format!("it has the backing file {backing:?}"));
        }
        let data = self.specifics()?;
        if let Some(file) = &data.data_file {
            return Some(format!("its data is in another file, {file:?}"));
        }
        let extent = data.extents.iter().find(|extent| extent.filename != own)?;
        Some(format!("a part of it is in another file, {:?}", extent.filename))
    }
}

/// Of an image's structure.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Check {
    /// The image could not be checked to the end.
    #[serde(rename = "check-errors")]
    pub unchecked: u64,
    #[serde(default)]
    pub corruptions: u64,
    /// Space that nothing uses; harmless.
    #[serde(default)]
    pub leaks: u64,
    #[serde(default, rename = "image-end-offset")]
    pub end_bytes: u64,
}

impl Check {
    pub fn is_sound(&self) -> bool {
        self.unchecked == 0 && self.corruptions == 0
    }
}

/// How large an image will be in another format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Measure {
    #[serde(rename = "required")]
    pub required_bytes: u64,
    #[serde(rename = "fully-allocated")]
    pub fully_allocated_bytes: u64,
}
