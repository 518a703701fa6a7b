//! Packages of a Debian release, fetched and unpacked in the work folder.
//!
//! apt is given a world of its own: sources, lists, cache and an empty status file. So the host's own packages, sources
//! and release play no part, nothing is installed, and root is not needed. The archive's signatures are checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::tool::Tool;
use super::work::Work;
use super::{Error, Result};

pub(super) const MIRROR: &str = "http://deb.debian.org/debian";
pub(super) const SECURITY_MIRROR: &str = "http://deb.debian.org/debian-security";
pub(super) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The lines of sources.list for a release.
pub(super) fn sources(release: &str, options: &str) -> String {
    format!(
        "deb {options}{MIRROR} {release} main\n\
         deb {options}{MIRROR} {release}-updates main\n\
         deb {options}{SECURITY_MIRROR} {release}-security main\n"
    )
}

/// Turns what apt says into what it means.
pub(super) fn understood(error: Error, release: &'static str) -> Error {
    let Error::Tool { detail, .. } = &error else { return error };
    let about =
        |needles: &[&str]| detail.lines().rfind(|line| needles.iter().any(|needle| line.contains(needle)));
    if about(&["NO_PUBKEY", "EXPKEYSIG", "Missing key", "public key is not available", "is not signed"])
        .is_some()
    {
        return Error::Key { release };
    }
    let unreachable = [
        "Temporary failure resolving",
        "Could not resolve",
        "Could not connect",
        "Connection timed out",
        "Network is unreachable",
        "Unable to connect",
        "Connection refused",
        "Failed to fetch",
    ];
    match about(&unreachable) {
        Some(line) => Error::Archive { mirror: MIRROR.into(), detail: line.trim().to_owned() },
        None => error,
    }
}

pub(super) fn check_keyring(release: &'static str) -> Result<()> {
    if Path::new(KEYRING).exists() { Ok(()) } else { Err(Error::Key { release }) }
}

pub(super) struct Packages<'a> {
    work: &'a Work,
    release: &'static str,
    configuration: PathBuf,
}

impl<'a> Packages<'a> {
    /// Reads the release's lists.
    pub(super) async fn open(work: &'a Work, release: &'static str) -> Result<Packages<'a>> {
        check_keyring(release)?;
        let folder = work.folder("apt")?;
        for name in ["apt/state/lists/partial", "apt/cache/archives/partial", "apt/parts", "debs"] {
            work.folder(name)?;
        }
        work.write("apt/status", "")?;
        work.write("apt/sources.list", sources(release, &format!("[arch=amd64 signed-by={KEYRING}] ")))?;
        let text = format!(
            "Dir \"{0}\";\nDir::State \"{0}/state\";\nDir::State::status \"{0}/status\";\nDir::Cache \"{0}/cache\";\n\
             Dir::Etc \"{0}\";\nDir::Etc::sourcelist \"{0}/sources.list\";\nDir::Etc::sourceparts \"{0}/parts\";\n\
             Dir::Etc::parts \"{0}/parts\";\nDir::Etc::preferencesparts \"{0}/parts\";\n\
             Dir::Etc::trustedparts \"{0}/parts\";\nAPT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\n\
             APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\nAcquire::Retries \"3\";\n\
             Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled \"false\";\n",
            folder.display()
        );
        let configuration = work.write("apt/apt.conf", text)?;
        let packages = Packages { work, release, configuration };
        packages
            .apt("apt-get")
            .args(["-q", "--error-on=any", "update"])
            .run()
            .await
            .map_err(|e| understood(e, release))?;
        Ok(packages)
    }

    fn apt(&self, program: &'static str) -> Tool<'static> {
        Tool::new(program).env("APT_CONFIG", &self.configuration).timeout(Duration::from_secs(1800))
    }

    /// What a package depends on; with `recurse`, all the way down. Virtual packages are left out.
    pub(super) async fn depends(&self, package: &str, recurse: bool) -> Result<Vec<String>> {
        let no = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"];
        let mut tool = self.apt("apt-cache").arg("depends").args(no.map(|kind| format!("--no-{kind}")));
        if recurse {
            tool = tool.arg("--recurse");
        }
        let text = tool.arg(package).run().await?;
        let name = |line: &str| {
            let name = match recurse {
                // Every package has a line of its own, before those of its dependencies.
                true => (!line.starts_with([' ', '<', '|'])).then_some(line),
                false => line.trim().strip_prefix("Depends: "),
            }?;
            (!name.starts_with('<')).then(|| name.split(':').next().unwrap_or(name).to_owned())
        };
        Ok(text.lines().filter_map(name).collect())
    }

    /// Fetches packages and unpacks them, all together, into the folder `name`.
    pub(super) async fn unpack(&self, packages: &[String], name: &str) -> Result<PathBuf> {
        let debs = self.work.folder(&format!("debs/{name}"))?;
        self.apt("apt-get")
            .args(["-q", "download"])
            .args(packages)
            .folder(&debs)
            .run()
            .await
            .map_err(|error| understood(error, self.release))?;
        let target = self.work.folder(name)?;
        let entries = std::fs::read_dir(&debs).map_err(Error::file("read", &debs))?;
        let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        for file in files {
            Tool::new("dpkg-deb").arg("-x").arg(&file).arg(&target).run().await?;
        }
        Ok(target)
    }
}
