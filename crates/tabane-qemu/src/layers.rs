//! Layers of disks in a running QEMU: putting new ones on top, and merging.
//!
//! ```text
//!   snapshot     a            a ◄── b             all disks at once, between two writes of the guest
//!   stream       a ◄── b      b                   b takes over what it lacks of a
//!   commit       a ◄── b      a                   b is written into a; ready ─► complete swaps them
//! ```
//!
//! Merging is a job of QEMU: it has a name, goes on without us, and stays until it is dismissed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::command::{layer_blockdevs, layer_file_node, layer_node, layer_of_node};
use crate::hotplug::{delete_layer, disk_node_now};
use crate::qmp::{NamedBlockNode, Qmp};
use crate::{Error, Result};

/// The snapshot itself waits for requests that are under way; a slow storage takes its time.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(60);
const NODE_TIMEOUT: Duration = Duration::from_secs(5);

/// A layer that is to be put on top of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLayer {
    /// Of the disk.
    pub id: String,
    pub layer: u32,
    /// A new qcow2 file, as large as the disk.
    pub path: PathBuf,
}

/// What a layer is to stand on after a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Below {
    Nothing,
    Layer(u32, PathBuf),
    /// An image: QEMU knows it by its name.
    Image(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Job {
    pub id: String,
    /// QEMU's word: `running`, `ready`, `concluded` and others.
    pub status: String,
    #[serde(rename = "current-progress", default)]
    pub done: u64,
    #[serde(rename = "total-progress", default)]
    pub total: u64,
    #[serde(default)]
    pub error: Option<String>,
}

/// The layer that the guest's disk hangs on. `None` if there is no such disk, or it hangs on something else.
pub async fn top(qmp: &Qmp, id: &str) -> Result<Option<u32>> {
    Ok(disk_node_now(qmp, id).await?.and_then(|node| layer_of_node(id, &node)))
}

/// Puts the layers on top of their disks: all of them, or none.
///
/// Errors: [`Error::Qmp`] if QEMU refuses; what was added for it is taken away again.
pub async fn snapshot(qmp: &Qmp, new: &[NewLayer]) -> Result<()> {
    let mut actions = Vec::new();
    for (added, layer) in new.iter().enumerate() {
        let current = disk_node_now(qmp, &layer.id).await?;
        let result = match current {
            Some(_) => add(qmp, layer).await,
            None => Err(Error::invalid("disk id", format!("the machine has no disk {}", layer.id))),
        };
        if let Err(error) = result {
            take_away(qmp, &new[..=added]).await;
            return Err(error);
        }
        actions.push(json!({
            "type": "blockdev-snapshot",
            "data": { "node": current, "overlay": layer_node(&layer.id, layer.layer) },
        }));
    }
    if actions.is_empty() {
        return Ok(());
    }
    let taken: Result<Value> =
        qmp.execute_with_timeout("transaction", json!({ "actions": actions }), SNAPSHOT_TIMEOUT).await;
    match taken {
        Ok(_) => Ok(()),
        // QEMU said no: nothing has changed. Any other failure says nothing of what happened.
        Err(error @ Error::Qmp { .. }) => {
            take_away(qmp, new).await;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

async fn add(qmp: &Qmp, layer: &NewLayer) -> Result<()> {
    for node in layer_blockdevs(&layer.id, layer.layer, &layer.path)? {
        qmp.run("blockdev-add", node).await?;
    }
    Ok(())
}

async fn take_away(qmp: &Qmp, layers: &[NewLayer]) {
    for layer in layers {
        if let Err(error) = forget(qmp, &layer.id, layer.layer).await {
            tracing::warn!(disk = layer.id, layer = layer.layer, %error, "a node that is not used stays");
        }
    }
}

/// Lets QEMU close a layer. Errors: [`Error::NotReleased`] if it is in use.
pub async fn forget(qmp: &Qmp, id: &str, layer: u32) -> Result<()> {
    delete_layer(qmp, id, layer, NODE_TIMEOUT).await
}

/// Lets QEMU close all layers of a disk but these.
pub async fn keep_only(qmp: &Qmp, id: &str, layers: &[u32]) -> Result<()> {
    let nodes = qmp.query_named_block_nodes().await?;
    let open = nodes.iter().filter_map(|node| layer_of_node(id, &node.node_name));
    let mut surplus: Vec<u32> = open.filter(|layer| !layers.contains(layer)).collect();
    // A layer has a higher number than those below it.
    surplus.sort_unstable();
    for layer in surplus.into_iter().rev() {
        forget(qmp, id, layer).await?;
    }
    Ok(())
}

/// Lets QEMU take back its right to write to these layers, each of which stands on the next.
///
/// It has none, but for one that a commit was to go into which was given up: QEMU leaves that open for writing (seen in 7.2),
/// and nobody else can read what stands on it as long as it is.
pub async fn seal(qmp: &Qmp, id: &str, layers: &[u32]) -> Result<()> {
    let nodes = qmp.query_named_block_nodes().await?;
    let find = |name: &str| nodes.iter().find(|node| node.node_name == name);
    for (at, layer) in layers.iter().enumerate() {
        let name = layer_node(id, *layer);
        let Some(node) = find(&name).filter(|node| !node.read_only) else { continue };
        let mut options = json!({
            "driver": "qcow2",
            "node-name": name,
            "file": layer_file_node(id, *layer),
            "read-only": true,
            "discard": "unmap",
        });
        let below = layers.get(at + 1).and_then(|below| find(&layer_node(id, *below)));
        // The node of an image has a name that QEMU gave it. Those of one image are alike.
        let image = || {
            let is_image = |other: &&NamedBlockNode| {
                other.driver != "file" && Some(&other.file) == node.backing_file.as_ref()
            };
            nodes.iter().find(is_image)
        };
        if let Some(below) = below.or_else(image) {
            options["backing"] = below.node_name.as_str().into();
        }
        qmp.run("blockdev-reopen", json!({ "options": [options] })).await?;
    }
    Ok(())
}

/// Whether QEMU has a layer open.
pub async fn has(qmp: &Qmp, id: &str, layer: u32) -> Result<bool> {
    let wanted = layer_node(id, layer);
    Ok(qmp.query_named_block_nodes().await?.iter().any(|node| node.node_name == wanted))
}

/// Begins to copy into a layer what it lacks of the layers below it, down to `below`.
pub async fn stream(qmp: &Qmp, job: &str, id: &str, into: u32, below: &Below) -> Result<()> {
    let mut arguments = json!({
        "job-id": job, "device": layer_node(id, into), "auto-dismiss": false, "on-error": "stop",
    });
    match below {
        Below::Nothing => {}
        Below::Layer(layer, path) => {
            arguments["base-node"] = layer_node(id, *layer).into();
            arguments["backing-file"] = text(path)?.into();
        }
        Below::Image(path) => {
            arguments["base"] = text(path)?.into();
            arguments["backing-file"] = text(path)?.into();
        }
    }
    qmp.run("block-stream", arguments).await
}

/// Begins to write the layer on top into the one below it. When it is ready, [`complete`] swaps them.
pub async fn commit(qmp: &Qmp, job: &str, id: &str, from: u32, into: u32) -> Result<()> {
    let arguments = json!({
        "job-id": job, "device": layer_node(id, from), "base-node": layer_node(id, into),
        "auto-dismiss": false, "on-error": "stop",
    });
    qmp.run("block-commit", arguments).await
}

pub async fn jobs(qmp: &Qmp) -> Result<Vec<Job>> {
    qmp.execute("query-jobs", Value::Null).await
}

pub async fn job(qmp: &Qmp, job: &str) -> Result<Option<Job>> {
    Ok(jobs(qmp).await?.into_iter().find(|known| known.id == job))
}

pub async fn complete(qmp: &Qmp, job: &str) -> Result<()> {
    qmp.run("job-complete", json!({ "id": job })).await
}

/// Ends a job; a commit that is ready ends without swapping.
pub async fn cancel(qmp: &Qmp, job: &str) -> Result<()> {
    qmp.run("job-cancel", json!({ "id": job })).await
}

pub async fn dismiss(qmp: &Qmp, job: &str) -> Result<()> {
    qmp.run("job-dismiss", json!({ "id": job })).await
}

fn text(path: &Path) -> Result<&str> {
    crate::qmp::path_text("path", path)
}
