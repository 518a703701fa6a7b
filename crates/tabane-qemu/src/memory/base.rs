//! What many machines begin with: the memory and the devices of one that stood still.
//!
//! ```text
//!   saved machine ─► a QEMU that loads it and runs no guest ─► memory: a sealed file in memory, of which every machine maps
//!                                                         └──► devices: QEMU's own migration stream, without the memory
//! ```
//!
//! Invariant: nobody can write to it any more. A machine maps it privately; what its guest writes becomes its own.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};

use super::{Parts, begin_to_load, save};
use crate::command::{Machine, MemoryFile};
use crate::process::{Launch, ProcessId, Signal, stderr_tail};
use crate::qmp::{Qmp, RunState};
use crate::{Error, Result};

/// Callers give their own handles higher numbers.
const MEMORY_HANDLE: RawFd = 9;
/// What is given back has this size at least.
const PIECE_BYTES: usize = 64 << 10;
const QMP_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Base {
    memory: OwnedFd,
    devices: OwnedFd,
}

/// The QEMU goes with this, whichever way.
struct Helper(ProcessId);

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill(Signal::Kill);
    }
}

impl Base {
    /// Loads what `saved` holds into a machine that fits to it, and keeps that. The machine's disks are opened, and not
    /// touched; its guest does not run. `launch` says who QEMU is to be, and where.
    ///
    /// Errors: as [`Launch::spawn`]; [`Error::Qmp`] if it does not fit; [`Error::Timeout`].
    pub async fn prepare(
        mut launch: Launch,
        mut machine: Machine,
        saved: File,
        timeout: Duration,
    ) -> Result<Self> {
        let memory = file_in_memory("memory", Some(machine.memory_bytes))?;
        let devices = file_in_memory("devices", None)?;
        machine.memory_file = Some(MemoryFile { fd: MEMORY_HANDLE, shared: true });
        machine.start_paused = true;
        machine.incoming = true;
        launch.arguments = machine.arguments()?;
        let inherited = memory.try_clone().map_err(system("open"))?;
        launch.inherit_fds.push((inherited, MEMORY_HANDLE));
        let (socket, log) = (launch.directory.join(&machine.sockets.qmp), launch.stderr.clone());
        let spawned = tokio::task::spawn_blocking(move || launch.spawn()).await;
        let helper = Helper(spawned.map_err(|e| Error::invalid("launch", e.to_string()))??);
        let done = async {
            let (qmp, _events) = Qmp::connect(&socket, QMP_TIMEOUT).await?;
            begin_to_load(&qmp, Parts::All, saved).await?;
            loaded(&qmp, timeout).await?;
            let to = devices.try_clone().map_err(system("open"))?;
            save(&qmp, Parts::Devices, to.into(), timeout).await?;
            qmp.quit().await
        };
        let done = done.await;
        // Only when nobody maps it for writing can it be sealed.
        if done.is_err() {
            helper.0.kill(Signal::Kill).ok();
        }
        tokio::time::timeout(QMP_TIMEOUT, helper.0.wait())
            .await
            .map_err(|_| Error::timeout("the end of a QEMU that has done its work", QMP_TIMEOUT))?;
        done.inspect_err(|_| {
            tracing::warn!(said = stderr_tail(&log, 500), "a saved memory cannot be loaded");
        })?;
        let memory = tokio::task::spawn_blocking(move || give_back_zeros(&memory).map(|()| memory));
        let memory = memory.await.map_err(|e| Error::invalid("memory", e.to_string()))??;
        for file in [&memory, &devices] {
            let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
            rustix::fs::fcntl_add_seals(file, seals).map_err(|e| system("seal")(e.into()))?;
        }
        Ok(Self { memory, devices })
    }

    /// For [`Launch::inherit_fds`]: what [`MemoryFile`] names, not shared.
    pub fn memory(&self) -> Result<OwnedFd> {
        self.memory.try_clone().map_err(system("open"))
    }

    /// For [`begin_to_load`], from its beginning whoever else reads it.
    pub fn devices(&self) -> Result<File> {
        File::open(format!("/proc/self/fd/{}", self.devices.as_raw_fd())).map_err(system("open"))
    }

    /// Memory of the host that it takes.
    pub fn used_bytes(&self) -> u64 {
        let used =
            |file: &OwnedFd| rustix::fs::fstat(file.as_fd()).map_or(0, |s| s.st_blocks.cast_unsigned() * 512);
        used(&self.memory) + used(&self.devices)
    }
}

/// A file that is nowhere but in memory. QEMU, another user, opens it anew by its handle, which the mode allows.
fn file_in_memory(name: &str, size_bytes: Option<u64>) -> Result<OwnedFd> {
    let file = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
        .map_err(|e| system("make")(e.into()))?;
    if let Some(size) = size_bytes {
        rustix::fs::ftruncate(&file, size).map_err(|e| system("make")(e.into()))?;
    }
    Ok(file)
}

/// QEMU looks at each page that it need not write, and the file then has it. Nobody will miss these.
fn give_back_zeros(file: &OwnedFd) -> Result<()> {
    let size = rustix::fs::fstat(file).map_err(|e| system("look at")(e.into()))?.st_size.cast_unsigned();
    let (zeros, mut piece) = (vec![0u8; PIECE_BYTES], vec![0u8; PIECE_BYTES]);
    for at in (0..size).step_by(PIECE_BYTES) {
        let read = rustix::io::pread(file, &mut piece[..], at).map_err(|e| system("read")(e.into()))?;
        if piece[..read] == zeros[..read] {
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            rustix::fs::fallocate(file, hole, at, read as u64).map_err(|e| system("shorten")(e.into()))?;
        }
    }
    Ok(())
}

fn system(action: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::File { action, path: "a file in memory".into(), source }
}

/// Until everything is loaded.
async fn loaded(qmp: &Qmp, timeout: Duration) -> Result<()> {
    let began = tokio::time::Instant::now();
    loop {
        match qmp.query_status().await?.state {
            RunState::Inmigrate => {}
            RunState::Paused | RunState::Prelaunch => return Ok(()),
            other => {
                let detail = format!("after loading it is {other:?}");
                return Err(Error::Protocol { peer: "QEMU", detail });
            }
        }
        if began.elapsed() > timeout {
            return Err(Error::timeout("loading the memory", timeout));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
