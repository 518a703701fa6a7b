//! A file that is being written.
//!
//! Invariant: the file is new, never an existing one, and unless [`Target::finish`] is reached it is removed again.

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use super::{Error, Result};

pub(super) struct Target {
    path: PathBuf,
    file: OwnedFd,
    finished: bool,
}

impl Target {
    /// Makes the file, for the sandbox's user to write.
    pub(super) fn new(path: &Path, identity: Option<(u32, u32)>) -> Result<Target> {
        let fault = |action| move |source| Error::File { action, path: path.to_owned(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(fault("make"))?;
        let target = Target { path: path.to_owned(), file: file.into(), finished: false };
        if let Some((uid, gid)) = identity {
            fchown(&target.file, Some(uid), Some(gid)).map_err(fault("hand over"))?;
        }
        Ok(target)
    }

    pub(super) fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// Takes the file back and makes it durable; qemu-img leaves it to the page cache.
    pub(super) async fn finish(mut self) -> Result<()> {
        let fault = |action, source| Error::File { action, path: self.path.clone(), source };
        let user = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        fchown(&self.file, Some(user.0), Some(user.1)).map_err(|source| fault("take back", source))?;
        let copy = self.file.try_clone().map_err(|source| fault("sync", source))?;
        let synced = tokio::task::spawn_blocking(move || File::from(copy).sync_all()).await;
        synced.map_err(std::io::Error::other).flatten().map_err(|source| fault("sync", source))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.finished {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
