//! Networks on this host: what nics are plugged into.
//!
//! ```text
//!   objects ──► here (written down) ──► rules (nftables) ──► bridge, gateway address (links) ──► dnsmasq
//!                                                               ▲
//!   plug ───────────────────────► tap ──────────────────────────┘     handle ──► QEMU
//! ```
//!
//! A network of kind `user` lives inside of QEMU: only its forwarded ports are looked at. One of kind `nat` is made on
//! each host when a VM needs it, and taken down when it is gone from the server.
//!
//! Invariants: each arrow is taken in this order, and taking down goes the other way, so that no guest is ever on a
//! bridge without its rules, and nothing is made that is not written down. Everything may be done again at any time.
//! QEMUs and name servers outlive the agent; taps live as long as their QEMU.

mod dnsmasq;
mod forwards;
mod here;
mod links;
mod names;
mod rules;
mod tap;
mod tool;

pub use names::tap as tap_name;
pub use tap::loose as loose_tap;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    net::{IpAddr, Ipv4Addr},
    os::fd::{OwnedFd, RawFd},
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Weak},
    time::Duration,
};

use ipnet::Ipv4Net;
use tabane_core::allocate;
use tabane_model::{Forward, Kind, Name, Network, NetworkKind, NetworkOnHost, NetworkStatus, Nic, Uid, Vm};
use tabane_qemu::process::ProcessId;
use tokio::sync::Mutex;

use self::{
    here::{Guest, Here},
    links::{Bridge, Links},
};
use crate::{Error, Result, config::Folders, files, objects::Objects, report::Reporter};

/// A name server that ends by itself is started again after this; one that ends at once does not keep the host busy.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// What a nic is plugged into, for QEMU.
#[derive(Debug, Clone, PartialEq)]
pub enum Plug {
    /// QEMU's own network.
    User { forwards: Vec<Forward> },
    /// A tap that QEMU inherits under this number.
    Tap { handle: RawFd },
    /// A tap that the running QEMU was given under this name.
    TapPassed { name: String },
}

pub struct Networks {
    state: Arc<Mutex<State>>,
}

struct State {
    agent: Uid,
    folder: PathBuf,
    /// What there is; read from disk at first use.
    here: Option<BTreeMap<Uid, Here>>,
    /// The rules that were applied last.
    applied: Option<String>,
    /// Name servers that somebody waits for the end of.
    watched: BTreeMap<Uid, ProcessId>,
    /// Ourselves, for those who wait.
    own: Weak<Mutex<State>>,
}

impl Networks {
    /// `agent` tells apart the agents of one machine.
    pub fn new(folders: &Folders, agent: Uid) -> Self {
        let folder = folders.networks();
        let state = Arc::new_cyclic(|own| {
            let own = own.clone();
            Mutex::new(State { agent, folder, here: None, applied: None, watched: BTreeMap::new(), own })
        });
        Self { state }
    }

    /// Makes a network ready on this host. Cheap when it is.
    ///
    /// Errors: [`Error::NotYet`] for a network that the server has not told of; [`Error::Unfit`] for what the host
    /// lacks (rights, programs, a free range); [`Error::Tool`], [`Error::File`].
    pub async fn ensure(&self, objects: &Objects, network: &Name) -> Result<()> {
        let network = known(objects, network)?;
        if network.spec.kind == NetworkKind::User {
            return Ok(());
        }
        let mut state = self.state.lock().await;
        state.learn(&network, objects, None)?;
        state.make_ready(network.meta.uid).await
    }

    /// Plugs a nic in: says how QEMU gets it, and hands over the tap that goes with it, to be inherited as `number`.
    ///
    /// A tap of the same nic that is still there is replaced. Errors: as [`Networks::ensure`]; [`Error::Unfit`] for a
    /// forwarded port that is in use, or a nic without MAC or address.
    pub async fn plug(
        &self,
        objects: &Objects,
        vm: &Vm,
        nic: &Nic,
        number: RawFd,
    ) -> Result<(Plug, Option<(OwnedFd, RawFd)>)> {
        let network = known(objects, &nic.network)?;
        if network.spec.kind == NetworkKind::User {
            forwards::check(objects, vm, nic)?;
            return Ok((Plug::User { forwards: nic.forwards.clone() }, None));
        }
        let mut state = self.state.lock().await;
        let guest = Here::new(&network)?.guest(vm, nic)?;
        state.learn(&network, objects, Some(guest))?;
        state.make_ready(network.meta.uid).await?;
        let (tap, bridge) =
            (names::tap(state.agent, vm.meta.uid, &nic.name), names::bridge(state.agent, network.meta.uid));
        let links = Links::open()?;
        links.remove(&tap).await?;
        let handle = tap::open(&tap)?;
        links.attach(&tap, &bridge).await?;
        Ok((Plug::Tap { handle: number }, Some((handle, number))))
    }

    /// Takes the nic's tap and rules away; nothing to do if there are none.
    pub async fn unplug(&self, vm: Uid, nic: &Name) -> Result<()> {
        let mut state = self.state.lock().await;
        let tap = names::tap(state.agent, vm, nic);
        let has = |here: &&Here| here.guests.iter().any(|g| g.vm == vm && g.nic == *nic);
        let Some(mut here) = state.here()?.values().find(has).cloned() else { return Ok(()) };
        Links::open()?.remove(&tap).await?;
        here.remove(vm, nic);
        let uid = here.uid;
        state.put(here)?;
        state.apply_rules().await?;
        // A nic that is out is out; a name server that still knows it does no harm, and is seen to the next time.
        if let Err(error) = state.serve(uid).await {
            tracing::warn!(error = error.told(), "a nic was unplugged, and its name is still known");
        }
        Ok(())
    }

    /// Makes the networks of this host what the objects say, and reports what they are. What fails is reported, and
    /// tried again the next time.
    pub async fn sync(&self, objects: &Objects, reporter: &Reporter, host: &Name) {
        let used: BTreeSet<Name> =
            objects.vms().iter().flat_map(|vm| vm.spec.nics.iter().map(|n| n.network.clone())).collect();
        let mut state = self.state.lock().await;
        if let Err(error) = state.take_down_gone(objects, reporter).await {
            tracing::warn!(error = error.told(), "networks that are gone cannot be taken down");
        }
        let mut networks = objects.networks();
        networks.sort_by(|a, b| a.meta.name.cmp(&b.meta.name));
        // What all are to be is known before the first is touched: they share one set of rules.
        let mut wanted = Vec::new();
        for network in networks {
            let here = state.here().is_ok_and(|all| all.contains_key(&network.meta.uid));
            if !here && !used.contains(&network.meta.name) {
                continue;
            }
            let learnt = match network.spec.kind {
                NetworkKind::User => Ok(()),
                NetworkKind::Nat => state.learn(&network, objects, None),
            };
            wanted.push((network, learnt));
        }
        for (network, learnt) in wanted {
            let (name, uid) = (&network.meta.name, network.meta.uid);
            let is_nat = network.spec.kind == NetworkKind::Nat;
            let made = match learnt {
                Ok(()) if is_nat => state.make_ready(uid).await,
                learnt => learnt,
            };
            let message = made.as_ref().err().map(Error::told).unwrap_or_default();
            let bridge = is_nat.then(|| names::bridge(state.agent, uid));
            let on_host = NetworkOnHost { ready: made.is_ok(), message, bridge };
            let status = NetworkStatus { hosts: BTreeMap::from([(host.clone(), on_host)]) };
            reporter.status(Kind::Network, name, uid, &status);
        }
    }
}

/// The address that a nic is given here, as the guest has it, with its gateway. `None` where QEMU gives one.
pub fn address_in(objects: &Objects, nic: &Nic) -> Option<(Ipv4Net, Ipv4Addr)> {
    let range = objects.network(&nic.network)?.spec.cidr?;
    let Some(IpAddr::V4(address)) = nic.address else { return None };
    Some((Ipv4Net::new(address, range.prefix_len()).ok()?, allocate::gateway(range)))
}

fn known(objects: &Objects, name: &Name) -> Result<Arc<Network>> {
    objects.network(name).ok_or_else(|| Error::NotYet(format!("waiting for the network {name}")))
}

impl State {
    fn here(&mut self) -> Result<&mut BTreeMap<Uid, Here>> {
        match &mut self.here {
            Some(here) => Ok(here),
            none => Ok(none.insert(here::load(&self.folder)?)),
        }
    }

    fn put(&mut self, here: Here) -> Result<()> {
        if self.here()?.get(&here.uid) != Some(&here) {
            here.save(&self.folder)?;
            self.here()?.insert(here.uid, here);
        }
        Ok(())
    }

    /// Writes down what the objects want of a network, and a guest that they may not name yet.
    fn learn(&mut self, network: &Network, objects: &Objects, guest: Option<Guest>) -> Result<()> {
        let mut here = match self.here()?.get(&network.meta.uid) {
            Some(here) => here.wanted(network, objects)?,
            None => Here::new(network)?.wanted(network, objects)?,
        };
        if let Some(guest) = guest {
            if let Some(rival) = here.rival(&guest) {
                return Err(Error::unfit(
                    format!(
                        "the nic {} of the VM {} has the MAC or address of one of the VM {}",
                        guest.nic, guest.vm_name, rival.vm_name
                    ),
                    "give one of them another",
                ));
            }
            here.add(guest);
        }
        self.put(here)
    }

    async fn make_ready(&mut self, uid: Uid) -> Result<()> {
        self.apply_rules().await?;
        let name = names::bridge(self.agent, uid);
        let agent = self.agent;
        let Some(here) = self.here()?.get(&uid) else { return Ok(()) };
        let bridge = Bridge {
            name: &name,
            mac: names::bridge_mac(uid),
            gateway: here.gateway(),
            range: here.range,
            alias: format!("tabane network {} of agent {agent}", here.name),
        };
        Links::open()?.ensure_bridge(&bridge).await?;
        links::sysctl("ipv4/ip_forward", "1", false)?;
        self.serve(uid).await
    }

    async fn apply_rules(&mut self) -> Result<()> {
        let agent = self.agent;
        let text = rules::text(agent, self.here()?);
        if self.applied.as_ref() == Some(&text)
            && (self.here()?.is_empty() || rules::are_there(agent).await?)
        {
            return Ok(());
        }
        // What is in force is unknown until the kernel has said yes.
        self.applied = None;
        rules::apply(&text).await?;
        self.applied = Some(text);
        Ok(())
    }

    /// Runs the network's name server, and sees to it that somebody notices when it ends.
    async fn serve(&mut self, uid: Uid) -> Result<()> {
        let bridge = names::bridge(self.agent, uid);
        let folder = self.folder.join(uid.to_string());
        let Some(here) = self.here()?.get(&uid) else { return Ok(()) };
        let process = dnsmasq::ensure(&folder, here, &bridge).await?;
        if self.watched.insert(uid, process) != Some(process) {
            tokio::spawn(serve_again(self.own.clone(), uid, process));
        }
        Ok(())
    }

    async fn take_down_gone(&mut self, objects: &Objects, reporter: &Reporter) -> Result<()> {
        // Until everything was said, what was not named is not gone.
        if !objects.is_synced() {
            return Ok(());
        }
        let kept: BTreeSet<Uid> = objects.networks().iter().map(|n| n.meta.uid).collect();
        let gone: Vec<(Uid, Name)> = self
            .here()?
            .iter()
            .filter(|(uid, _)| !kept.contains(uid))
            .map(|(uid, here)| (*uid, here.name.clone()))
            .collect();
        let mut failed = None;
        for (uid, name) in gone {
            match self.take_down(uid).await {
                Ok(()) if objects.network(&name).is_none() => reporter.forget(Kind::Network, &name),
                Ok(()) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn take_down(&mut self, uid: Uid) -> Result<()> {
        let folder = self.folder.join(uid.to_string());
        self.watched.remove(&uid);
        dnsmasq::stop(&folder).await?;
        let Some(here) = self.here()?.get(&uid).cloned() else { return Ok(()) };
        let links = Links::open()?;
        for guest in &here.guests {
            links.remove(&names::tap(self.agent, guest.vm, &guest.nic)).await?;
        }
        links.remove(&names::bridge(self.agent, uid)).await?;
        self.here()?.remove(&uid);
        if let Err(error) = self.apply_rules().await {
            self.here()?.insert(uid, here);
            return Err(error);
        }
        files::remove_folder(&folder)
    }
}

/// Waits for the end of a name server and starts another, unless the network is gone or has one by then. A trait object
/// because starting one leads here again.
fn serve_again(
    state: Weak<Mutex<State>>,
    uid: Uid,
    process: ProcessId,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        process.wait().await;
        loop {
            tokio::time::sleep(RESTART_PAUSE).await;
            let Some(state) = state.upgrade() else { return };
            let mut state = state.lock().await;
            if state.watched.get(&uid) != Some(&process) {
                return;
            }
            match state.serve(uid).await {
                Ok(()) => {
                    return tracing::warn!(network = %uid, "its name server had ended and was started again");
                }
                Err(error) => {
                    tracing::warn!(network = %uid, error = error.told(), "its name server does not start")
                }
            }
        }
    })
}
