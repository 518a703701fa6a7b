//! The forms that are understood.

use std::path::{Path, PathBuf};

use super::{bitbrains, lines::Lines, perfmon, planetlab, prometheus, sar, stream::Stream};
use crate::{Result, text};

/// Whose files they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Bitbrains,
    Planetlab,
    Sar,
    Perfmon,
    Prometheus,
}

impl Form {
    pub const ALL: [Self; 5] = [Self::Bitbrains, Self::Planetlab, Self::Sar, Self::Perfmon, Self::Prometheus];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bitbrains => "bitbrains",
            Self::Planetlab => "planetlab",
            Self::Sar => "sar",
            Self::Perfmon => "perfmon",
            Self::Prometheus => "prometheus",
        }
    }

    /// Whether its files have no loads over time, but what there is.
    pub fn is_inventory(self) -> bool {
        false
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
        bytes: &[u8],
        file: &Path,
        stream: &mut Stream,
        stopped: &dyn Fn() -> bool,
    ) -> Result<()> {
        let text = text::decode(file, bytes.to_vec())?;
        let lines = Lines::new(&text, file, stopped);
        stream.begin_file();
        match self {
            Self::Bitbrains => bitbrains::read(lines, stream),
            Self::Planetlab => planetlab::read(lines, stream),
            Self::Sar => sar::read(lines, stream),
            Self::Perfmon => perfmon::read(lines, stream),
            Self::Prometheus => prometheus::read(lines, stream),
        }
    }
}
