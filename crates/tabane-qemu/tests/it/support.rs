//! A QEMU that goes when the test goes, whichever way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tabane_qemu::command::Machine;
use tabane_qemu::install::Installation;
use tabane_qemu::process::{Credentials, Launch, ProcessId, Signal, stderr_tail};
use tabane_qemu::qmp::{EventStream, Qmp};

/// Starting QEMU takes long on a busy host.
pub const LONG: Duration = Duration::from_secs(120);

/// Nobody's user.
pub const UID: u32 = 64999;

pub struct Qemu {
    pub id: ProcessId,
    pub qmp: Qmp,
    pub events: EventStream,
    pub folder: tempfile::TempDir,
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.id.kill(Signal::Kill);
    }
}

impl Qemu {
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

pub fn is_root() -> bool {
    // SAFETY: plain system call.
    unsafe { libc::geteuid() == 0 }
}

pub async fn installation() -> Installation {
    Installation::discover().await.unwrap_or_else(|error| panic!("these tests need QEMU: {error}"))
}

/// A paused machine without disks and nics.
pub async fn machine(name: &str) -> Machine {
    let uuid = uuid::Uuid::now_v7();
    let mut machine = Machine::new(name, uuid, installation().await.machine_type, 256 << 20);
    machine.start_paused = true;
    machine
}

/// A folder that QEMU's user may write into.
pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    give_away(folder.path());
    folder
}

pub fn give_away(path: &Path) {
    if is_root() {
        std::os::unix::fs::chown(path, Some(UID), Some(UID)).unwrap();
    }
}

/// An empty raw image.
pub fn image(folder: &Path, name: &str, bytes: u64) -> PathBuf {
    let path = folder.join(name);
    std::fs::File::create(&path).unwrap().set_len(bytes).unwrap();
    give_away(&path);
    path
}

pub async fn start(machine: &Machine) -> Qemu {
    start_in(folder(), machine).await
}

pub async fn start_in(folder: tempfile::TempDir, machine: &Machine) -> Qemu {
    start_with(folder, machine, |_| {}).await
}

pub async fn start_with(
    folder: tempfile::TempDir,
    machine: &Machine,
    prepare: impl FnOnce(&mut Launch),
) -> Qemu {
    let stderr = folder.path().join("qemu.log");
    let mut launch = Launch::new(installation().await.qemu.path, folder.path(), &stderr);
    launch.arguments = machine.arguments().unwrap();
    if is_root() {
        launch.credentials = Some(Credentials { uid: UID, gid: UID, supplementary_gids: vec![] });
    }
    prepare(&mut launch);
    let id = launch.spawn().unwrap();
    match Qmp::connect(&folder.path().join(&machine.sockets.qmp), LONG).await {
        Ok((qmp, events)) => Qemu { id, qmp, events, folder },
        Err(error) => {
            let _ = id.kill(Signal::Kill);
            panic!("{error}: {}", stderr_tail(&stderr, 4000));
        }
    }
}
