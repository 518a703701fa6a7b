//! The memory and the state of the devices of a machine, saved into a file and loaded from it.
//!
//! QEMU's own migration, into a file that we have opened: QEMU needs no rights to it. The guest goes on while most of
//! its memory is written, and is stopped for what it changed meanwhile. Memory that is a file
//! ([`crate::command::MemoryFile`]) is there already: then the devices alone are saved and loaded.

mod base;

use std::fs::File;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::qmp::Qmp;
use crate::{Error, Result};

pub use base::Base;

const HANDLE: &str = "memory-file";
/// How long the guest may stand still for the last of it.
const DOWNTIME_MS_MAX: u64 = 300;
/// A guest that changes its memory faster than it can be written is stopped after this time.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Deserialize)]
struct Migration {
    #[serde(default)]
    status: Option<String>,
    #[serde(rename = "error-desc", default)]
    error: Option<String>,
}

/// What goes into a file, or comes from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    All,
    /// All but memory that is a shared file.
    Devices,
}

/// QEMU keeps what was set before.
async fn choose(qmp: &Qmp, parts: Parts) -> Result<()> {
    let capability = json!({ "capability": "x-ignore-shared", "state": parts == Parts::Devices });
    qmp.run("migrate-set-capabilities", json!({ "capabilities": [capability] })).await
}

async fn migration(qmp: &Qmp) -> Result<Migration> {
    qmp.execute("query-migrate", Value::Null).await
}

/// Saves the machine's memory. When it is done the machine is stopped, and its disks are as they were at that moment.
///
/// Errors: [`Error::Qmp`] if something of the machine cannot be saved; [`Error::Timeout`]. The machine goes on by
/// `cont` in any case.
pub async fn save(qmp: &Qmp, parts: Parts, file: File, timeout: Duration) -> Result<()> {
    choose(qmp, parts).await?;
    // Faster than any disk: it is the disk that sets the pace.
    let parameters = json!({ "max-bandwidth": 1u64 << 40, "downtime-limit": DOWNTIME_MS_MAX });
    qmp.run("migrate-set-parameters", parameters).await?;
    qmp.pass_fd(HANDLE, file.into()).await?;
    qmp.run("migrate", json!({ "uri": format!("fd:{HANDLE}") })).await?;
    let begun = Instant::now();
    let mut stopped = false;
    loop {
        let seen = migration(qmp).await?;
        match seen.status.as_deref() {
            Some("completed") => return Ok(()),
            Some("failed" | "cancelled") => {
                let desc = seen.error.unwrap_or_else(|| "it does not say why".into());
                return Err(Error::Qmp { command: "migrate".into(), class: "GenericError".into(), desc });
            }
            _ => {}
        }
        if begun.elapsed() > timeout {
            qmp.run("migrate_cancel", Value::Null).await?;
            return Err(Error::timeout("saving the memory", timeout));
        }
        if !stopped && begun.elapsed() > PATIENCE {
            qmp.stop().await?;
            stopped = true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Lets a machine that was started to wait for it (`incoming`) load its memory. Returns when QEMU has begun.
pub async fn begin_to_load(qmp: &Qmp, parts: Parts, file: File) -> Result<()> {
    choose(qmp, parts).await?;
    qmp.pass_fd(HANDLE, file.into()).await?;
    qmp.run("migrate-incoming", json!({ "uri": format!("fd:{HANDLE}") })).await
}
