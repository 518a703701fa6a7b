//! Changing what is in a CD drive while the machine runs.
//!
//! ```text
//!   closed, old ──open──► open, old ──remove──► open, empty ──insert──► open, new ──close──► closed, new
//! ```
//!
//! Invariant: each step looks first at where the drive stands, so that calling [`change`] again after a crash between two
//! steps completes the work. A medium that no drive holds is closed.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use tokio::time::Instant;

use crate::command::{self, Medium};
use crate::hotplug::delete_node;
use crate::qmp::{BlockInfo, Qmp};
use crate::{Error, Result};

/// How long a guest that uses the medium may take to let go of it.
const GUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long QEMU may take to move a tray that nobody holds.
const TRAY_TIMEOUT: Duration = Duration::from_secs(5);
const NODE_TIMEOUT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);

/// The tag of the medium in a drive. `None` for an empty drive. Errors: [`Error::Invalid`] if there is no such drive.
pub async fn inserted(qmp: &Qmp, drive: &str) -> Result<Option<String>> {
    let info = look(qmp, drive).await?;
    Ok(node(&info).and_then(|node| command::tag_of_node(drive, node)).map(str::to_owned))
}

/// All drives of the machine, and the tags of what is in them.
pub async fn all(qmp: &Qmp) -> Result<BTreeMap<String, Option<String>>> {
    let blocks = qmp.query_block().await?;
    let drives = blocks.iter().filter_map(|info| {
        let drive = info.qdev.as_deref()?.rsplit('/').next()?.strip_prefix("cd-")?;
        let tag = node(info).and_then(|node| command::tag_of_node(drive, node)).map(str::to_owned);
        command::check_drive(drive).ok().map(|()| (drive.to_owned(), tag))
    });
    Ok(drives.collect())
}

/// Takes out what is in a drive, and puts in what is wanted, or nothing. Success if it is so already.
///
/// A guest that has locked the tray is asked first, and given a few seconds; then it is opened all the same, as by the
/// pin that fits into the hole of a real drive. Errors: [`Error::Invalid`] if there is no such drive, [`Error::Qmp`] if
/// the medium cannot be opened; then the drive is empty.
pub async fn change(qmp: &Qmp, drive: &str, wanted: Option<&Medium>) -> Result<()> {
    let id = command::drive_device_id(drive);
    let wanted_node = wanted.map(|medium| command::medium_node(drive, &medium.tag));
    let info = look(qmp, drive).await?;
    if node(&info).map(str::to_owned) != wanted_node {
        if node(&info).is_some() {
            open_tray(qmp, drive).await?;
            qmp.run("blockdev-remove-medium", json!({ "id": id })).await?;
        }
        close_all_but(qmp, drive, wanted_node.as_deref()).await?;
        if let (Some(medium), Some(node)) = (wanted, &wanted_node) {
            // A node that was left by a try that was cut short may be of another file by now.
            delete_node(qmp, node, NODE_TIMEOUT).await?;
            qmp.run("blockdev-add", command::medium_blockdev(drive, medium)?).await?;
            open_tray(qmp, drive).await?;
            qmp.run("blockdev-insert-medium", json!({ "id": id, "node-name": node })).await?;
        }
    }
    close_all_but(qmp, drive, wanted_node.as_deref()).await?;
    if look(qmp, drive).await?.tray_open == Some(true) {
        qmp.run("blockdev-close-tray", json!({ "id": id })).await?;
    }
    Ok(())
}

async fn open_tray(qmp: &Qmp, drive: &str) -> Result<()> {
    let id = command::drive_device_id(drive);
    for (force, timeout) in [(false, GUEST_TIMEOUT), (true, TRAY_TIMEOUT)] {
        if look(qmp, drive).await?.tray_open == Some(true) {
            return Ok(());
        }
        qmp.run("blockdev-open-tray", json!({ "id": id, "force": force })).await?;
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            if look(qmp, drive).await?.tray_open == Some(true) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Err(Error::NotReleased { device: id, detail: "its tray does not open".into() })
}

/// Lets QEMU close media of this drive that are in no drive.
async fn close_all_but(qmp: &Qmp, drive: &str, wanted: Option<&str>) -> Result<()> {
    for known in qmp.query_named_block_nodes().await? {
        let ours = command::tag_of_node(drive, &known.node_name).is_some();
        if ours && Some(known.node_name.as_str()) != wanted {
            delete_node(qmp, &known.node_name, NODE_TIMEOUT).await?;
        }
    }
    Ok(())
}

async fn look(qmp: &Qmp, drive: &str) -> Result<BlockInfo> {
    command::check_drive(drive)?;
    let id = command::drive_device_id(drive);
    let found = qmp.query_block().await?.into_iter().find(|info| info.is_of(&id));
    found.ok_or_else(|| Error::invalid("drive", format!("the machine has no CD drive {drive}")))
}

fn node(info: &BlockInfo) -> Option<&str> {
    info.inserted.as_ref()?.node_name.as_deref()
}
