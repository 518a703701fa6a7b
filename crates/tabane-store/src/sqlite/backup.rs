//! A copy of the store while it goes on.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::database;
use crate::{Error, Result};

/// Writes what one read transaction sees beside `path`, makes it durable and renames it into place.
///
/// `VACUUM INTO` rather than the backup interface: that one begins anew whenever another connection writes, and a busy
/// store would never be copied.
pub(super) fn backup(connection: &Connection, path: &Path) -> Result<()> {
    let mut name: OsString = path.file_name().ok_or_else(|| no_name(path))?.to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let result = write(connection, &new).and_then(|()| {
        std::fs::rename(&new, path).map_err(|error| Error::file("rename the backup to", path, error))?;
        sync_folder(path)
    });
    if result.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    result
}

fn no_name(path: &Path) -> Error {
    Error::file("back up to", path, std::io::ErrorKind::IsADirectory.into())
}

fn write(connection: &Connection, new: &Path) -> Result<()> {
    // What an interrupted backup left would make the vacuum refuse. It accepts an empty file, which has our mode.
    match std::fs::remove_file(new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::file("remove the unfinished backup", new, error));
        }
        _ => {}
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(new)
        .map_err(|error| Error::file("make", new, error))?;
    let target = new.to_str().ok_or_else(|| {
        Error::file("back up to", new, std::io::Error::other("the path is not valid UTF-8"))
    })?;
    connection.execute("VACUUM INTO ?1", [target]).map_err(database("be backed up"))?;
    file.sync_all().map_err(|error| Error::file("sync", new, error))
}

/// A rename is durable when its folder is.
fn sync_folder(path: &Path) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    File::open(&folder)
        .and_then(|opened| opened.sync_all())
        .map_err(|error| Error::file("sync the folder", folder, error))
}
