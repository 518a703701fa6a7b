//! Memory modules.

use serde_json::{Value, json};

use super::tree;
use crate::qmp::Qmp;
use crate::{Error, Result};

/// Linux takes memory on line in blocks of this size.
pub const MEMORY_BLOCK_BYTES: u64 = 128 << 20;

/// Plugs a memory module in. A module of that id and size that is there already is left alone.
///
/// The guest may have to take it on line: see [`Agent::online_memory`](crate::agent::Agent::online_memory). On the
/// next start the machine simply has more memory from the beginning.
///
/// Errors: [`Error::Invalid`] if the size is not a positive multiple of 128 MiB, [`Error::Conflict`] if the module
/// has another size, [`Error::Qmp`] without a free slot.
pub async fn add_memory(qmp: &Qmp, id: &str, size_bytes: u64) -> Result<()> {
    crate::command::check_id("memory id", id)?;
    if size_bytes == 0 || !size_bytes.is_multiple_of(MEMORY_BLOCK_BYTES) {
        return Err(Error::invalid("size_bytes", "it is not a positive multiple of 128 MiB"));
    }
    let (object, device) = (format!("memory-{id}"), format!("dimm-{id}"));
    let devices = qmp.query_memory_devices().await?;
    if let Some(known) = devices.iter().find(|known| known.data.id.as_deref() == Some(&device)) {
        if known.data.size_bytes == size_bytes {
            return Ok(());
        }
        let detail = format!("it has {} bytes, wanted are {size_bytes}", known.data.size_bytes);
        return Err(Error::Conflict { what: device, detail });
    }
    if qmp.qom_list("/objects").await?.contains(&object) {
        delete(qmp, &object).await?;
    }
    qmp.run("object-add", json!({ "qom-type": "memory-backend-ram", "id": object, "size": size_bytes }))
        .await?;
    let added =
        qmp.execute::<Value>("device_add", json!({ "driver": "pc-dimm", "id": device, "memdev": object }));
    if let Err(error) = added.await {
        if let Err(undo) = delete(qmp, &object).await {
            tracing::warn!(object, %undo, "the memory of a module that could not be plugged in stays");
        }
        return Err(error);
    }
    Ok(())
}

async fn delete(qmp: &Qmp, object: &str) -> Result<()> {
    tree::run_unless_gone(qmp, "object-del", json!({ "id": object })).await
}
