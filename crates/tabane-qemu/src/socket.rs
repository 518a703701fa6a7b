//! Connecting to unix sockets wherever they live.
//!
//! A socket address holds 108 bytes, and folders of VMs easily have longer names. A longer path is reached through
//! an open handle on its folder: `/proc/self/fd/<handle>/<name>`, which is short whatever the folder is called.
//!
//! Invariant: no function here changes the working directory, which belongs to the whole process.

use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::{Error, Result};

/// `sun_path` has 108 bytes, the last of which is the terminator.
const PATH_BYTES_MAX: usize = 107;
/// Between two tries to reach a socket that is not there yet.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Connects once. Errors: [`Error::Connect`].
pub async fn connect(path: &Path) -> Result<UnixStream> {
    connect_io(path).await.map_err(|source| Error::Connect { path: path.to_owned(), source })
}

/// Connects, and tries again while the socket does not exist or nobody listens yet: a QEMU that was just started
/// needs some time to make its sockets.
pub async fn connect_when_ready(path: &Path, timeout: Duration) -> Result<UnixStream> {
    let started = Instant::now();
    let deadline = started + timeout;
    loop {
        let failure = match tokio::time::timeout_at(deadline, connect_io(path)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(failure)) => failure,
            Err(_) => return Err(Error::timeout(format!("connecting to {}", path.display()), timeout)),
        };
        // In step with how long it has taken already, so that waiting adds little to that; a try costs microseconds.
        let pause = (started.elapsed() / 64).clamp(PAUSE_MIN, PAUSE_MAX);
        let later = matches!(
            failure.kind(),
            std::io::ErrorKind::NotFound
                | std::io::ErrorKind::ConnectionRefused
                | std::io::ErrorKind::WouldBlock
        );
        if !later || Instant::now() + pause >= deadline {
            return Err(Error::Connect { path: path.to_owned(), source: failure });
        }
        tokio::time::sleep(pause).await;
    }
}

async fn connect_io(path: &Path) -> std::io::Result<UnixStream> {
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return UnixStream::connect(path).await;
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    let handle = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut short = std::path::PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()));
    short.push(name);
    // The handle lives until the connection stands.
    UnixStream::connect(&short).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_path_longer_than_an_address_is_reached() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("f".repeat(120));
        std::fs::create_dir(&folder).unwrap();
        // Binding has the same limit, so it goes through the handle, too.
        let handle = std::fs::File::open(&folder).unwrap();
        let _listener =
            tokio::net::UnixListener::bind(format!("/proc/self/fd/{}/s.sock", handle.as_raw_fd())).unwrap();
        connect(&folder.join("s.sock")).await.unwrap();
    }

    #[tokio::test]
    async fn a_socket_that_comes_later_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("late.sock");
        let bound = path.clone();
        let server = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            tokio::net::UnixListener::bind(bound).unwrap()
        });
        connect_when_ready(&path, Duration::from_secs(20)).await.unwrap();
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_missing_socket_is_an_error_in_time() {
        let failure = connect_when_ready(Path::new("/nonexistent/x.sock"), Duration::from_millis(30)).await;
        assert!(matches!(failure, Err(Error::Connect { .. })), "{failure:?}");
    }
}
