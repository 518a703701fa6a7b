//! Installs what is missing, and says what.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run;

/// A Debian package, and the reason that it is here.
type Package = (&'static str, &'static str);

/// What building and running need.
const TO_RUN: &[Package] = &[
    ("gcc", "builds SQLite and the TLS library"),
    ("libc6-dev", "builds SQLite and the TLS library"),
    ("qemu-system-x86", "runs VMs"),
    ("qemu-utils", "converts images"),
    ("ovmf", "firmware of UEFI guests"),
    ("swtpm", "virtual TPMs"),
    ("mmdebstrap", "builds Debian images"),
    ("uidmap", "builds Debian images without root"),
    ("e2fsprogs", "file systems of images"),
    ("dosfstools", "boot partitions of images"),
    ("mtools", "boot partitions of images"),
    ("gdisk", "partition tables of images"),
    ("grub-common", "boot loaders of images"),
    ("grub-pc-bin", "boot loaders of images"),
    ("xz-utils", "unpacks kernels"),
    ("zstd", "unpacks kernels"),
    ("dnsmasq-base", "DHCP and DNS of nat networks"),
    ("nftables", "firewall of nat networks"),
    ("iproute2", "links of networks"),
    ("openssh-client", "reaches servers to survey"),
];

/// What tests and figures need besides.
const FOR_TESTS: &[Package] = &[
    ("busybox-static", "guests of the tests"),
    ("cpio", "initramfs of guests"),
    ("lz4", "kernels of guests"),
    ("genisoimage", "seeds of cloud-init, CDs"),
    ("xfsprogs", "reflinks"),
    ("python3-libvmdk", "second opinion on exports"),
    ("python3-libvhdi", "second opinion on exports"),
    ("python3-pip", "second opinion on exports"),
    ("virt-v2v", "second opinion on exports"),
    ("openssh-server", "servers to survey"),
    ("prometheus", "scrapes metrics"),
    ("curl", "scrapes metrics"),
    ("chromium", "shows the web console"),
    ("fonts-noto-cjk", "Japanese in the web console"),
];

/// A reader of disks that Debian does not have, at the version that was tried.
const READER: &str = "dissect.hypervisor==3.21";

/// What building and running need; without a word when nothing is missing.
pub fn run() -> Result<()> {
    install(TO_RUN.iter().copied())
}

/// What tests and figures need, too. Python's packages are kept beside what is built.
pub fn for_tests() -> Result<()> {
    install([TO_RUN, FOR_TESTS].concat().into_iter())?;
    let folder = run::target().join("second-opinions");
    let known = folder.join("installed");
    if std::fs::read_to_string(&known).is_ok_and(|text| text == READER) {
        return Ok(());
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--target"];
    run::say_and_run(Command::new("/usr/bin/python3").args(pip).arg(&folder).arg(READER))?;
    std::fs::write(&known, READER).with_context(|| format!("cannot write {}", known.display()))
}

fn install(packages: impl Iterator<Item = Package>) -> Result<()> {
    let missing: Vec<Package> = packages.filter(|(name, _)| !is_there(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !run::has("apt-get") {
        let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
        bail!("this is no Debian or Ubuntu: install these yourself, then try again: {}", names.join(" "));
    }
    eprintln!("Installing what is missing:");
    for (name, reason) in &missing {
        eprintln!("  {name:<20} {reason}");
    }
    apt(&["update", "-q"])?;
    let mut wanted: Vec<String> = missing.iter().map(|(name, _)| (*name).to_owned()).collect();
    same_version_of_qemu(&mut wanted);
    let mut arguments = vec!["install", "-y", "-q", "--no-install-recommends", "--allow-downgrades"];
    arguments.extend(wanted.iter().map(String::as_str));
    apt(&arguments)
}

fn is_there(name: &str) -> bool {
    // Either busybox will do.
    let names: &[&str] = if name == "busybox-static" { &["busybox-static", "busybox"] } else { &[name] };
    names.iter().any(|name| {
        run::output("dpkg-query", &["-W", "-f=${Status}", name]).is_some_and(|s| s.ends_with("ok installed"))
    })
}

/// QEMU and its tools have to be of one version. If the tools came from somewhere else, such as backports that are not
/// configured any more, the version that QEMU itself can be had in decides.
fn same_version_of_qemu(wanted: &mut Vec<String>) {
    if !wanted.iter().any(|name| name == "qemu-system-x86") {
        return;
    }
    let policy = run::output("apt-cache", &["policy", "qemu-system-x86"]).unwrap_or_default();
    let candidate =
        policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: ").map(str::to_owned));
    let Some(version) = candidate.filter(|v| v != "(none)") else { return };
    wanted.retain(|name| name != "qemu-system-x86" && name != "qemu-utils");
    wanted.push(format!("qemu-system-x86={version}"));
    wanted.push(format!("qemu-utils={version}"));
}

fn apt(arguments: &[&str]) -> Result<()> {
    let root = run::is_root();
    let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
    if !root {
        command.arg("apt-get");
    }
    command.env("DEBIAN_FRONTEND", "noninteractive");
    run::say_and_run(command.args(arguments))
}
