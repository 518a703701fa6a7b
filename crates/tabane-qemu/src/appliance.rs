//! A QEMU that does one piece of work on a disk and ends. It has no network, and what it runs is ours.
//!
//! Invariant: the disk is the only thing that it can write, besides its report.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;

use crate::img::{
    Sandbox,
    sandbox::{Fault, Run},
};

const MEMORY_MIB: u64 = 512;
/// What QEMU maps beside the guest's memory: its buffer of translated code above all.
const ADDRESS_SPACE_BYTES: u64 = 6 << 30;
const SANDBOX: &str = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

#[derive(Debug, Clone)]
pub struct Appliance {
    pub qemu: PathBuf,
    pub kernel: PathBuf,
    pub initramfs: PathBuf,
    pub command_line: String,
    pub kvm: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot start {program}")]
    Start { program: PathBuf, source: std::io::Error },
    #[error("the work on {disk} took longer than {seconds} s and was ended")]
    Timeout { disk: PathBuf, seconds: u64 },
    #[error("the work on {disk} failed: {detail}")]
    Failed { disk: PathBuf, detail: String },
}

impl Appliance {
    /// Runs to the end, with the qcow2 `disk` of `size_bytes` as first disk; answers what came out of the serial port.
    /// `sandbox` says which user it becomes; that user has to be able to write the disk, and to read the other files.
    pub async fn run(
        &self,
        sandbox: &Sandbox,
        disk: &Path,
        size_bytes: u64,
        timeout: Duration,
    ) -> Result<Vec<u8>, Error> {
        let run = Run {
            program: self.qemu.clone(),
            arguments: self.arguments(disk),
            files: Vec::new(),
            timeout,
            cpu: timeout * 4,
            // All data, and the tables of a qcow2.
            file_bytes_max: size_bytes + size_bytes / 512 + (64 << 20),
        };
        let sandbox = Sandbox { memory_bytes: ADDRESS_SPACE_BYTES, ..sandbox.clone() };
        let failed = |detail: String| Error::Failed { disk: disk.to_owned(), detail };
        match sandbox.run(run, |_| {}).await {
            Ok(ended) if ended.status.success() => Ok(ended.stdout),
            Ok(ended) => Err(failed(format!("{}: {}", ended.status, ended.stderr.trim()))),
            Err(Fault::Start(source)) => Err(Error::Start { program: self.qemu.clone(), source }),
            Err(Fault::Wait(error)) => Err(failed(error.to_string())),
            Err(Fault::Timeout) => Err(Error::Timeout { disk: disk.to_owned(), seconds: timeout.as_secs() }),
            Err(Fault::TooMuchOutput) => Err(failed("it said too much".into())),
        }
    }

    fn arguments(&self, disk: &Path) -> Vec<OsString> {
        let node = json!({
            "driver": "qcow2",
            "node-name": "disk",
            "discard": "unmap",
            "detect-zeroes": "unmap",
            "file": { "driver": "file", "filename": disk.to_string_lossy(), "discard": "unmap" },
        });
        let accel = if self.kvm { "kvm" } else { "tcg" };
        let mut arguments: Vec<OsString> =
            ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"].map(Into::into).into();
        let mut add = |option: &str, value: OsString| arguments.extend([option.into(), value]);
        add("-machine", format!("q35,accel={accel},usb=off").into());
        add("-cpu", if self.kvm { "host" } else { "qemu64" }.into());
        add("-m", MEMORY_MIB.to_string().into());
        add("-sandbox", SANDBOX.into());
        add("-kernel", self.kernel.clone().into());
        add("-initrd", self.initramfs.clone().into());
        add("-append", self.command_line.clone().into());
        add("-chardev", "stdio,id=report,signal=off".into());
        add("-device", "isa-serial,chardev=report".into());
        add("-blockdev", node.to_string().into());
        add("-device", "virtio-blk-pci,drive=disk".into());
        add("-device", "virtio-rng-pci".into());
        arguments
    }
}
