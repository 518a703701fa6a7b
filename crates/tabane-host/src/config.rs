//! What an agent is started with, and where it keeps things.

use std::path::{Path, PathBuf};

use tabane_model::Name;

#[derive(Debug, Clone)]
pub struct Config {
    /// Everything of this agent is in here.
    pub folder: PathBuf,
    /// The name to join under.
    pub name: Name,
    /// How often the agent says that it lives.
    pub heartbeat_ms: u64,
    /// How often guests are asked for their addresses and file systems.
    pub guest_poll_ms: u64,
}

impl Config {
    pub fn new(folder: impl Into<PathBuf>, name: Name) -> Self {
        Self { folder: folder.into(), name, heartbeat_ms: 5_000, guest_poll_ms: 10_000 }
    }

    pub fn folders(&self) -> Folders {
        Folders(self.folder.clone())
    }
}

/// Where things are.
///
/// ```text
///   identity.json      who this agent is, and its token
///   lock               held while an agent runs
///   vms/<uid>/         a VM: state.json, sockets, serial.log, seed; the folder belongs to the VM's own user
///   pool/              the default pool: <disk uid>.qcow2
///   images/<digest>/   images by content
///   incoming/          uploads and downloads that are not complete
///   arrivals/<vm>.json VMs that are moving to this host
///   exports/           files for other systems while they are made
///   bases/             QEMUs that make the memory of a snapshot ready for clones
///   snapshots/<vm>/<uid>/  what a snapshot has beside layers: record.json, memory, firmware variables, TPM
/// ```
#[derive(Debug, Clone)]
pub struct Folders(PathBuf);

impl Folders {
    pub fn root(&self) -> &Path {
        &self.0
    }

    pub fn identity(&self) -> PathBuf {
        self.0.join("identity.json")
    }

    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    pub fn vms(&self) -> PathBuf {
        self.0.join("vms")
    }

    pub fn pool(&self) -> PathBuf {
        self.0.join("pool")
    }

    pub fn images(&self) -> PathBuf {
        self.0.join("images")
    }

    /// Kernels that open the file systems of guests.
    pub fn appliances(&self) -> PathBuf {
        self.0.join("appliances")
    }

    pub fn incoming(&self) -> PathBuf {
        self.0.join("incoming")
    }

    pub fn arrivals(&self) -> PathBuf {
        self.0.join("arrivals")
    }

    pub fn exports(&self) -> PathBuf {
        self.0.join("exports")
    }

    pub fn bases(&self) -> PathBuf {
        self.0.join("bases")
    }

    pub fn snapshots(&self) -> PathBuf {
        self.0.join("snapshots")
    }

    pub fn networks(&self) -> PathBuf {
        self.0.join("networks")
    }
}
