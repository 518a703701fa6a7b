//! Files that are whole or not there: written under a new name, synced, renamed, and the folder synced.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// A folder with these permissions, made or corrected.
pub fn folder(path: &Path, mode: u32) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(Error::file("make", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::file("protect", path))
}

pub fn sync_folder(path: &Path) -> Result<()> {
    File::open(path).and_then(|f| f.sync_all()).map_err(Error::file("sync", path))
}

/// Writes a file that only we may read.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_mode(path, bytes, 0o600)
}

pub fn write_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let fresh = fresh_path(path);
    fresh_file(&fresh, bytes, mode)?.sync_all().map_err(Error::file("write", &fresh))?;
    rename(&fresh, path)
}

/// As [`write`], for what is compared with what it has to be before each use: it may be lost or torn by a power failure.
pub fn write_derived(path: &Path, bytes: &[u8]) -> Result<()> {
    let fresh = fresh_path(path);
    fresh_file(&fresh, bytes, 0o600)?;
    fs::rename(&fresh, path).map_err(Error::file("rename to", path))
}

/// Keeps the file's own ending: files that differ in nothing else stand beside each other, as a disk and its note.
pub fn fresh_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

fn fresh_file(path: &Path, bytes: &[u8], mode: u32) -> Result<File> {
    remove(path)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(Error::file("create", path))?;
    file.write_all(bytes).map_err(Error::file("write", path))?;
    Ok(file)
}

/// Renames within a folder, durably.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(Error::file("rename to", to))?;
    sync_folder(to.parent().unwrap_or(Path::new("/")))
}

pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| Error::Form { path: path.to_path_buf(), source }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { action: "read", path: path.to_path_buf(), source }),
    }
}

pub fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<()> {
    write(path, &serde_json::to_vec_pretty(value).expect("our own files have string keys"))
}

/// Removes a file; one that is not there is no error.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        _ => Ok(()),
    }
}

pub fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        // A link, or a file, in the place of a folder.
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => remove(path),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Opens a file in a folder that belongs to somebody else, who may have put a link there to lead us elsewhere.
pub fn open_foreign(path: &Path, options: &mut OpenOptions) -> std::io::Result<File> {
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::ErrorKind::InvalidInput.into()) }
}

/// Opens a file in a folder that belongs to somebody else, or in a folder of it: no link is followed on the way.
pub fn open_beneath(folder: &Path, name: &str) -> std::io::Result<File> {
    use rustix::fs::{Mode, OFlags, ResolveFlags};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let file: File = rustix::fs::openat2(File::open(folder)?, name, flags, Mode::empty(), resolve)?.into();
    if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::ErrorKind::InvalidInput.into()) }
}

/// The last `bytes_max` bytes of a file that grows; empty when there is none.
pub fn tail(path: &Path, bytes_max: u64) -> Vec<u8> {
    use std::io::{Read, Seek, SeekFrom};
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = open_foreign(path, OpenOptions::new().read(true))?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(bytes_max)))?;
        let mut bytes = Vec::new();
        file.take(bytes_max).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().unwrap_or_default()
}
