//! What can be wrong with what is read.

use std::{fmt, path::PathBuf};

use thiserror::Error;

pub type Result<T> = std::result::Result<T, Error>;

/// Where in a file something is; lines and columns count from 1, columns in fields of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    pub line: usize,
    pub column: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.file.display(), self.line)?;
        self.column.map_or(Ok(()), |column| write!(f, ", column {column}"))
    }
}

#[derive(Debug, Error)]
pub enum Error {
    #[error("cannot read {}", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("cannot write {}", file.display())]
    Write { file: PathBuf, source: std::io::Error },
    /// More than is accepted, or than can be what it says it is.
    #[error("{} has more than {limit}", file.display())]
    TooLarge { file: PathBuf, limit: String },
    #[error("{} is neither UTF-8 nor UTF-16 nor Shift_JIS, first at byte {offset}", file.display())]
    Encoding { file: PathBuf, offset: usize },
    #[error("{place}: {what}")]
    Malformed { place: Place, what: String },
    /// Files that do not fit each other, or are missing.
    #[error("{}: {what}", folder.display())]
    Folder { folder: PathBuf, what: String },
    /// Of a server that is imported something has to be known that its files do not have.
    #[error("{server}: {what}")]
    Unknown { server: String, what: String },
    #[error("there is no {0} in these files")]
    Nothing(&'static str),
    #[error("stopped; nothing was written")]
    Stopped,
}
