//! A package on this machine's disk: the descriptor and the manifest read, the disks only looked up.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use tabane_convert::{
    ova::{
        index::{self, Entry},
        manifest::{Digests, Manifest},
    },
    ovf, plan,
};
use tabane_model::{
    PackageChoices, PackageFile, PackageRequest,
    package_bounds::{DESCRIPTOR_BYTES_MAX, MANIFEST_BYTES_MAX},
};

use crate::commands::upload::Content;

const READ_BYTES: usize = 1 << 20;

pub struct Package {
    path: PathBuf,
    /// Of an OVA; the files of an OVF are beside it.
    entries: Option<Vec<Entry>>,
    descriptor: String,
    descriptor_name: String,
    manifest_text: Option<String>,
    manifest: Option<Manifest>,
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
            manifest_text: None,
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
        if let Some(name) = package.manifest_name() {
            let text = package.text(&package.content(&name)?, MANIFEST_BYTES_MAX)?;
            package.manifest = Some(Manifest::parse(&text)?);
            package.manifest_text = Some(text);
        }
        Ok(package)
    }

    /// What the planner has to know of it.
    pub fn request(&self, choices: PackageChoices) -> Result<PackageRequest> {
        let file = |name: &str, size_bytes| PackageFile { name: name.into(), size_bytes };
        let files = match &self.entries {
            Some(entries) => entries.iter().map(|entry| file(&entry.name, entry.length)).collect(),
            None => {
                let machine = ovf::machine(&self.descriptor, choices.configuration.as_deref())?;
                let names = machine.disks.iter().filter_map(|disk| disk.file.as_deref());
                names.map(|name| Ok(file(name, self.content(name)?.length))).collect::<Result<_>>()?
            }
        };
        Ok(PackageRequest {
            descriptor_name: self.descriptor_name.clone(),
            descriptor: self.descriptor.clone(),
            manifest: self.manifest_text.clone(),
            files,
            choices,
        })
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

    /// SHA-256 of a file of the package, which is checked against the manifest. `seen` hears of every piece.
    pub fn check_file(&self, name: &str, content: &Content, seen: &mut dyn FnMut(u64)) -> Result<String> {
        let mut file = File::open(&content.path)?;
        file.seek(SeekFrom::Start(content.offset))?;
        let mut content = file.take(content.length);
        let stated = self.manifest.as_ref().map(|manifest| manifest.of(name));
        if stated == Some(None) {
            return Err(plan::unstated(name).into());
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
        Ok(digests.finish().map_err(|found| plan::changed(name, &found))?)
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
