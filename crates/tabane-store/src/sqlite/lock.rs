//! One process has the folder: a locked file that names its holder.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::{Error, Result};

const LOCK: &str = "lock";
/// What a killed process was about to start has its open files until it runs.
const GONE_FOR_AT_MOST: Duration = Duration::from_secs(5);
const TRY_EVERY: Duration = Duration::from_millis(20);

/// Holds the folder until it is dropped. The lock belongs to the open file, so it ends with the process however that
/// ends; the pid inside is only for people.
pub(super) struct FolderLock {
    _file: File,
}

pub(super) fn make_folder(folder: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Error::file("make the folder", folder, error))
}

impl FolderLock {
    pub(super) fn take(folder: &Path) -> Result<FolderLock> {
        let path = folder.join(LOCK);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| Error::file("open", &path, error))?;
        let began = Instant::now();
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != Errno::WOULDBLOCK {
                return Err(Error::file("lock", &path, error.into()));
            }
            let pid = holder(&mut file);
            if !pid.is_some_and(is_gone) || began.elapsed() > GONE_FOR_AT_MOST {
                return Err(Error::Locked { folder: folder.to_owned(), pid });
            }
            std::thread::sleep(TRY_EVERY);
        }
        // A full disk must not keep the store from opening for reading; the lock holds without the name in it.
        let name = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
        if let Err(error) = name {
            tracing::warn!(path = %path.display(), %error, "cannot write the pid into the lock file");
        }
        Ok(FolderLock { _file: file })
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn is_gone(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}
