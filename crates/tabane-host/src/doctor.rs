//! Looks at a host and says what is missing, and how to mend it.

mod disks;
mod orphans;

use std::{os::unix::fs::PermissionsExt, path::Path};

use tabane_qemu::install::Installation;

use crate::facts;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Fine,
    /// Works, but something is slower or not available.
    Note,
    /// VMs cannot run.
    Fault,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub about: &'static str,
    pub told: String,
    /// What to do; empty when nothing has to be done.
    pub mend: String,
}

fn finding(
    severity: Severity,
    about: &'static str,
    told: impl Into<String>,
    mend: impl Into<String>,
) -> Finding {
    Finding { severity, about, told: told.into(), mend: mend.into() }
}

/// Examines this host, and the data folder if it is there.
pub async fn examine(folder: &Path) -> Vec<Finding> {
    let mut findings = vec![privileges()];
    qemu(&mut findings).await;
    let verdict = facts::probe_kvm().await;
    findings.push(if verdict.kvm {
        finding(Severity::Fine, "KVM", verdict.reason, "")
    } else {
        let mend = "guests run under TCG, which is 10 to 50 times slower; enable virtualization in the firmware, or, in \
                    a VM, nested virtualization";
        finding(Severity::Note, "KVM", verdict.reason, mend)
    });
    for (about, program, package, use_) in [
        ("dnsmasq", "dnsmasq", "dnsmasq-base", "networks of kind nat"),
        ("nftables", "nft", "nftables", "networks of kind nat"),
        ("mmdebstrap", "mmdebstrap", "mmdebstrap", "building Debian images"),
    ] {
        findings.push(match find_program(program) {
            Some(path) => finding(Severity::Fine, about, path, ""),
            None => finding(
                Severity::Note,
                about,
                format!("{program} is not installed; {use_} need it"),
                format!("apt install {package}"),
            ),
        });
    }
    data_folder(folder, &mut findings);
    let orphans = orphans::find(Path::new("/proc"), Path::new("/sys/class/net"));
    let disks = disks::examine(&crate::Config::new(folder, "doctor".parse().expect("is a name")).folders());
    if disks.is_empty() {
        findings.push(finding(Severity::Fine, "disks", "every file has its place", ""));
    }
    findings.extend(disks);
    if orphans.is_empty() {
        findings.push(finding(Severity::Fine, "leftovers", "none", ""));
    }
    findings.extend(orphans.into_iter().map(|o| finding(Severity::Note, "leftovers", o.told, o.mend)));
    findings
}

fn privileges() -> Finding {
    if crate::users::can_switch() {
        return finding(Severity::Fine, "privileges", "root: each VM runs as a user of its own", "");
    }
    finding(
        Severity::Note,
        "privileges",
        "not root: all VMs run as this user, and networks of kind nat are not available",
        "run the agent as root for separation between VMs",
    )
}

async fn qemu(findings: &mut Vec<Finding>) {
    let installation = match Installation::discover().await {
        Ok(installation) => installation,
        Err(error) => {
            let told = crate::Error::Qemu(error).told();
            findings.push(finding(Severity::Fault, "QEMU", told, "apt install qemu-system-x86 qemu-utils"));
            return;
        }
    };
    let told = format!("{} ({})", installation.qemu.version, installation.machine_type);
    findings.push(finding(Severity::Fine, "QEMU", told, ""));
    let mut optional = |about, found: Option<String>, package: &str, use_: &str| {
        findings.push(match found {
            Some(told) => finding(Severity::Fine, about, told, ""),
            None => finding(
                Severity::Note,
                about,
                format!("not found; {use_} need it"),
                format!("apt install {package}"),
            ),
        });
    };
    let uefi = installation.uefi.as_ref().map(|f| f.code.display().to_string());
    optional("UEFI firmware", uefi, "ovmf", "VMs with firmware uefi");
    let secure = installation.uefi_secure_boot.as_ref().map(|f| f.code.display().to_string());
    optional("Secure Boot firmware", secure, "ovmf", "VMs with firmware uefi-secure-boot");
    let swtpm = installation.swtpm.as_ref().map(|t| t.version.to_string());
    optional("swtpm", swtpm, "swtpm", "virtual TPMs");
}

fn data_folder(folder: &Path, findings: &mut Vec<Finding>) {
    let existing = folder.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    if let Some(told) = unreachable_folder(existing) {
        findings.push(finding(
            Severity::Fault,
            "data folder",
            told,
            "use another one: TABANE_DATA_DIR=/var/lib/tabane",
        ));
    }
    const LOW_BYTES: u64 = 4 << 30;
    match crate::pool::space(existing) {
        Ok((_, free)) if free < LOW_BYTES => {
            let told = format!("{} are free at {}", tabane_model::format_bytes(free), existing.display());
            findings.push(finding(
                Severity::Note,
                "space",
                told,
                "make room: a full pool stops the guests that write",
            ));
        }
        Ok((_, free)) => {
            let told = format!("{} free at {}", tabane_model::format_bytes(free), existing.display());
            findings.push(finding(Severity::Fine, "space", told, ""));
        }
        Err(error) => findings.push(finding(
            Severity::Fault,
            "data folder",
            error.to_string(),
            "see whether it can be read",
        )),
    }
}

/// Why QEMUs, which run as users of their own, could not reach files in this folder.
pub fn unreachable_folder(folder: &Path) -> Option<String> {
    if !crate::users::can_switch() {
        return None;
    }
    let closed = folder
        .ancestors()
        .find(|path| std::fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o001 == 0))?;
    Some(format!(
        "{} is closed to other users, so the VMs' own users cannot reach {}",
        closed.display(),
        folder.display()
    ))
}

fn find_program(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<std::path::PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin".into(), "/sbin".into()]);
    folders.iter().map(|f| f.join(name)).find(|p| p.is_file()).map(|p| p.display().to_string())
}
