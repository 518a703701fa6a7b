//! The forms that are understood.

use std::path::{Path, PathBuf};

use super::{
    azure_migrate, bitbrains, inventory, lines::Lines, perfmon, planetlab, prometheus, rvtools, sar,
    sheet::Sheet, spreadsheet, stream::Stream,
};
use crate::{Result, text};

/// Whose files they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Bitbrains,
    Planetlab,
    Sar,
    Perfmon,
    Prometheus,
    Rvtools,
    AzureMigrate,
    VmwareInventory,
    HypervInventory,
}

impl Form {
    pub const ALL: [Self; 9] = [
        Self::Bitbrains,
        Self::Planetlab,
        Self::Sar,
        Self::Perfmon,
        Self::Prometheus,
        Self::Rvtools,
        Self::AzureMigrate,
        Self::VmwareInventory,
        Self::HypervInventory,
    ];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bitbrains => "bitbrains",
            Self::Planetlab => "planetlab",
            Self::Sar => "sar",
            Self::Perfmon => "perfmon",
            Self::Prometheus => "prometheus",
            Self::Rvtools => "rvtools",
            Self::AzureMigrate => "azure-migrate",
            Self::VmwareInventory => "vmware-inventory",
            Self::HypervInventory => "hyperv-inventory",
        }
    }

    /// Whether its files have no loads over time, but what there is.
    pub fn is_inventory(self) -> bool {
        matches!(self, Self::Rvtools | Self::AzureMigrate | Self::VmwareInventory | Self::HypervInventory)
    }

    /// The most that a file may be unpacked. What is taken apart in memory grows there.
    pub(super) fn file_bytes_max(self) -> u64 {
        match self {
            Self::Prometheus => 512 << 20,
            _ if self.is_inventory() => 64 << 20,
            _ => 1 << 30,
        }
    }

    /// Files in the order in which they are read; it is theirs unless one says what another has to know.
    pub(super) fn in_order(self, files: &[PathBuf]) -> Vec<PathBuf> {
        let mut files = files.to_vec();
        if self == Self::Prometheus {
            files.sort_by_key(|file| prometheus::rank(file));
        }
        files
    }

    /// Sends what the bytes of a file say into the stream.
    pub(super) fn read(
        self,
        bytes: Vec<u8>,
        file: &Path,
        stream: &mut Stream,
        stopped: &dyn Fn() -> bool,
    ) -> Result<()> {
        stream.begin_file();
        if self == Self::Rvtools && spreadsheet::is_one(&bytes) {
            return rvtools::read(&spreadsheet::read(&bytes, "vinfo", file)?, stream);
        }
        let text = text::decode(file, bytes)?;
        let lines = Lines::new(&text, file, stopped);
        match self {
            Self::Bitbrains => bitbrains::read(lines, stream),
            Self::Planetlab => planetlab::read(lines, stream),
            Self::Sar => sar::read(lines, stream),
            Self::Perfmon => perfmon::read(lines, stream),
            Self::Prometheus => prometheus::read(lines, stream),
            Self::Rvtools => rvtools::read(&Sheet::read(lines)?, stream),
            Self::AzureMigrate => azure_migrate::read(&Sheet::read(lines)?, stream),
            Self::VmwareInventory => inventory::vmware(&Sheet::read(lines)?, stream),
            Self::HypervInventory => inventory::hyper_v(&Sheet::read(lines)?, stream),
        }
    }
}
