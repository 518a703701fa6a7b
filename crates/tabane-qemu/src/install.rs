//! What is installed on this host: QEMU, firmware, software TPM.
//!
//! Invariant: only what was found and understood is told; something unknown in a descriptor means that it is passed
//! over, not that discovery fails. Only a missing or too old QEMU is an error.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncReadExt;

use crate::qmp::Version;
use crate::{Error, Result};

/// The oldest QEMU that this crate is tested with.
pub const VERSION_MIN: Version = Version { major: 7, minor: 2, micro: 0 };

const TOOL_TIMEOUT: Duration = Duration::from_secs(60);
const TOOL_BYTES_MAX: u64 = 1 << 20;
const DESCRIPTOR_BYTES_MAX: u64 = 1 << 20;

/// Where to look. The default looks at the usual places.
#[derive(Debug, Clone)]
pub struct Search {
    /// Looked up in `PATH` if it has no slash.
    pub qemu: PathBuf,
    pub swtpm: PathBuf,
    /// Folders with firmware descriptors, those of the administrator first.
    pub descriptors: Vec<PathBuf>,
    /// Pairs of firmware for hosts without descriptors.
    pub known_firmware: Vec<UefiFirmware>,
}

impl Default for Search {
    fn default() -> Self {
        let pair = |code: &str, vars: &str, secure_boot| UefiFirmware {
            code: code.into(),
            vars_template: vars.into(),
            secure_boot,
            enrolled_keys: secure_boot,
        };
        Search {
            qemu: "qemu-system-x86_64".into(),
            swtpm: "swtpm".into(),
            descriptors: vec!["/etc/qemu/firmware".into(), "/usr/share/qemu/firmware".into()],
            known_firmware: vec![
                pair("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd", false),
                pair("/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd", true),
                pair("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd", false),
                pair(
                    "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd",
                    "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd",
                    true,
                ),
                pair("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd", false),
            ],
        }
    }
}

/// A firmware image and the variables that a new machine begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UefiFirmware {
    pub code: PathBuf,
    /// To be copied for each machine.
    pub vars_template: PathBuf,
    /// Needs system management mode.
    pub secure_boot: bool,
    /// The template holds the vendors' keys, so that secure boot is on from the start.
    pub enrolled_keys: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    pub path: PathBuf,
    pub version: Version,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    pub qemu: Tool,
    /// The newest `q35` with its version, such as `pc-q35-7.2`.
    pub machine_type: String,
    /// All versioned `q35` machines that this QEMU can be: what can migrate here.
    pub machine_types: Vec<String>,
    /// Without secure boot.
    pub uefi: Option<UefiFirmware>,
    /// With secure boot, and with the vendors' keys if there is such a one.
    pub uefi_secure_boot: Option<UefiFirmware>,
    pub swtpm: Option<Tool>,
}

impl Installation {
    /// Looks at the usual places.
    ///
    /// Errors: [`Error::NotInstalled`] without a QEMU of at least [`VERSION_MIN`]; [`Error::Tool`] if it does not run.
    pub async fn discover() -> Result<Self> {
        Installation::search(&Search::default()).await
    }

    pub async fn search(search: &Search) -> Result<Self> {
        const HINT: &str = "install QEMU 7.2 or newer (Debian and Ubuntu: apt install qemu-system-x86 qemu-utils \
                            ovmf; Fedora and RHEL: dnf install qemu-kvm qemu-img edk2-ovmf)";
        let missing = || Error::NotInstalled { program: search.qemu.display().to_string(), hint: HINT };
        let path = find_program(&search.qemu).ok_or_else(missing)?;
        let version = version_of(&path, "version").await?;
        if version < VERSION_MIN {
            return Err(missing());
        }
        let listing = output(&path, &["-machine", "help"]).await?;
        let (machine_type, machine_types) = q35_machines(&listing).ok_or_else(|| Error::Tool {
            program: name_of(&path),
            detail: "it knows no q35 machine".into(),
        })?;
        let swtpm = match find_program(&search.swtpm) {
            // A broken swtpm is as good as none.
            Some(path) => version_of(&path, "version").await.ok().map(|version| Tool { path, version }),
            None => None,
        };
        let firmware = firmware(search);
        Ok(Installation {
            qemu: Tool { path, version },
            machine_type,
            machine_types,
            uefi: firmware.iter().find(|one| !one.secure_boot).cloned(),
            uefi_secure_boot: firmware
                .iter()
                .find(|one| one.secure_boot && one.enrolled_keys)
                .or_else(|| firmware.iter().find(|one| one.secure_boot))
                .cloned(),
            swtpm,
        })
    }
}

fn find_program(program: &Path) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let runs = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if program.components().count() > 1 || program.is_absolute() {
        return Some(program.to_owned()).filter(runs);
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    // RHEL keeps its QEMU out of the way.
    let hidden = (program == Path::new("qemu-system-x86_64")).then(|| PathBuf::from("/usr/libexec/qemu-kvm"));
    std::env::split_paths(&path).map(|folder| folder.join(program)).chain(hidden).find(runs)
}

fn name_of(path: &Path) -> String {
    path.display().to_string()
}

async fn output(program: &Path, arguments: &[&str]) -> Result<String> {
    let failed = |detail: String| Error::Tool { program: name_of(program), detail };
    let work = async {
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .env("LC_ALL", "C")
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| Error::File { action: "run", path: program.to_owned(), source })?;
        let mut bytes = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout
                .take(TOOL_BYTES_MAX)
                .read_to_end(&mut bytes)
                .await
                .map_err(|error| failed(error.to_string()))?;
        }
        let status = child.wait().await.map_err(|error| failed(error.to_string()))?;
        if !status.success() {
            return Err(failed(format!("{} ended with {status}", arguments.join(" "))));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    tokio::time::timeout(TOOL_TIMEOUT, work)
        .await
        .map_err(|_| Error::timeout(format!("{} {}", program.display(), arguments.join(" ")), TOOL_TIMEOUT))?
}

async fn version_of(program: &Path, word: &str) -> Result<Version> {
    let text = output(program, &["--version"]).await?;
    parse_version(&text, word).ok_or_else(|| Error::Tool {
        program: name_of(program),
        detail: "its version cannot be understood".into(),
    })
}

/// The numbers after the first `word`, as in "QEMU emulator version 7.2.22 (Debian …)".
fn parse_version(text: &str, word: &str) -> Option<Version> {
    let mut words = text.split([' ', ',', '\n']).skip_while(|part| !part.eq_ignore_ascii_case(word)).skip(1);
    let mut numbers = words.next()?.split(['.', '-', '+', '~', ' ']).map_while(|part| part.parse().ok());
    let (major, minor) = (numbers.next()?, numbers.next()?);
    Some(Version { major, minor, micro: numbers.next().unwrap_or(0) })
}

/// What `q35` stands for, and all that there are.
fn q35_machines(listing: &str) -> Option<(String, Vec<String>)> {
    let all: Vec<String> = listing
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with("pc-q35-"))
        .map(str::to_owned)
        .collect();
    let alias = listing
        .lines()
        .filter(|line| line.split_whitespace().next() == Some("q35"))
        .find_map(|line| line.split_once("(alias of ")?.1.split(')').next())
        .map(str::to_owned);
    Some((alias.or_else(|| all.first().cloned())?, all))
}

/// QEMU's `docs/interop/firmware.json`, as far as it is needed.
#[derive(Deserialize)]
struct Descriptor {
    #[serde(rename = "interface-types", default)]
    interface_types: Vec<String>,
    mapping: Mapping,
    #[serde(default)]
    targets: Vec<Target>,
    #[serde(default)]
    features: Vec<String>,
}

#[derive(Deserialize)]
struct Mapping {
    device: String,
    /// `split`, `combined` or `stateless`; descriptors older than QEMU 7 mean split.
    mode: Option<String>,
    executable: Option<Image>,
    #[serde(rename = "nvram-template")]
    nvram_template: Option<Image>,
}

#[derive(Deserialize)]
struct Image {
    filename: PathBuf,
    #[serde(default)]
    format: String,
}

#[derive(Deserialize)]
struct Target {
    architecture: String,
    #[serde(default)]
    machines: Vec<String>,
}

impl Descriptor {
    fn into_firmware(self) -> Option<UefiFirmware> {
        let fits = self.interface_types.iter().any(|kind| kind == "uefi")
            && self.mapping.device == "flash"
            && self.mapping.mode.as_deref().is_none_or(|mode| mode == "split")
            && self.targets.iter().any(|target| {
                target.architecture == "x86_64"
                    && target.machines.iter().any(|machine| machine.starts_with("pc-q35"))
            });
        let (code, vars) = (self.mapping.executable?, self.mapping.nvram_template?);
        let has = |feature: &str| self.features.iter().any(|one| one == feature);
        // Raw only: that is how the command line opens it.
        let whole = code.format == "raw" && vars.format == "raw";
        // Firmware for confidential guests does not start common ones.
        let special = has("amd-sev-snp") && !has("amd-sev") || has("intel-tdx");
        (fits && whole && !special).then(|| UefiFirmware {
            code: code.filename,
            vars_template: vars.filename,
            secure_boot: has("secure-boot") && has("requires-smm"),
            enrolled_keys: has("enrolled-keys"),
        })
    }
}

/// All firmware that exists, the best first. By the specification the order is that of the file names, and a file
/// of an earlier folder hides one of the same name in a later.
fn firmware(search: &Search) -> Vec<UefiFirmware> {
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in &search.descriptors {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            let json = path.extension().is_some_and(|extension| extension == "json");
            if json && !files.iter().any(|known| known.file_name() == path.file_name()) {
                files.push(path);
            }
        }
    }
    files.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    let described = files.iter().filter_map(|path| {
        if std::fs::metadata(path).ok()?.len() > DESCRIPTOR_BYTES_MAX {
            return None;
        }
        serde_json::from_slice::<Descriptor>(&std::fs::read(path).ok()?).ok()?.into_firmware()
    });
    described
        .chain(search.known_firmware.iter().cloned())
        .filter(|one| one.code.is_file() && one.vars_template.is_file())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_understood() {
        let version = |text: &str| parse_version(text, "version").map(|version| version.to_string());
        let debian = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright";
        assert_eq!(version(debian).as_deref(), Some("7.2.22"));
        assert_eq!(version("QEMU emulator version 10.0.2-rc1").as_deref(), Some("10.0.2"));
        assert_eq!(version("TPM emulator version 0.7.1, Copyright (c)").as_deref(), Some("0.7.1"));
        assert_eq!(version("version"), None);
        assert_eq!(version("version x.y"), None);
    }

    #[test]
    fn the_alias_is_resolved() {
        let listing = "Supported machines are:\nq35   Standard PC (Q35) (alias of pc-q35-7.2)\npc-q35-7.2 x\n\
                       pc-q35-7.1  y\npc-i440fx-7.2 z\n";
        let (alias, all) = q35_machines(listing).unwrap();
        assert_eq!(alias, "pc-q35-7.2");
        assert_eq!(all, ["pc-q35-7.2", "pc-q35-7.1"]);
        assert!(q35_machines("none").is_none());
    }

    #[test]
    fn descriptors_are_chosen_by_what_they_offer() {
        let root = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = root.path().join(name);
            std::fs::write(&path, "").unwrap();
            path.to_str().unwrap().to_owned()
        };
        let describe = |name: &str, code: &str, features: &[&str], machine: &str| {
            let json = serde_json::json!({
                "interface-types": ["uefi"], "features": features, "tags": [], "description": "x",
                "mapping": {"device": "flash", "executable": {"filename": code, "format": "raw"},
                            "nvram-template": {"filename": file("vars"), "format": "raw"}},
                "targets": [{"architecture": "x86_64", "machines": [machine]}],
            });
            std::fs::write(root.path().join(name), json.to_string()).unwrap();
        };
        describe("40-other.json", &file("other"), &[], "pc-i440fx-*");
        describe("50-secure.json", &file("secure"), &["secure-boot", "requires-smm"], "pc-q35-*");
        describe(
            "60-keys.json",
            &file("keys"),
            &["secure-boot", "requires-smm", "enrolled-keys"],
            "pc-q35-*",
        );
        describe("70-plain.json", &file("plain"), &[], "pc-q35-*");
        describe("10-absent.json", "/nonexistent", &[], "pc-q35-*");
        std::fs::write(root.path().join("00-garbage.json"), "{").unwrap();
        let found = firmware(&Search {
            descriptors: vec![root.path().to_owned()],
            known_firmware: vec![],
            ..Search::default()
        });
        let names: Vec<_> = found.iter().map(|one| one.code.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["secure", "keys", "plain"]);
        assert!(found[1].enrolled_keys && !found[2].secure_boot);
    }

    #[tokio::test]
    async fn a_missing_qemu_says_what_to_install() {
        let search = Search { qemu: "/nonexistent/qemu".into(), ..Search::default() };
        let failure = Installation::search(&search).await.unwrap_err();
        assert!(failure.to_string().contains("apt install qemu-system-x86"), "{failure}");
    }
}
