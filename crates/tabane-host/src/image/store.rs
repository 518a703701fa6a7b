//! Images by content: `images/<digest>/` with `image.json` and the files. What is there is complete and never changes.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tabane_model::Generalised;

use crate::{Error, Result, files, users};

/// Files that an image may have; each is there or not.
pub const FILES: [&str; 4] = ["disk.qcow2", "kernel", "initramfs", CDROM];
/// A CD or DVD, byte by byte.
pub const CDROM: &str = "cdrom.iso";

/// What is known of an image that is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    pub digest: String,
    pub virtual_size_bytes: u64,
    pub size_bytes: u64,
    pub kernel: bool,
    pub disk: bool,
    #[serde(default)]
    pub cdrom: bool,
    pub command_line: Option<String>,
    pub os: Option<String>,
    pub default_user: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub generalised: Vec<Generalised>,
}

/// What its maker knows of an image, beside its files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    pub command_line: Option<String>,
    pub os: Option<String>,
    pub default_user: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub generalised: Vec<Generalised>,
}

pub struct Store(PathBuf);

impl Store {
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    pub fn folder(&self, digest: &str) -> PathBuf {
        self.0.join(digest)
    }

    pub fn load(&self, digest: &str) -> Option<Stored> {
        if !is_digest(digest) {
            return None;
        }
        files::read_json(&self.folder(digest).join("image.json")).ok().flatten()
    }

    /// The file of the CD whose digest begins like this.
    pub fn medium(&self, tag: &str) -> Option<PathBuf> {
        let digest = self.digests().into_iter().find(|digest| digest.starts_with(tag))?;
        self.load(&digest).filter(|stored| stored.cdrom).map(|_| self.folder(&digest).join(CDROM))
    }

    pub fn digests(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&self.0) else { return Vec::new() };
        let names = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
        names.filter(|name| is_digest(name)).collect()
    }

    pub fn remove(&self, digest: &str) -> Result<()> {
        if !is_digest(digest) {
            return Ok(());
        }
        // The description goes first: what has none is not there for anybody.
        files::remove(&self.folder(digest).join("image.json"))?;
        files::remove_folder(&self.folder(digest))
    }

    /// A folder to make an image in, on the same file system; it is emptied.
    pub fn workplace(&self, name: &str) -> Result<PathBuf> {
        files::folder(&self.0, 0o711)?;
        let folder = self.0.join(format!(".work-{name}"));
        files::remove_folder(&folder)?;
        files::folder(&folder, 0o711)?;
        Ok(folder)
    }

    /// Takes in the files of a folder. Content that is there already is kept as it is, and shared.
    pub fn adopt(&self, folder: &Path, about: About) -> Result<Stored> {
        let mut hasher = Sha256::new();
        let mut size_bytes = 0;
        for name in FILES {
            let path = folder.join(name);
            if !path.exists() {
                continue;
            }
            hasher.update(name.as_bytes());
            hasher.update(digest_of::<Sha256>(&path)?.as_bytes());
            size_bytes += crate::disk::used_bytes(&path);
        }
        hasher.update(serde_json::to_vec(&about).expect("has string keys"));
        let digest = hexadecimal(&hasher.finalize());
        if let Some(stored) = self.load(&digest) {
            files::remove_folder(folder)?;
            return Ok(stored);
        }
        let disk = folder.join("disk.qcow2");
        let medium_bytes = std::fs::metadata(folder.join(CDROM)).ok().map(|m| m.len());
        let stored = Stored {
            digest: digest.clone(),
            virtual_size_bytes: match medium_bytes {
                Some(bytes) => bytes,
                None if disk.exists() => tabane_qemu::qcow2::virtual_size(&disk)?,
                None => 0,
            },
            size_bytes,
            kernel: folder.join("kernel").exists(),
            disk: disk.exists(),
            cdrom: medium_bytes.is_some(),
            command_line: about.command_line,
            os: about.os,
            default_user: about.default_user,
            generalised: about.generalised,
        };
        for name in FILES {
            let path = folder.join(name);
            if path.exists() {
                protect(&path)?;
            }
        }
        let place = self.folder(&digest);
        // What an interrupted removal or adoption left.
        files::remove_folder(&place)?;
        files::sync_folder(folder)?;
        files::rename(folder, &place)?;
        files::write_json(&place.join("image.json"), &stored)?;
        Ok(stored)
    }
}

/// Readable by QEMUs and nobody else, writable by nobody.
fn protect(path: &Path) -> Result<()> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o440);
    std::fs::set_permissions(path, mode).map_err(Error::file("protect", path))?;
    let us = rustix::process::geteuid().as_raw();
    users::give(path, us, users::IMAGES_GID).map_err(Error::file("give away", path))?;
    File::open(path).and_then(|f| f.sync_all()).map_err(Error::file("sync", path))
}

pub fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Of a file, in hexadecimal.
pub fn digest_of<D: Digest>(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::file("read", path))?;
    let mut hasher = D::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(Error::file("read", path))?;
        if read == 0 {
            return Ok(hexadecimal(&hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}
