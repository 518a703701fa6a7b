//! Nics.

use std::time::Duration;

use serde_json::json;

use super::tree;
use crate::command::{self, Nic};
use crate::qmp::Qmp;
use crate::{Error, Result};

/// Plugs a nic in and returns its port, which belongs into the machine's description from now on. A nic that is there
/// already is left alone.
///
/// A tap of a QEMU without privileges is handed over with [`Qmp::pass_fd`] first.
pub async fn add_nic(qmp: &Qmp, nic: &Nic) -> Result<u8> {
    let (netdev, device) = (command::netdev(nic)?, command::nic_device_id(&nic.id));
    if tree::is_plugged(qmp, &device).await? {
        return match (tree::port_of(qmp, &device).await?, nic.port) {
            (Some(is), wanted) if wanted.is_none_or(|wanted| wanted == is) => Ok(is),
            (is, wanted) => Err(Error::Conflict {
                what: device,
                detail: format!("its port is {is:?}, wanted is {wanted:?}"),
            }),
        };
    }
    let port = tree::free_port(qmp, nic.port).await?;
    let device = command::nic_device(nic, port)?;
    // Netdevs cannot be listed: a leftover is found by deleting it.
    delete_netdev(qmp, &nic.id).await?;
    qmp.run("netdev_add", netdev).await?;
    if let Err(error) = qmp.run("device_add", device).await {
        if let Err(undo) = delete_netdev(qmp, &nic.id).await {
            tracing::warn!(nic = nic.id, %undo, "the back end of a nic that could not be plugged in stays");
        }
        return Err(error);
    }
    Ok(port)
}

/// Whether the nic is plugged in, and so its back end in use.
pub async fn has_nic(qmp: &Qmp, id: &str) -> Result<bool> {
    crate::command::check_id("nic id", id)?;
    tree::is_plugged(qmp, &command::nic_device_id(id)).await
}

/// Unplugs a nic and closes its back end. Success if it is not there. Errors as for
/// [`remove_disk`](super::remove_disk).
pub async fn remove_nic(qmp: &Qmp, id: &str, timeout: Duration) -> Result<()> {
    crate::command::check_id("nic id", id)?;
    tree::unplug(qmp, &command::nic_device_id(id), timeout).await?;
    delete_netdev(qmp, id).await
}

/// Pulls the nic's cable, or puts it in: the guest sees it, too. No such nic is an error.
pub async fn set_link(qmp: &Qmp, id: &str, up: bool) -> Result<()> {
    crate::command::check_id("nic id", id)?;
    qmp.run("set_link", json!({ "name": command::netdev_id(id), "up": up })).await
}

async fn delete_netdev(qmp: &Qmp, id: &str) -> Result<()> {
    tree::run_unless_gone(qmp, "netdev_del", json!({ "id": command::netdev_id(id) })).await
}
