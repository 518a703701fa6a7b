//! An image file as qemu-img gets to see it.
//!
//! Invariant: a foreign image is handed over as an open file, never by its name. So its name cannot be read as a
//! protocol or as an option, it cannot be exchanged between a check and its use, and it may lie in a folder that the
//! sandbox cannot enter. Its format is always given, never probed.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Error, Result};

/// The formats of image files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Also ISO 9660.
    Raw,
    Qcow2,
    Vmdk,
    Vhd,
    Vhdx,
    Vdi,
}

impl Format {
    /// QEMU's name of the format.
    pub fn driver(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
            Format::Vmdk => "vmdk",
            Format::Vhd => "vpc",
            Format::Vhdx => "vhdx",
            Format::Vdi => "vdi",
        }
    }
}

/// An image to be read.
#[derive(Debug, Clone)]
pub struct Source {
    pub path: PathBuf,
    pub format: Format,
    /// One of our own images, which may refer to others of our own. A foreign image may not refer to anything.
    pub trusted: bool,
}

impl Source {
    /// An image that somebody gave us.
    pub fn foreign(path: impl Into<PathBuf>, format: Format) -> Source {
        Source { path: path.into(), format, trusted: false }
    }

    /// An image that we made; its backing files are followed.
    pub fn own(path: impl Into<PathBuf>, format: Format) -> Source {
        Source { path: path.into(), format, trusted: true }
    }

    pub(super) fn open(&self) -> Result<Opened> {
        // Not a device or a pipe: opening one may block or have effects, whoever named it.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&self.path)
            .map_err(|source| Error::File { action: "open", path: self.path.clone(), source })?;
        let metadata = file.metadata().map_err(|source| Error::File {
            action: "look at",
            path: self.path.clone(),
            source,
        })?;
        if !metadata.is_file() && !self.trusted {
            return Err(Error::Refused {
                path: self.path.clone(),
                reason: "it is not a regular file".into(),
            });
        }
        if self.format == Format::Vmdk && !self.trusted {
            check_vmdk(&file, &self.path)?;
        }
        let file = OwnedFd::from(file);
        // The backing file of one of our own is found from where the image is.
        let name = if self.trusted { absolute(&self.path)?.into_os_string() } else { fd_name(&file).into() };
        Ok(Opened { file, name, format: self.format, size_bytes: metadata.len() })
    }
}

/// A vmdk descriptor in place of a disk makes QEMU open whatever it names, also over the network, already when it is
/// asked about the image. Only the sparse formats hold their data themselves, and only with a capacity of their own.
fn check_vmdk(mut file: &File, path: &Path) -> Result<()> {
    let mut head = [0u8; 20];
    let read = file.read_exact(&mut head);
    if read.is_err() || &head[..4] != b"KDMV" || head[12..20] == [0; 8] {
        let reason = "it is not a vmdk that holds its own data, but one that names other files".into();
        return Err(Error::Refused { path: path.to_owned(), reason });
    }
    Ok(())
}

/// The name of an open file in the child, which has it under the same number.
pub(super) fn fd_name(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

pub(super) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|source| Error::File { action: "find", path: path.to_owned(), source })
}

/// Whether a writer elsewhere is in the way. Metadata may be asked of an image in use, data may not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    Yes,
    No,
}

/// A source with its file held open for the child.
pub(super) struct Opened {
    pub file: OwnedFd,
    pub name: OsString,
    format: Format,
    pub size_bytes: u64,
}

impl Opened {
    /// What follows `--image-opts`.
    pub(super) fn options(&self, lock: Lock) -> OsString {
        let mut options = OsString::from(format!("driver={},", self.format.driver()));
        if self.format == Format::Vhd {
            // Some writers' disks are given by cylinders, heads and sectors, which round down. The size in the footer
            // is what Hyper-V and we go by.
            options.push("force_size_calc=current_size,");
        }
        if lock == Lock::No {
            options.push("force-share=on,");
        }
        options.push("file.driver=file,file.filename=");
        options.push(escaped(&self.name));
        options
    }
}

/// A comma ends an option; two are one in a value.
pub(super) fn escaped(name: &std::ffi::OsStr) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut bytes = Vec::with_capacity(name.len());
    for byte in name.as_bytes() {
        bytes.extend(std::iter::repeat_n(*byte, if *byte == b',' { 2 } else { 1 }));
    }
    OsString::from_vec(bytes)
}
