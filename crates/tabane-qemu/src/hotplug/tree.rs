//! What is plugged in where, and unplugging.
//!
//! Invariant: the object tree is asked, not the PCI bus: the latter shows nothing behind a port until the guest's
//! firmware has numbered the buses.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::command::port_of_bus;
use crate::qmp::{Event, Notice, Qmp};
use crate::{Error, Result};

const PERIPHERAL: &str = "/machine/peripheral";

/// A guest that was busy booting has not heard the first request.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// More devices than a machine has; what is beyond is not looked at.
const DEVICES_MAX: usize = 512;

pub(super) async fn is_plugged(qmp: &Qmp, device: &str) -> Result<bool> {
    Ok(qmp.qom_list(PERIPHERAL).await?.iter().any(|name| name == device))
}

/// The port a device sits in; `None` if it sits elsewhere.
pub(super) async fn port_of(qmp: &Qmp, device: &str) -> Result<Option<u8>> {
    let arguments = json!({ "path": format!("{PERIPHERAL}/{device}"), "property": "parent_bus" });
    match qmp.execute::<Value>("qom-get", arguments).await {
        // The path of the bus, whose last part is its name: that of the port.
        Ok(path) => Ok(path.as_str().and_then(|path| port_of_bus(path.rsplit('/').next()?))),
        // Just unplugged, or a thing without a bus, such as memory.
        Err(Error::Qmp { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The wanted port if it is free, else (if none is wanted) the first free one.
pub(super) async fn free_port(qmp: &Qmp, wanted: Option<u8>) -> Result<u8> {
    let names = qmp.qom_list(PERIPHERAL).await?;
    let mut free: Vec<u8> = names.iter().filter_map(|name| port_of_bus(name)).collect();
    free.sort_unstable();
    for name in names.iter().filter(|name| port_of_bus(name).is_none() && *name != "type").take(DEVICES_MAX) {
        if let Some(port) = port_of(qmp, name).await? {
            free.retain(|other| *other != port);
        }
    }
    match wanted {
        None => free.first().copied().ok_or_else(|| Error::Exhausted {
            what: "port",
            hint: "unplug something, or give the machine more ports and restart it".into(),
        }),
        Some(port) if free.contains(&port) => Ok(port),
        Some(port) => Err(Error::invalid("port", format!("port {port} is taken or does not exist"))),
    }
}

/// Asks the guest to give a device back, and waits. Success if it is not there.
///
/// Errors: [`Error::NotReleased`] if the guest refuses or does not react.
pub(super) async fn unplug(qmp: &Qmp, device: &str, timeout: Duration) -> Result<()> {
    let not_released =
        |detail: &str| Error::NotReleased { device: device.to_owned(), detail: detail.to_owned() };
    // Listening begins before asking.
    let mut events = qmp.subscribe();
    let deadline = Instant::now() + timeout;
    while is_plugged(qmp, device).await? {
        match qmp.execute::<Value>("device_del", json!({ "id": device })).await {
            Ok(_) => {}
            // Asked before and not done yet, or done just now: both show below.
            Err(Error::Qmp { class, desc, .. }) => {
                tracing::debug!(device, class, desc, "device_del is refused");
            }
            Err(error) => return Err(error),
        }
        let until = deadline.min(Instant::now() + ASK_AGAIN);
        loop {
            match tokio::time::timeout_at(until, events.next()).await {
                Ok(Some(Notice::Event(event))) if deleted(&event, device) => break,
                Ok(Some(Notice::Event(event))) if event.as_unplug_refused() == Some(device) => {
                    return Err(not_released("it refuses"));
                }
                Ok(Some(Notice::Event(_))) => {}
                // Look again.
                Ok(Some(Notice::Lagged { .. })) => break,
                Ok(None) => {
                    let reason = "QEMU ended while a device was unplugged".to_owned();
                    return Err(Error::Closed { peer: crate::qmp::PEER, reason });
                }
                Err(_) if Instant::now() < deadline => break,
                Err(_) if is_plugged(qmp, device).await? => return Err(not_released("it does not react")),
                Err(_) => return Ok(()),
            }
        }
    }
    Ok(())
}

fn deleted(event: &Event, device: &str) -> bool {
    event.as_device_deleted().is_some_and(|(id, _)| id == device)
}

/// Runs a command whose thing may be gone already.
pub(super) async fn run_unless_gone(qmp: &Qmp, command: &str, arguments: Value) -> Result<()> {
    match qmp.execute::<Value>(command, arguments).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_qmp_class("DeviceNotFound") => Ok(()),
        Err(error) => Err(error),
    }
}
