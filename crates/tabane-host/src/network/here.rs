//! What there is of a network on this host, written down: the wish that kernel and name server are made to follow.
//!
//! ```text
//!   networks/<uid>/network.json    this
//!                  dnsmasq.conf …  what the name server runs with (dnsmasq.rs)
//! ```
//!
//! Invariant: the file is written before anything is made for the network and removed after all of it is gone. So an
//! agent that starts anew, and has not heard from the server yet, knows the rules of guests that run already.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use tabane_core::allocate;
use tabane_model::{Mac, Name, Network, Nic, NicLimits, Uid, Vm};

use super::names;
use crate::{Error, Result, files, objects::Objects};

const FILE: &str = "network.json";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Here {
    pub uid: Uid,
    pub name: Name,
    pub range: Ipv4Net,
    pub dns: Vec<IpAddr>,
    pub domain: Option<Name>,
    /// In order of VM and nic.
    pub guests: Vec<Guest>,
}

/// A nic of a VM of this host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guest {
    pub vm: Uid,
    pub vm_name: Name,
    pub nic: Name,
    pub mac: Mac,
    pub address: Ipv4Addr,
    #[serde(default, skip_serializing_if = "NicLimits::is_none")]
    pub limits: NicLimits,
}

impl Guest {
    fn key(&self) -> (Uid, &Name) {
        (self.vm, &self.nic)
    }
}

impl Here {
    /// Of a network of kind `nat`, as yet without guests. Errors: [`Error::Unfit`] without a range.
    pub fn new(network: &Network) -> Result<Self> {
        let range = network.spec.cidr.ok_or_else(|| {
            let detail = format!("the network {} has no range", network.meta.name);
            Error::unfit(detail, "give it one, for example 10.30.0.0/24")
        })?;
        Ok(Self {
            uid: network.meta.uid,
            name: network.meta.name.clone(),
            range,
            dns: network.spec.dns.clone(),
            domain: network.spec.domain.clone(),
            guests: Vec::new(),
        })
    }

    pub fn gateway(&self) -> Ipv4Addr {
        allocate::gateway(self.range)
    }

    /// The nic as a guest of this network. Errors: [`Error::Unfit`] if it lacks what the network gives by.
    pub fn guest(&self, vm: &Vm, nic: &Nic) -> Result<Guest> {
        let told = format!("the nic {} of the VM {}", nic.name, vm.meta.name);
        let hint = "take the nic out of the VM and add it anew";
        let mac = nic.mac.ok_or_else(|| Error::unfit(format!("{told} has no MAC"), hint))?;
        if mac == names::bridge_mac(self.uid) {
            return Err(Error::unfit(format!("{told} has the MAC of its gateway"), hint));
        }
        match nic.address {
            Some(IpAddr::V4(address)) if allocate::is_usable(self.range, address) => Ok(Guest {
                vm: vm.meta.uid,
                vm_name: vm.meta.name.clone(),
                nic: nic.name.clone(),
                mac,
                address,
                limits: nic.limits,
            }),
            _ => Err(Error::unfit(format!("{told} has no address in {}", self.range), hint)),
        }
    }

    /// Takes in a guest, in place of what it was before.
    pub fn add(&mut self, guest: Guest) {
        match self.guests.binary_search_by(|g| g.key().cmp(&guest.key())) {
            Ok(at) => self.guests[at] = guest,
            Err(at) => self.guests.insert(at, guest),
        }
    }

    pub fn remove(&mut self, vm: Uid, nic: &Name) {
        self.guests.retain(|g| g.key() != (vm, nic));
    }

    /// Another guest with this one's MAC or address, which would take its traffic away.
    pub fn rival(&self, guest: &Guest) -> Option<&Guest> {
        self.guests
            .iter()
            .find(|g| g.key() != guest.key() && (g.mac == guest.mac || g.address == guest.address))
    }

    /// This network as the objects want it. What they do not name is kept until everything was said: guests that run
    /// must not lose their rules because the server has just been lost.
    pub fn wanted(&self, network: &Network, objects: &Objects) -> Result<Self> {
        let mut wanted = Self::new(network)?;
        if !objects.is_synced() {
            wanted.guests.clone_from(&self.guests);
        }
        for vm in objects.vms() {
            for nic in vm.spec.nics.iter().filter(|nic| nic.network == network.meta.name) {
                match wanted.guest(&vm, nic) {
                    Ok(guest) => wanted.add(guest),
                    // It is told when the VM is to start.
                    Err(error) => tracing::debug!(error = error.told(), "a nic is left out"),
                }
            }
        }
        Ok(wanted)
    }

    pub fn save(&self, networks: &Path) -> Result<()> {
        files::folder(networks, 0o711)?;
        let folder = networks.join(self.uid.to_string());
        // The name server reads its files as a user of its own.
        files::folder(&folder, 0o711)?;
        files::write_json(&folder.join(FILE), self)
    }
}

/// All networks of this host.
pub fn load(networks: &Path) -> Result<BTreeMap<Uid, Here>> {
    let entries = match std::fs::read_dir(networks) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(Error::file("read", networks)(error)),
    };
    let mut all = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(Error::file("read", networks))?;
        let Some(uid) = entry.file_name().to_str().and_then(|name| Uid::parse_str(name).ok()) else {
            continue;
        };
        match files::read_json::<Here>(&entry.path().join(FILE))? {
            Some(here) => drop(all.insert(uid, here)),
            // Cut short before anything was made.
            None => files::remove_folder(&entry.path())?,
        }
    }
    Ok(all)
}
