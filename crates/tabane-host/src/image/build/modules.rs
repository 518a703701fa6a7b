//! Which kernel modules to load, in which order.
//!
//! What a module needs is asked of the module itself: the file `modules.dep` is not in a package, but made when it is
//! installed, and here nothing is.
//!
//! Source: Linux, scripts/mod/modpost.c (`depends=` in the section `.modinfo`). Names of modules write `_` for `-`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{Error, Result, elf};

/// A chain of needs that is longer goes around in circles.
const DEPTH_MAX: usize = 16;

/// The modules of one kernel.
pub(super) struct Modules {
    files: HashMap<String, PathBuf>,
    built_in: Vec<String>,
}

fn name_of(path: &str) -> Option<String> {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.strip_suffix(".ko").map(|name| name.replace('-', "_"))
}

impl Modules {
    /// Of the kernel's folder in `/lib/modules`.
    pub(super) fn open(folder: &Path) -> Result<Modules> {
        let list = folder.join("modules.builtin");
        let text = std::fs::read_to_string(&list).map_err(Error::file("read", &list))?;
        let mut files = HashMap::new();
        let mut todo = vec![folder.join("kernel")];
        while let Some(folder) = todo.pop() {
            for entry in std::fs::read_dir(&folder).map_err(Error::file("read", &folder))? {
                let entry = entry.map_err(Error::file("read", &folder))?;
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    todo.push(entry.path());
                } else if let Some(name) = entry.file_name().to_str().and_then(name_of) {
                    files.insert(name, entry.path());
                }
            }
        }
        Ok(Modules { files, built_in: text.lines().filter_map(name_of).collect() })
    }

    pub(super) fn content(&self, name: &str) -> Result<Vec<u8>> {
        match self.files.get(name) {
            Some(path) => std::fs::read(path).map_err(Error::file("read", path)),
            None => Err(Error::content("the kernel package", format!("it has no module {name}"))),
        }
    }

    /// The modules to load for these: each once, after all that it needs, and none that is built in.
    pub(super) fn in_order(&self, wanted: &[&str]) -> Result<Vec<String>> {
        let mut order = Vec::new();
        for name in wanted {
            self.visit(name, 0, &mut order)?;
        }
        Ok(order)
    }

    fn visit(&self, name: &str, depth: usize, order: &mut Vec<String>) -> Result<()> {
        if self.built_in.iter().any(|other| other == name) || order.iter().any(|other| other == name) {
            return Ok(());
        }
        if depth > DEPTH_MAX {
            return Err(Error::content(format!("the module {name}"), "what it needs needs it"));
        }
        for needed in needs(&self.content(name)?) {
            self.visit(&needed, depth + 1, order)?;
        }
        order.push(name.to_owned());
        Ok(())
    }
}

/// The names in a module's `depends=`.
fn needs(module: &[u8]) -> Vec<String> {
    let entries = elf::section(module, ".modinfo").unwrap_or_default().split(|byte| *byte == 0);
    let names = entries.filter_map(|entry| entry.strip_prefix(b"depends=")).next().unwrap_or_default();
    let names = String::from_utf8_lossy(names).into_owned();
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with the one section that counts.
    fn module(depends: &str) -> Vec<u8> {
        let names = b"\0.modinfo\0.shstrtab\0";
        let modinfo = format!("license=GPL\0depends={depends}\0name=x\0");
        let table = 64 + names.len() + modinfo.len();
        let mut bytes = b"\x7fELF\x02\x01".to_vec();
        bytes.resize(64, 0);
        bytes[40..48].copy_from_slice(&(table as u64).to_le_bytes());
        bytes[58..64].copy_from_slice(&[64, 0, 2, 0, 0, 0]);
        bytes.extend(names);
        bytes.extend(modinfo.bytes());
        for (name, offset, length) in [(10u32, 64, names.len()), (1, 64 + names.len(), modinfo.len())] {
            let mut header = [0; 64];
            header[..4].copy_from_slice(&name.to_le_bytes());
            header[24..32].copy_from_slice(&(offset as u64).to_le_bytes());
            header[32..40].copy_from_slice(&(length as u64).to_le_bytes());
            bytes.extend(header);
        }
        bytes
    }

    #[test]
    fn what_a_module_needs_comes_first_and_once() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("kernel/drivers")).unwrap();
        std::fs::write(folder.path().join("modules.builtin"), "kernel/fs/ext4/ext4.ko\n").unwrap();
        for (name, depends) in [
            ("virtio", ""),
            ("virtio_ring", "virtio"),
            ("virtio-pci", "virtio_ring,virtio"),
            ("failover", ""),
            ("net_failover", "failover"),
            ("virtio_net", "net-failover,virtio"),
            ("a", "b"),
            ("b", "a"),
        ] {
            std::fs::write(folder.path().join(format!("kernel/drivers/{name}.ko")), module(depends)).unwrap();
        }
        let modules = Modules::open(folder.path()).unwrap();
        let order = modules.in_order(&["virtio_pci", "ext4", "virtio_net"]).unwrap();
        assert_eq!(order, ["virtio", "virtio_ring", "virtio_pci", "failover", "net_failover", "virtio_net"]);
        assert!(modules.in_order(&["nvidia"]).is_err());
        assert!(modules.in_order(&["a"]).is_err());
    }
}
