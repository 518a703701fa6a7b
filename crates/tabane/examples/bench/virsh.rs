//! libvirt as a peer, where it is installed: the same machine as a domain that is defined beforehand.
//!
//! virsh is a process that connects, asks and ends, where our figure is that of a call on an open connection: what it takes
//! for a question alone is measured too, and taken off.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::Result;

const URI: &str = "qemu:///system";
const DOMAIN: &str = "tabane-bench";

pub struct Virsh {
    /// Ours, if none was running.
    daemons: Vec<Child>,
    folder: PathBuf,
}

impl Drop for Virsh {
    fn drop(&mut self) {
        let _ = (virsh(&["destroy", DOMAIN]), virsh(&["undefine", DOMAIN]));
        for daemon in &mut self.daemons {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// What a command says.
fn virsh(arguments: &[&str]) -> Result<String> {
    let told = Command::new("virsh").args(["-q", "-c", URI]).args(arguments).env("LC_ALL", "C").output()?;
    if !told.status.success() {
        return Err(
            format!("virsh {}: {}", arguments.join(" "), String::from_utf8_lossy(&told.stderr)).into()
        );
    }
    Ok(String::from_utf8_lossy(&told.stdout).into_owned())
}

impl Virsh {
    /// `None` where libvirt is not installed. The domain has the devices of `like`, a QEMU's command line.
    pub fn open(folder: &Path, like: &[String]) -> Result<Option<Self>> {
        let has = |program: &str| Path::new("/usr/sbin").join(program).exists();
        if !has("libvirtd") || !Path::new("/usr/bin/virsh").exists() {
            return Ok(None);
        }
        let mut daemons = Vec::new();
        if virsh(&["version"]).is_err() {
            for program in ["virtlogd", "libvirtd"].into_iter().filter(|p| has(p)) {
                let mut daemon = Command::new(Path::new("/usr/sbin").join(program));
                daemon.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                daemons.push(daemon.spawn()?);
            }
            let began = Instant::now();
            while virsh(&["version"]).is_err() {
                if began.elapsed() > Duration::from_secs(30) {
                    return Err("libvirtd is installed and does not answer".into());
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        }
        let virsh = Self { daemons, folder: folder.join("virsh") };
        virsh.define(like)?;
        // libvirt finds out what QEMU can do at the first start, which takes it minutes on some machines.
        virsh.start()?;
        Ok(Some(virsh))
    }

    /// Milliseconds of `virsh start`, less those of a question. The domain is ended afterwards.
    pub fn start(&self) -> Result<f64> {
        let (_, idle) = timed(&["domstate", DOMAIN])?;
        let (_, took) = timed(&["start", DOMAIN])?;
        let state = virsh(&["domstate", DOMAIN])?;
        if !state.contains("running") {
            return Err(format!("libvirt did not start the domain: {state}").into());
        }
        virsh(&["destroy", DOMAIN])?;
        Ok(took - idle)
    }

    /// Milliseconds of `virt-clone` of the domain with this content on its disk; `None` where it is not installed.
    pub fn clone_with(&self, content: &Path) -> Result<Option<f64>> {
        const COPY: &str = "tabane-bench-copy";
        if !Path::new("/usr/bin/virt-clone").exists() {
            return Ok(None);
        }
        let (disk, copy) = (self.folder.join("root.qcow2"), self.folder.join("copy.qcow2"));
        std::fs::copy(content, &disk)?;
        let began = Instant::now();
        let told = Command::new("virt-clone")
            .args(["--connect", URI, "-q", "-o", DOMAIN, "-n", COPY, "-f"])
            .arg(&copy)
            .output()?;
        let took = began.elapsed().as_secs_f64() * 1e3;
        let _ = (virsh(&["undefine", COPY]), std::fs::remove_file(&copy));
        if !told.status.success() {
            return Err(format!("virt-clone: {}", String::from_utf8_lossy(&told.stderr)).into());
        }
        Ok(Some(took))
    }

    fn define(&self, like: &[String]) -> Result<()> {
        let _ = std::fs::remove_dir_all(&self.folder);
        std::fs::create_dir_all(&self.folder)?;
        std::fs::set_permissions(&self.folder, std::fs::Permissions::from_mode(0o711))?;
        let after = |option: &str| {
            let at = like.iter().position(|word| word == option)?;
            like.get(at + 1).cloned()
        };
        let copy = |option: &str, name: &str| -> Result<String> {
            let target = self.folder.join(name);
            std::fs::copy(after(option).ok_or("the guest has no kernel of its own")?, &target)?;
            std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o644))?;
            Ok(target.to_string_lossy().into_owned())
        };
        let (kernel, initramfs) = (copy("-kernel", "kernel")?, copy("-initrd", "initramfs")?);
        let disk = self.folder.join("root.qcow2");
        tabane_qemu::qcow2::create(&disk, 64 << 20, None)?;
        let machine = after("-machine").unwrap_or_default();
        let machine = machine.split(',').next().unwrap_or("q35");
        let ports = like.iter().filter(|word| word.contains("\"pcie-root-port\"")).count();
        let ports = "<controller type='pci' model='pcie-root-port'/>".repeat(ports);
        let ports = format!("<controller type='pci' index='0' model='pcie-root'/>{ports}");
        let text = format!(
            "<domain type='qemu'><name>{DOMAIN}</name><memory unit='MiB'>192</memory>\
             <maxMemory slots='16' unit='MiB'>768</maxMemory><vcpu current='1'>8</vcpu>\
             <os><type arch='x86_64' machine='{machine}'>hvm</type><kernel>{kernel}</kernel>\
             <initrd>{initramfs}</initrd><cmdline>{}</cmdline></os><features><acpi/></features>\
             <cpu mode='custom' match='exact' check='none'><model>qemu64</model>\
             <numa><cell id='0' cpus='0-7' memory='192' unit='MiB'/></numa></cpu>\
             <devices><emulator>{}</emulator>{ports}\
             <disk type='file' device='disk'><driver name='qemu' type='qcow2' discard='unmap'/>\
             <source file='{}'/><target dev='vda' bus='virtio'/></disk>\
             <interface type='user'><model type='virtio'/></interface><serial type='pty'/>\
             <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>\
             <graphics type='vnc' autoport='yes'/><video><model type='vga'/></video>\
             <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>\
             <memballoon model='virtio'/><panic model='isa'/></devices></domain>",
            after("-append").unwrap_or_default(),
            like.first().ok_or("an empty command line")?,
            disk.display(),
        );
        let path = self.folder.join("domain.xml");
        std::fs::write(&path, text)?;
        let _ = (virsh(&["destroy", DOMAIN]), virsh(&["undefine", DOMAIN]));
        virsh(&["define", &path.to_string_lossy()]).map(drop)
    }
}

fn timed(arguments: &[&str]) -> Result<(String, f64)> {
    let began = Instant::now();
    let said = virsh(arguments)?;
    Ok((said, began.elapsed().as_secs_f64() * 1e3))
}
