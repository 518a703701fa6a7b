//! What has to be known about a VM after the agent was restarted, or the host.
//!
//! Invariant: it is on disk before the step that makes it necessary: who runs, before it runs; why it was ended, before
//! it is ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tabane_core::vm::Cause;
use tabane_model::{DiskLimits, Name, Pinned, Uid};
use tabane_qemu::process::ProcessId;

use crate::{Result, files};

/// What names of devices on SATA begin with: their ports are numbered on their own.
pub const SATA: &str = "sata/";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub uid: Uid,
    pub name: Name,
    /// The number of the user that its QEMU runs as.
    pub user: u32,
    #[serde(default)]
    pub process: Option<Running>,
    #[serde(default)]
    pub last_exit: Option<Ended>,
    #[serde(default)]
    pub restarts: u32,
    #[serde(default)]
    pub starts: u32,
    #[serde(default)]
    pub resets: u32,
    #[serde(default)]
    pub shutdown_asked_at: Option<Timestamp>,
    #[serde(default)]
    pub pinned: Option<Pinned>,
    /// Which port each nic and disk sits in, so that the guest finds them at the same place after every start, whatever
    /// came and went in between.
    #[serde(default)]
    pub ports: BTreeMap<String, u8>,
    #[serde(default)]
    pub released: Option<Released>,
    /// The last revert that was done.
    #[serde(default)]
    pub reverted: Option<Uid>,
    /// The snapshot whose memory the next start loads.
    #[serde(default)]
    pub restore: Option<Uid>,
    /// The guest's file systems are, or may be, frozen by us.
    #[serde(default)]
    pub frozen: bool,
    /// Tells the guest that it was set back or copied, when it changes. A machine that was first started without this
    /// device never gets it.
    #[serde(default)]
    pub generation: Option<uuid::Uuid>,
    /// The snapshot of another VM whose memory it began with, or begins with.
    #[serde(default)]
    pub began_with: Option<Uid>,
    /// A clone's guest knows that it is a machine of its own.
    #[serde(default)]
    pub renewed: bool,
}

/// This host has let go of the VM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Released {
    /// Of the move.
    pub id: Uid,
    /// Its disks here: useless once it has arrived at the other host.
    pub disks: Vec<PathBuf>,
}

/// A QEMU that runs, or ran when this was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running {
    pub process: ProcessId,
    /// Of which boot of the host: process numbers begin anew with each.
    pub boot: uuid::Uuid,
    pub started_at: Timestamp,
    pub cpus: u32,
    pub memory_bytes: u64,
    /// Memory modules plugged in since its start.
    pub modules: u32,
    pub disks: BTreeSet<Name>,
    pub nics: BTreeSet<Name>,
    /// Its CD drives and the tag of what is in each; `None` until it was looked at.
    #[serde(default)]
    pub media: Option<BTreeMap<Name, Option<String>>>,
    /// Of disks that have any.
    #[serde(default)]
    pub limits: BTreeMap<Name, DiskLimits>,
    /// Why we are ending it, written before we do.
    #[serde(default)]
    pub ending: Option<Reason>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    pub at: Timestamp,
    pub reason: Reason,
    pub told: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Asked,
    GuestShutdown,
    Crash,
    HostLost,
}

impl From<Cause> for Reason {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Asked => Self::Asked,
            Cause::GuestShutdown => Self::GuestShutdown,
            Cause::Crash => Self::Crash,
            Cause::HostLost => Self::HostLost,
        }
    }
}

impl From<Reason> for Cause {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Asked => Self::Asked,
            Reason::GuestShutdown => Self::GuestShutdown,
            Reason::Crash => Self::Crash,
            Reason::HostLost => Self::HostLost,
        }
    }
}

impl State {
    pub fn new(uid: Uid, name: Name, user: u32) -> Self {
        Self {
            uid,
            name,
            user,
            process: None,
            last_exit: None,
            restarts: 0,
            starts: 0,
            resets: 0,
            shutdown_asked_at: None,
            pinned: None,
            ports: BTreeMap::new(),
            released: None,
            reverted: None,
            restore: None,
            frozen: false,
            generation: None,
            began_with: None,
            renewed: false,
        }
    }

    /// The port of a device; a new device gets the first one that nobody has.
    pub fn port(&mut self, device: String, ports: u8) -> Option<u8> {
        if let Some(port) = self.ports.get(&device) {
            return Some(*port);
        }
        let sata = device.starts_with(SATA);
        let taken = |port: &u8| self.ports.iter().any(|(d, p)| p == port && d.starts_with(SATA) == sata);
        let free = (0..ports).find(|port| !taken(port))?;
        self.ports.insert(device, free);
        Some(free)
    }

    pub fn folder(vms: &Path, uid: Uid) -> PathBuf {
        vms.join(uid.simple().to_string())
    }

    /// Beside the VM's folder, not in it: the folder is the VM's own, and this is none of its business.
    pub fn path(vms: &Path, uid: Uid) -> PathBuf {
        vms.join(format!("{}.json", uid.simple()))
    }

    /// What QEMU says on its standard error.
    pub fn log(vms: &Path, uid: Uid) -> PathBuf {
        vms.join(format!("{}.log", uid.simple()))
    }

    pub fn load(vms: &Path, uid: Uid) -> Result<Option<Self>> {
        files::read_json(&Self::path(vms, uid))
    }

    pub fn save(&self, vms: &Path) -> Result<()> {
        files::write_json(&Self::path(vms, self.uid), self)
    }

    /// All VMs that ever were on this host and have not been cleaned up.
    pub fn all(vms: &Path) -> Vec<Self> {
        let Ok(entries) = std::fs::read_dir(vms) else { return Vec::new() };
        let paths = entries.filter_map(|e| e.ok().map(|e| e.path()));
        let states = paths.filter(|p| p.extension().is_some_and(|e| e == "json"));
        states.filter_map(|path| files::read_json(&path).ok().flatten()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_sata_are_numbered_on_their_own_and_kept() {
        let mut state = State::new(Uid::from_u128(1), "web".parse().unwrap(), 1000);
        let mut port = |device: &str, ports| state.port(device.into(), ports);
        assert_eq!(port("nic/nic0", 26), Some(0));
        assert_eq!(port("sata/cd/cd0", 6), Some(0));
        assert_eq!(port("disk/root", 26), Some(1));
        assert_eq!(port("sata/disk/old", 6), Some(1));
        assert_eq!((port("sata/cd/cd0", 6), port("disk/root", 26)), (Some(0), Some(1)));
        assert_eq!(port("sata/cd/cd1", 2), None, "all are taken");
    }

    #[test]
    fn what_an_older_agent_wrote_is_understood() {
        let text = r#"{"process":{"pid":1,"start_ticks":2},"boot":"00000000-0000-0000-0000-000000000000",
            "started_at":"2026-01-01T00:00:00Z","cpus":1,"memory_bytes":1,"modules":0,"disks":["root"],"nics":[]}"#;
        let process = serde_json::to_value(ProcessId::of(std::process::id()).unwrap()).unwrap();
        let mut value: serde_json::Value = serde_json::from_str(text).unwrap();
        value["process"] = process;
        let running: Running = serde_json::from_value(value).unwrap();
        assert!(running.media.is_none() && running.limits.is_empty());
    }
}
