//! A package on this machine's disk: the descriptor and the manifest read, the disks only looked up.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use tabane_convert::{
    ova::{
        index::{self, Entry},
        manifest::{Digests, Manifest},
    },
    ovf::DESCRIPTOR_BYTES_MAX,
};

use crate::commands::upload::Content;

const MANIFEST_BYTES_MAX: u64 = 1 << 20;
const READ_BYTES: usize = 1 << 20;

pub struct Package {
    path: PathBuf,
    /// Of an OVA; the files of an OVF are beside it.
    entries: Option<Vec<Entry>>,
    pub descriptor: String,
    descriptor_name: String,
    pub manifest: Option<Manifest>,
}

impl Package {
    pub fn open(path: &Path) -> Result<Self> {
        let content = Content::whole(path)?;
        let is_descriptor = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("ovf"));
        let mut package = Self {
            path: path.to_owned(),
            entries: None,
            descriptor: String::new(),
            descriptor_name: String::new(),
            manifest: None,
        };
        if is_descriptor {
            let name = path.file_name().and_then(|name| name.to_str()).context("the name is not in UTF-8")?;
            package.descriptor_name = name.to_owned();
        } else {
            let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            let entries = index::index(&mut file, content.length)
                .with_context(|| format!("{} cannot be imported", path.display()))?;
            let found = entries.iter().find(|entry| has_extension(&entry.name, "ovf"));
            let Some(found) = found else {
                bail!("{} has no descriptor (.ovf) in it: this is no OVA package", path.display())
            };
            package.descriptor_name = found.name.clone();
            package.entries = Some(entries);
        }
        let descriptor = package.content(&package.descriptor_name)?;
        package.descriptor = package.text(&descriptor, DESCRIPTOR_BYTES_MAX)?;
        package.manifest = match package.manifest_name() {
            Some(name) => {
                let manifest = package.content(&name)?;
                Some(Manifest::parse(&package.text(&manifest, MANIFEST_BYTES_MAX)?)?)
            }
            None => None,
        };
        Ok(package)
    }

    /// Where a file of the package is.
    pub fn content(&self, name: &str) -> Result<Content> {
        match &self.entries {
            Some(entries) => {
                let entry = entries.iter().find(|entry| entry.name == name);
                let entry = entry.with_context(|| format!("the package lacks its file {name:?}"))?;
                Ok(Content { path: self.path.clone(), offset: entry.offset, length: entry.length })
            }
            None => {
                let path = self.path.with_file_name(name);
                // Whoever made the folder could have it lead anywhere.
                let metadata = fs::symlink_metadata(&path)
                    .with_context(|| format!("the package lacks its file {}", path.display()))?;
                if !metadata.is_file() {
                    bail!("{} is no plain file", path.display());
                }
                Content::whole(&path)
            }
        }
    }

    /// Identifies what the package describes.
    pub fn digest(&self) -> String {
        let digest = Sha256::digest(self.descriptor.as_bytes());
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The descriptor against the manifest.
    pub fn check_descriptor(&self) -> Result<()> {
        self.check(&self.descriptor_name, &mut self.descriptor.as_bytes(), &mut |_| {}).map(drop)
    }

    /// SHA-256 of a file of the package, which is checked against the manifest. `seen` hears of every piece.
    pub fn check_file(&self, name: &str, content: &Content, seen: &mut dyn FnMut(u64)) -> Result<String> {
        let mut file = File::open(&content.path)?;
        file.seek(SeekFrom::Start(content.offset))?;
        self.check(name, &mut file.take(content.length), seen)
    }

    fn check(&self, name: &str, content: &mut dyn Read, seen: &mut dyn FnMut(u64)) -> Result<String> {
        let stated = self.manifest.as_ref().map(|manifest| manifest.of(name));
        if stated == Some(None) {
            bail!("the manifest says nothing of {name:?}: somebody may have put it in afterwards");
        }
        let mut digests = Digests::new(stated.flatten());
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = content.read(&mut buffer).with_context(|| format!("cannot read {name:?}"))?;
            if read == 0 {
                break;
            }
            digests.update(&buffer[..read]);
            seen(read as u64);
        }
        digests.finish().map_err(|found| {
            anyhow::anyhow!(
                "{name:?} is not what the manifest says (its digest is {found})\n  \
                 It was damaged or changed: fetch the package again from where it comes"
            )
        })
    }

    fn manifest_name(&self) -> Option<String> {
        match &self.entries {
            Some(entries) => entries.iter().map(|e| &e.name).find(|name| has_extension(name, "mf")).cloned(),
            None => {
                let name = Path::new(&self.descriptor_name).with_extension("mf").to_str()?.to_owned();
                self.path.with_file_name(&name).exists().then_some(name)
            }
        }
    }

    fn text(&self, content: &Content, bytes_max: u64) -> Result<String> {
        if content.length > bytes_max {
            bail!("a descriptor or manifest of {} is too long", tabane_model::format_bytes(content.length));
        }
        let mut file = File::open(&content.path)?;
        file.seek(SeekFrom::Start(content.offset))?;
        let mut bytes = Vec::new();
        file.take(content.length).read_to_end(&mut bytes)?;
        String::from_utf8(bytes).context("the descriptor or manifest is not in UTF-8")
    }
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|e| e.eq_ignore_ascii_case(extension))
}
