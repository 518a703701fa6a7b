//! Devices of the host that a VM gets as its own.

use tabane_model::{Name, Vm};
use tabane_qemu::command::Passthrough;

use super::{driver::Driver, machine};
use crate::{Error, Result, pci::Pci, users};

/// What a device is called among those that have ports.
pub(super) fn device(name: &Name) -> String {
    format!("pci/{name}")
}

impl Driver {
    /// The devices for a start, if each of them can be had: their groups belong to the VM's user from then on.
    pub(super) fn passthroughs(&mut self, vm: &Vm) -> Result<Vec<Passthrough>> {
        let pci = Pci::default();
        let own: Vec<String> = vm.spec.pci.iter().map(|device| device.address.clone()).collect();
        let shared = self.shared.clone();
        // Which devices a VM has cannot change while it runs.
        let user_of = |address: &str| {
            let others = shared.objects.vms().into_iter().filter(|other| other.meta.uid != vm.meta.uid);
            let has = |other: &Vm| other.spec.pci.iter().any(|device| device.address == address);
            let runs = |other: &Vm| {
                shared.handle(&other.meta.name).is_some_and(|handle| handle.live.process().is_some())
            };
            let user = others.into_iter().find(|other| has(other) && runs(other));
            user.map(|other| other.meta.name.to_string())
        };
        let mut passthroughs = Vec::new();
        for wanted in &vm.spec.pci {
            let group = pci.group(&wanted.address, &own, user_of)?;
            let user = self.state().user;
            users::give(&group, user, user).map_err(Error::file("give away", &group))?;
            let port = self.state().port(device(&wanted.name), machine::PORTS);
            passthroughs.push(Passthrough {
                id: wanted.name.to_string(),
                address: wanted.address.clone(),
                port,
            });
        }
        Ok(passthroughs)
    }
}
