//! The folder of a build: the image's files, and beside them a work folder that goes away.
//!
//! Invariant: a build that did not finish leaves neither.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Error, Result};

const OUTPUTS: [&str; 4] = ["disk.qcow2", "kernel", "initramfs", "cmdline"];

pub(super) struct Work {
    folder: PathBuf,
    finished: bool,
}

impl Work {
    pub(super) fn new(folder: &Path) -> Result<Work> {
        let folder = std::path::absolute(folder).map_err(Error::file("find", folder))?;
        let work = Work { folder, finished: false };
        work.remove();
        let path = work.path("");
        std::fs::create_dir_all(&path).map_err(Error::file("make the folder", path))?;
        Ok(work)
    }

    /// In the work folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join("work").join(name)
    }

    /// A new folder in the work folder.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        std::fs::create_dir_all(&path).map_err(Error::file("make the folder", &path))?;
        Ok(path)
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path(name);
        std::fs::write(&path, content).map_err(Error::file("write", &path))?;
        Ok(path)
    }

    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path(name);
        std::fs::read(&path).map_err(Error::file("read", path))
    }

    /// A file of the image.
    pub(super) fn output(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn write_output(&self, name: &str, content: impl AsRef<[u8]>) -> Result<()> {
        let path = self.output(name);
        std::fs::write(&path, content).map_err(Error::file("write", path))
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.finished = true;
        let path = self.folder.join("work");
        std::fs::remove_dir_all(&path).map_err(Error::file("remove", path))
    }

    fn remove(&self) {
        for name in OUTPUTS {
            let _ = std::fs::remove_file(self.output(name));
        }
        // A process that was just killed may still be ending a write, and its mounts end after it.
        for _ in 0..150 {
            match std::fs::remove_dir_all(self.folder.join("work")) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                _ => return,
            }
        }
        tracing::warn!(folder = %self.folder.display(), "cannot remove what a build left");
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if !self.finished {
            self.remove();
        }
    }
}
