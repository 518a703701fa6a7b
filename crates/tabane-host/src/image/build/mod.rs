//! Images of our own, built from the packages of a distribution.
//!
//! ```text
//!   recipe ──► packages, verified by the archive's key ──► files in a work folder ──► disk.qcow2
//!                                                                                     kernel, initramfs, cmdline
//! ```
//!
//! Invariants: nothing is installed on the host or mounted on it, no loop device is needed, and what a failed or
//! abandoned build leaves is its caller's empty folder.

pub mod appliance;
mod cpio;
mod debian;
mod elf;
mod error;
mod gpt;
mod grub;
mod kernel;
mod lz4;
mod modules;
mod packages;
mod tiny;
mod tool;
mod work;

use std::path::{Path, PathBuf};

pub use error::{Error, Result};

use work::Work;

/// The recipes by name.
pub const RECIPES: [&str; 3] = ["tiny", "debian-12", "debian-13"];

/// How far a build is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress<'a> {
    pub step: &'a str,
    /// Of the whole build, from 0 to 1.
    pub fraction: f32,
    pub detail: &'a str,
}

/// Gets every step of a build.
pub type Report<'a> = &'a (dyn Fn(Progress<'_>) + Send + Sync);

/// A built image: a folder with `disk.qcow2`, and for an image that boots by its own kernel `kernel`, `initramfs` and
/// `cmdline`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    pub folder: PathBuf,
    pub files: Vec<BuiltFile>,
    /// All files together.
    pub size_bytes: u64,
    pub virtual_size_bytes: u64,
    /// What is in `cmdline`; `None` for an image that boots from its disk, by BIOS or UEFI.
    pub command_line: Option<String>,
    /// For example `debian-12`.
    pub os: String,
    /// Whom cloud-init gives the keys to; `None` where there is no such user.
    pub default_user: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltFile {
    pub name: String,
    pub size_bytes: u64,
}

/// What a recipe tells of the image that it made.
struct Made {
    names: &'static [&'static str],
    virtual_size_bytes: u64,
    command_line: Option<String>,
    os: String,
    default_user: Option<String>,
}

/// Builds an image in `folder`, an empty folder. Takes seconds for `tiny` and minutes for a Debian.
///
/// Errors: [`Error::Missing`] for programs that the host lacks, [`Error::Archive`], [`Error::Key`]; see
/// [`Error::hint`]. To drop the future ends the build and its processes.
pub async fn run(recipe: &str, folder: &Path, report: Report<'_>) -> Result<Built> {
    let work = Work::new(folder)?;
    let made = match recipe {
        "tiny" => tiny::build(&work, report).await?,
        "debian-12" => debian::build(&debian::BOOKWORM, &work, report).await?,
        "debian-13" => debian::build(&debian::TRIXIE, &work, report).await?,
        _ => return Err(Error::Unknown { name: recipe.to_owned(), known: RECIPES.join(", ") }),
    };
    let mut files = Vec::new();
    for name in made.names {
        let path = work.output(name);
        let size_bytes = std::fs::metadata(&path).map_err(Error::file("look at", path))?.len();
        files.push(BuiltFile { name: (*name).to_owned(), size_bytes });
    }
    work.finish()?;
    report(Progress { step: "done", fraction: 1.0, detail: "" });
    Ok(Built {
        folder: folder.to_owned(),
        size_bytes: files.iter().map(|file| file.size_bytes).sum(),
        files,
        virtual_size_bytes: made.virtual_size_bytes,
        command_line: made.command_line,
        os: made.os,
        default_user: made.default_user,
    })
}
