//! A host to test on: a network namespace of its own and a data folder, both gone afterwards.

use std::{
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::PathBuf,
};

use tabane_model::{Name, Network, Uid, Vm};

use super::{
    super::{Networks, Plug, names, tool},
    guest::{Guest, try_sh, unshare},
    name, put, synced,
};
use crate::{Config, objects::Objects, report::Reporter};

pub struct Bench {
    root: tempfile::TempDir,
    pub agent: Uid,
    pub objects: Objects,
    pub networks: Networks,
    pub reporter: Reporter,
}

/// Runs a test on a host of its own. Everything stays in this one thread, which alone is in the namespace.
pub fn on_a_host(test: impl AsyncFnOnce(Bench) + Send + 'static) {
    let missing: Vec<&str> =
        ["ip", "nft", "dnsmasq", "busybox"].into_iter().filter(|p| tool::find(p).is_none()).collect();
    if !rustix::process::geteuid().is_root() || !missing.is_empty() {
        eprintln!("left out: it needs root, and programs of which these are missing: {missing:?}");
        return;
    }
    let thread = std::thread::spawn(move || {
        unshare();
        sh("ip link set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test(Bench::new()));
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

pub fn sh(script: &str) -> String {
    let (good, said) = try_sh(script);
    assert!(good, "{script}: {said}");
    said
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let script = "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\nip addr flush dev eth0\n\
            ip addr add $ip/$mask dev eth0 && ip route add default via $router\n\
            echo ip=$ip mask=$mask router=$router dns=$dns domain=$domain hostname=$hostname\n";
        let path = root.path().join("udhcpc.sh");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let agent = Uid::from_u128(u128::from(std::process::id()));
        let networks = Networks::new(&Config::new(root.path(), name("here")).folders(), agent);
        Self { root, agent, objects: Objects::default(), networks, reporter: Reporter::default() }
    }

    /// The agent ends and starts again.
    pub fn restart(&mut self) {
        self.networks = Networks::new(&Config::new(self.root.path(), name("here")).folders(), self.agent);
    }

    pub fn script(&self) -> PathBuf {
        self.root.path().join("udhcpc.sh")
    }

    pub fn bridge(&self, network: &Network) -> String {
        names::bridge(self.agent, network.meta.uid)
    }

    pub fn tap(&self, vm: &Vm) -> String {
        names::tap(self.agent, vm.meta.uid, &name("net0"))
    }

    pub fn folder(&self, network: &Network) -> PathBuf {
        self.root.path().join("networks").join(network.meta.uid.to_string())
    }

    /// The network's name server, if it runs.
    pub fn server(&self, network: &Network) -> Option<i32> {
        let text = std::fs::read_to_string(self.folder(network).join("process.json")).ok()?;
        let value: serde_json::Value = serde_json::from_str(&text).ok()?;
        let pid = i32::try_from(value["process"]["pid"].as_i64()?).ok()?;
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.contains(self.root.path().to_str()?).then_some(pid)
    }

    pub async fn sync(&self) {
        self.networks.sync(&self.objects, &self.reporter, &name("here")).await;
    }

    pub async fn plug(&self, vm: &Vm) -> OwnedFd {
        put(&self.objects, vm);
        let nic = &vm.spec.nics[0];
        let (plug, handle) = self.networks.plug(&self.objects, vm, nic, 10).await.unwrap();
        assert_eq!(plug, Plug::Tap { handle: 10 });
        handle.unwrap().0
    }

    pub async fn guest(&self, vm: &Vm) -> Guest {
        Guest::new(self.plug(vm).await, vm.spec.nics[0].mac.unwrap())
    }

    /// With its address, by hand.
    pub async fn addressed(&self, vm: &Vm) -> Guest {
        let guest = self.guest(vm).await;
        let address = vm.spec.nics[0].address.unwrap().to_string();
        let (start, _) = address.rsplit_once('.').unwrap();
        guest.place.sh(&format!("ip addr add {address}/24 dev eth0 && ip route add default via {start}.1"));
        guest
    }

    pub fn learns(&self, networks: &[&Network]) {
        networks.iter().for_each(|network| put(&self.objects, *network));
        synced(&self.objects);
    }

    pub async fn ensure(&self, network: &str) -> crate::Result<()> {
        self.networks.ensure(&self.objects, &Name::new(network).unwrap()).await
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let entries = std::fs::read_dir(self.root.path().join("networks")).into_iter().flatten().flatten();
        for entry in entries {
            let text = std::fs::read_to_string(entry.path().join("dnsmasq.pid")).unwrap_or_default();
            let Ok(pid) = text.trim().parse::<i32>() else { continue };
            let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if command.contains(entry.path().to_str().unwrap()) {
                // SAFETY: a system call without memory, to a process that runs with a file of ours.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        }
    }
}
