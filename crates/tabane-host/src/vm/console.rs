//! The serial console: one connection to QEMU, any number of viewers, and what was said before they came.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use tabane_qemu::socket;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{broadcast, mpsc},
};
use tokio_util::sync::CancellationToken;

use crate::files;

/// What a viewer is shown of the past.
const SCROLL_BACK_BYTES: usize = 64 << 10;
/// A log that grew beyond this is cut down to its last part.
const LOG_BYTES_MAX: u64 = 4 << 20;
const CHUNK_BYTES: usize = 4096;

struct Past {
    bytes: VecDeque<u8>,
    live: broadcast::Sender<Arc<[u8]>>,
}

/// The console of a VM that runs. It ends when it is closed or dropped.
pub struct Console {
    past: Arc<Mutex<Past>>,
    input: mpsc::Sender<Vec<u8>>,
    stop: CancellationToken,
}

impl Drop for Console {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Console {
    /// Connects to the console of the QEMU in this folder. What it said while nobody listened is in its log.
    pub fn start(folder: PathBuf) -> Self {
        let (live, _) = broadcast::channel(256);
        let log = folder.join("serial.log");
        let bytes = files::tail(&log, SCROLL_BACK_BYTES as u64).into();
        let past = Arc::new(Mutex::new(Past { bytes, live }));
        let (input, typed) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let work = relay(folder.join("serial.sock"), log, past.clone(), typed);
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = work => {}
            }
        });
        Self { past, input, stop }
    }

    /// Ends it for all viewers.
    pub fn close(&self) {
        self.stop.cancel();
    }

    /// Shows the console to one viewer until he leaves or the VM ends.
    pub async fn attach(&self, stream: impl AsyncRead + AsyncWrite + Send) {
        let (before, mut live) = {
            // Under one lock: nothing is said between the past and the present.
            let past = self.past.lock().expect("no holder of this lock panics");
            (past.bytes.iter().copied().collect::<Vec<u8>>(), past.live.subscribe())
        };
        let (mut from_viewer, mut to_viewer) = tokio::io::split(stream);
        if to_viewer.write_all(&before).await.is_err() {
            return;
        }
        let mut typed = vec![0; CHUNK_BYTES];
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                said = live.recv() => match said {
                    Ok(bytes) => if to_viewer.write_all(&bytes).await.is_err() { return },
                    Err(broadcast::error::RecvError::Lagged(_)) => {
                        if to_viewer.write_all(b"\r\n[some output was left out]\r\n").await.is_err() { return }
                    }
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                read = from_viewer.read(&mut typed) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(n) => if self.input.send(typed[..n].to_vec()).await.is_err() { return },
                },
            }
        }
    }
}

/// Carries bytes between QEMU and the hub; connects again if the connection breaks.
async fn relay(
    socket_path: PathBuf,
    log: PathBuf,
    past: Arc<Mutex<Past>>,
    mut typed: mpsc::Receiver<Vec<u8>>,
) {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut since_cut: u64 = 0;
    loop {
        let Ok(stream) = socket::connect_when_ready(&socket_path, Duration::from_secs(10)).await else {
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        };
        let (mut from_qemu, mut to_qemu) = tokio::io::split(stream);
        loop {
            tokio::select! {
                read = from_qemu.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => break,
                    Ok(n) => {
                        say(&past, &buffer[..n]);
                        since_cut += n as u64;
                        if since_cut > LOG_BYTES_MAX / 4 {
                            since_cut = 0;
                            cut(&log);
                        }
                    }
                },
                input = typed.recv() => match input {
                    None => return,
                    Some(bytes) => if to_qemu.write_all(&bytes).await.is_err() { break },
                },
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn say(past: &Mutex<Past>, bytes: &[u8]) {
    let mut past = past.lock().expect("no holder of this lock panics");
    past.bytes.extend(bytes);
    let excess = past.bytes.len().saturating_sub(SCROLL_BACK_BYTES);
    past.bytes.drain(..excess);
    // Without viewers there is nobody to tell.
    let _ = past.live.send(bytes.into());
}

/// Cuts a log that grew too large down to its last part. QEMU appends to it, so it goes on at the new end.
fn cut(log: &std::path::Path) {
    let Ok(length) = std::fs::metadata(log).map(|m| m.len()) else { return };
    if length > LOG_BYTES_MAX {
        let last = files::tail(log, SCROLL_BACK_BYTES as u64);
        let rewrite = || -> std::io::Result<()> {
            let mut file = files::open_foreign(log, std::fs::OpenOptions::new().write(true))?;
            file.set_len(0)?;
            std::io::Write::write_all(&mut file, &last)
        };
        if let Err(error) = rewrite() {
            tracing::warn!(log = %log.display(), %error, "cannot cut a serial log");
        }
    }
}
