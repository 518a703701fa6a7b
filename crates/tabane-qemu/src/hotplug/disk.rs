//! Disks.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::tree;
use crate::command::{self, Disk};
use crate::qmp::{InsertedNode, Qmp};
use crate::{Error, Result};

/// How long a node may at least still be in use by a device that is gone already.
const NODE_RELEASE_MIN: Duration = Duration::from_secs(5);

/// Plugs a disk in and returns its port, which belongs into the machine's description from now on. A disk that is
/// there already is left alone.
///
/// Errors: [`Error::Exhausted`] without a free port, [`Error::Conflict`] if it sits in another port than is wanted,
/// [`Error::Qmp`] if the image cannot be opened.
pub async fn add_disk(qmp: &Qmp, disk: &Disk) -> Result<u8> {
    if !disk.needs_port() {
        return Err(Error::invalid("disk", "only virtio disks can be plugged in"));
    }
    let (nodes, device) = (command::blockdevs(disk)?, command::disk_device_id(&disk.id));
    if tree::is_plugged(qmp, &device).await? {
        return match (tree::port_of(qmp, &device).await?, disk.port) {
            (Some(is), wanted) if wanted.is_none_or(|wanted| wanted == is) => Ok(is),
            (is, wanted) => Err(Error::Conflict {
                what: device,
                detail: format!("its port is {is:?}, wanted is {wanted:?}"),
            }),
        };
    }
    // Both may fail, so they come before anything is changed.
    let port = tree::free_port(qmp, disk.port).await?;
    let device = command::disk_device(disk, &command::port_id(port))?;
    delete_disk_nodes(qmp, &disk.id, NODE_RELEASE_MIN).await?;
    let added = async {
        for node in nodes {
            qmp.run("blockdev-add", node).await?;
        }
        qmp.run("device_add", device).await
    };
    if let Err(error) = added.await {
        if let Err(undo) = delete_disk_nodes(qmp, &disk.id, NODE_RELEASE_MIN).await {
            tracing::warn!(disk = disk.id, %undo, "the nodes of a disk that could not be plugged in stay");
        }
        return Err(error);
    }
    Ok(port)
}

/// Unplugs a disk and closes its image. Success if it is not there.
///
/// Errors: [`Error::NotReleased`] if the guest does not give it back within `timeout`; the request stays, so that the
/// disk may go later; call again to complete the work.
pub async fn remove_disk(qmp: &Qmp, id: &str, timeout: Duration) -> Result<()> {
    crate::command::check_id("disk id", id)?;
    tree::unplug(qmp, &command::disk_device_id(id), timeout).await?;
    delete_disk_nodes(qmp, id, timeout).await
}

async fn delete_disk_nodes(qmp: &Qmp, id: &str, timeout: Duration) -> Result<()> {
    let nodes = qmp.query_named_block_nodes().await?;
    let names = || nodes.iter().map(|node| node.node_name.as_str());
    let mut layers: Vec<u32> = names().filter_map(|name| command::layer_of_node(id, name)).collect();
    // A file is left alone where its layer could not be added.
    layers.extend(names().filter_map(|name| command::layer_of_file_node(id, name)));
    layers.sort_unstable();
    layers.dedup();
    // A layer has a higher number than those below it, and nodes go from the top. One that came with another goes
    // with it.
    for layer in layers.into_iter().rev() {
        delete_layer(qmp, id, layer, timeout).await?;
    }
    Ok(())
}

/// Deletes a layer of a disk and its file, as [`delete_node`].
pub(crate) async fn delete_layer(qmp: &Qmp, id: &str, layer: u32, timeout: Duration) -> Result<()> {
    delete_node(qmp, &command::layer_node(id, layer), timeout).await?;
    delete_node(qmp, &command::layer_file_node(id, layer), timeout).await
}

/// Grows a disk; the guest sees it at once. Success if it has that size.
///
/// Errors: [`Error::Invalid`] if there is no such disk or it would shrink.
pub async fn resize_disk(qmp: &Qmp, id: &str, size_bytes: u64) -> Result<()> {
    crate::command::check_id("disk id", id)?;
    let missing = || Error::invalid("disk id", format!("the machine has no disk {id}"));
    let inserted = inserted(qmp, id).await?.ok_or_else(missing)?;
    let now_bytes = inserted.image.map_or(0, |image| image.virtual_bytes);
    if now_bytes == size_bytes {
        return Ok(());
    }
    if size_bytes < now_bytes || !size_bytes.is_multiple_of(512) {
        let reason = format!(
            "it has to be a multiple of 512 and no less than the {now_bytes} bytes that the disk has"
        );
        return Err(Error::invalid("size_bytes", reason));
    }
    qmp.block_resize(&inserted.node_name.ok_or_else(missing)?, size_bytes).await
}

/// The block node that the guest's disk hangs on now, which a snapshot changes. `None` if there is no such disk.
pub async fn disk_node_now(qmp: &Qmp, id: &str) -> Result<Option<String>> {
    crate::command::check_id("disk id", id)?;
    Ok(inserted(qmp, id).await?.and_then(|inserted| inserted.node_name))
}

async fn inserted(qmp: &Qmp, id: &str) -> Result<Option<InsertedNode>> {
    let device = command::disk_device_id(id);
    Ok(qmp.query_block().await?.into_iter().find(|info| info.is_of(&device)).and_then(|info| info.inserted))
}

/// Deletes a node if there is one. QEMU frees a device some time after it has taken it out of the machine, and refuses
/// to delete the node until then: a moment if the guest gave it back, but for as long as a busy vCPU runs under TCG if
/// a reset took it out.
pub(crate) async fn delete_node(qmp: &Qmp, node: &str, timeout: Duration) -> Result<()> {
    let deadline = Instant::now() + timeout.max(NODE_RELEASE_MIN);
    let mut pause = Duration::from_millis(5);
    loop {
        if !qmp.query_named_block_nodes().await?.iter().any(|known| known.node_name == node) {
            return Ok(());
        }
        match qmp.run("blockdev-del", json!({ "node-name": node })).await {
            Err(Error::Qmp { .. }) if Instant::now() < deadline => tokio::time::sleep(pause).await,
            Err(Error::Qmp { desc, .. }) => {
                return Err(Error::NotReleased { device: format!("the block node {node}"), detail: desc });
            }
            other => return other,
        }
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}
