//! What the guest tells of itself by its agent. Claims of a stranger: bounded, cleaned, and believed by nobody who
//! decides something.

use std::{net::IpAddr, time::Duration};

use tabane_model::{FileSystem, Guest, Vm};

use super::driver::Driver;

/// The driver waits for it, so it is short; a guest that answers later is asked again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
const ADDRESSES_MAX: usize = 32;
const FILE_SYSTEMS_MAX: usize = 64;

fn clean(text: String) -> String {
    text.chars().filter(|c| !c.is_control()).take(128).collect()
}

impl Driver {
    /// Asks the guest, and publishes as soon as it answers at all.
    pub(super) async fn ask_guest(&mut self, vm: &Vm) {
        self.guest_asked_at = Some(std::time::Instant::now());
        if self.io_error_since.is_some() {
            // It stands still, and whoever waits for its answer cannot let it go on.
            return;
        }
        let Some(agent) = self.connected.as_ref().map(|c| c.agent.clone()) else { return };
        if agent.ping_within(ANSWER_TIMEOUT).await.is_err() {
            self.guest = self.guest.take().map(|g| Guest { agent: false, ..g });
            return;
        }
        let mut guest = self.guest.take().unwrap_or_default();
        guest.agent = true;
        self.guest = Some(guest.clone());
        self.publish(vm);
        if let Ok(name) = agent.host_name().await {
            guest.hostname = Some(clean(name));
        }
        if let Ok(os) = agent.os_info().await {
            guest.os = os.pretty_name.or(os.name).map(clean);
            guest.kernel = os.kernel_release.map(clean);
        }
        if let Ok(interfaces) = agent.network_interfaces().await {
            let addresses = interfaces.into_iter().flat_map(|i| i.ip_addresses);
            let parsed = addresses.filter_map(|a| a.address.parse::<IpAddr>().ok());
            guest.addresses = parsed.filter(|a| !a.is_loopback()).take(ADDRESSES_MAX).collect();
        }
        if let Ok(systems) = agent.file_systems().await {
            let told = systems.into_iter().take(FILE_SYSTEMS_MAX).map(|fs| FileSystem {
                mount_point: clean(fs.mountpoint),
                kind: clean(fs.kind),
                used_bytes: fs.used_bytes,
                size_bytes: fs.total_bytes,
            });
            guest.file_systems = told.collect();
        }
        self.guest = Some(guest);
    }
}
