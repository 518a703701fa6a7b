//! What a file is, told from its own bytes before any tool opens it.
//!
//! ```text
//!   first 64 KiB, last 512 bytes ──► which format? ──► its header ──► Inspected { format, virtual size }
//!                                                          └────────► refused: what was found, why, what to do
//! ```
//!
//! Invariants: the file is hostile. Every read has a bound that does not come from the file, every number is checked
//! before it is used to reach anywhere, and nothing panics. What passes here holds all of its own data, names no other
//! file, and is at most 64 TiB.

mod error;
mod foreign;
mod iso;
mod qcow2;
mod read;
#[cfg(test)]
mod tests;
mod vdi;
mod vhd;
mod vhdx;
mod vmdk;

use std::fmt;
use std::io::{Read, Seek};

pub use error::{Error, Result};

use read::Reader;

/// The largest disk that is taken.
pub const VIRTUAL_BYTES_MAX: u64 = 64 << 40;

/// The formats that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Raw,
    Qcow2,
    Vmdk,
    Vhd,
    Vhdx,
    Vdi,
    Iso,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
            Format::Vmdk => "vmdk",
            Format::Vhd => "vhd",
            Format::Vhdx => "vhdx",
            Format::Vdi => "vdi",
            Format::Iso => "iso",
        })
    }
}

impl From<Format> for tabane_qemu::img::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Raw | Format::Iso => Self::Raw,
            Format::Qcow2 => Self::Qcow2,
            Format::Vmdk => Self::Vmdk,
            Format::Vhd => Self::Vhd,
            Format::Vhdx => Self::Vhdx,
            Format::Vdi => Self::Vdi,
        }
    }
}

/// What the file's giver says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stated {
    #[default]
    Nothing,
    /// Checked against what is found.
    Is(Format),
    /// A raw disk, even if it begins like an image of another format: a guest wrote that there.
    RawWhateverItHolds,
}

/// An image that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    pub format: Format,
    /// The kind within the format, as its own documents call it: "streamOptimized", "version 3", "dynamic".
    pub variant: &'static str,
    /// The size of the disk that a guest would see.
    pub virtual_size_bytes: u64,
    pub file_size_bytes: u64,
    /// Snapshots inside a qcow2; a conversion leaves them out.
    pub internal_snapshots: u32,
}

/// Looks at an image. Errors: see [`Error`]; each has a hint.
pub fn inspect(mut file: impl Read + Seek, stated: Stated) -> Result<Inspected> {
    let mut reader = Reader::new(&mut file)?;
    if stated == Stated::RawWhateverItHolds {
        return raw(&reader);
    }
    let found = recognise(&mut reader)?;
    match stated {
        Stated::Is(Format::Raw) if found == Some(Format::Iso) => return raw(&reader),
        Stated::Is(Format::Raw) if found.is_some() => return Err(disguised(found)),
        Stated::Is(stated) if stated != Format::Raw && found != Some(stated) => {
            return Err(mismatch(&mut reader, stated, found));
        }
        _ => {}
    }
    let inspected = match found {
        Some(Format::Qcow2) => qcow2::inspect(&mut reader)?,
        Some(Format::Vmdk) => vmdk::inspect(&mut reader)?,
        Some(Format::Vhd) => vhd::inspect(&mut reader)?,
        Some(Format::Vhdx) => vhdx::inspect(&mut reader)?,
        Some(Format::Vdi) => vdi::inspect(&mut reader)?,
        Some(Format::Iso) => iso::inspect(&mut reader)?,
        Some(Format::Raw) | None => {
            foreign::refuse(&mut reader)?;
            raw(&reader)?
        }
    };
    if inspected.virtual_size_bytes == 0 {
        return Err(Error::damaged(inspected.format, "its disk has no size"));
    }
    if inspected.virtual_size_bytes > VIRTUAL_BYTES_MAX {
        return Err(Error::Refused {
            format: inspected.format,
            found: format!("has a disk of {} bytes", inspected.virtual_size_bytes),
            why: "the most that is taken is 64 TiB",
            hint: "shrink the disk, or divide its data among several".into(),
        });
    }
    Ok(inspected)
}

/// By the magic numbers alone.
fn recognise(reader: &mut Reader<'_>) -> Result<Option<Format>> {
    if qcow2::begins(reader.head()) {
        return Ok(Some(Format::Qcow2));
    }
    if vmdk::begins(reader.head()) {
        return Ok(Some(Format::Vmdk));
    }
    if vhdx::begins(reader.head()) {
        return Ok(Some(Format::Vhdx));
    }
    if vdi::begins(reader.head()) {
        return Ok(Some(Format::Vdi));
    }
    if vhd::present(reader)? {
        return Ok(Some(Format::Vhd));
    }
    Ok(iso::begins(reader.head()).then_some(Format::Iso))
}

fn raw(reader: &Reader<'_>) -> Result<Inspected> {
    let size_bytes = reader.size_bytes();
    if size_bytes == 0 {
        return Err(Error::NotAnImage { found: "an empty file", hint: "transfer the image again" });
    }
    if !size_bytes.is_multiple_of(512) {
        return Err(Error::Refused {
            format: Format::Raw,
            found: format!("has {size_bytes} bytes"),
            why: "a disk consists of sectors of 512 bytes, so it is cut off or not a disk",
            hint: "transfer the image again; if it is complete, pad it: truncate -s %512 FILE".into(),
        });
    }
    if size_bytes > VIRTUAL_BYTES_MAX {
        return Err(Error::Refused {
            format: Format::Raw,
            found: format!("has {size_bytes} bytes"),
            why: "the most that is taken is 64 TiB",
            hint: "shrink the disk, or divide its data among several".into(),
        });
    }
    Ok(Inspected {
        format: Format::Raw,
        variant: "raw",
        virtual_size_bytes: size_bytes,
        file_size_bytes: size_bytes,
        internal_snapshots: 0,
    })
}

/// A raw disk is written by its guest. If its first bytes could make it another format, a guest could make its host read
/// any file as its backing file; so raw is never guessed over a magic number.
fn disguised(found: Option<Format>) -> Error {
    let found = found.map(|format| format.to_string()).unwrap_or_default();
    Error::Mismatch {
        stated: Format::Raw,
        hint: format!(
            "state the format {found}; or, if a guest really wrote this on its raw disk, state that the disk is raw \
             whatever it holds"
        ),
        found,
    }
}

fn mismatch(reader: &mut Reader<'_>, stated: Format, found: Option<Format>) -> Error {
    match found {
        Some(found) => Error::Mismatch {
            stated,
            found: found.to_string(),
            hint: format!("state the format {found}, or leave it out"),
        },
        // A file that is something else altogether deserves that answer.
        None => foreign::refuse(reader).err().unwrap_or_else(|| Error::Mismatch {
            stated,
            found: "none of the formats known by their beginnings".into(),
            hint: "state the format raw if it is a plain disk; otherwise transfer the image again".into(),
        }),
    }
}
