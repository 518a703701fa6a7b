//! Disks and snapshots on this host: files that nothing names, and names that no file stands behind.
//!
//! An agent that works may be between two steps: what it is about to use or to remove is a leftover for a moment.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use tabane_qemu::qcow2;

use super::{Finding, Severity, finding, orphans::entries};
use crate::{
    config::Folders,
    disk::{Note, layer_path},
};

const ABOUT: &str = "disks";
const MEND_LEFTOVER: &str = "if it is still there in a minute, and no VM misses it: rm -r it";

/// Looks through the folder of an agent, and its default pool.
pub fn examine(folders: &Folders) -> Vec<Finding> {
    let mut findings = pool(&folders.pool());
    findings.extend(snapshots(folders));
    for folder in [folders.exports(), folders.bases()] {
        findings.extend(
            entries(&folder)
                .into_iter()
                .map(|path| leftover(&path, "work that is under way, or was cut short")),
        );
    }
    findings
}

fn leftover(path: &Path, what: &str) -> Finding {
    finding(Severity::Note, ABOUT, format!("{what}: {}", path.display()), MEND_LEFTOVER)
}

fn pool(pool: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let files = entries(pool);
    let mut named: BTreeSet<PathBuf> = BTreeSet::new();
    for note_file in files.iter().filter(|path| extension(path) == "json") {
        let place = note_file.with_extension("qcow2");
        named.insert(note_file.clone());
        let note = match Note::load(&place) {
            Ok(Some(note)) => note,
            Ok(None) => continue,
            Err(error) => {
                let told = format!("{} cannot be read: {}", note_file.display(), error.told());
                findings.push(finding(Severity::Fault, ABOUT, told, "put it back from a backup"));
                continue;
            }
        };
        named.extend(note.layers.all().map(|layer| layer_path(&place, layer)));
        let active = note.active_path(&place);
        for layer in note.layers.chain(note.layers.active()) {
            findings.extend(stands(&layer_path(&place, layer), layer_path(&place, layer) == active));
        }
    }
    let unnamed = files.iter().filter(|path| !named.contains(*path));
    for path in unnamed {
        match extension(path) {
            "qcow2" => findings.push(leftover(path, "a layer that no note names")),
            "new" if path.with_extension("").extension() != Some("json".as_ref()) => {
                findings.push(leftover(path, "a disk that is being made, or whose making was cut short"))
            }
            _ => {}
        }
    }
    findings
}

/// Whether a layer is there, and what it stands on.
fn stands(path: &Path, active: bool) -> Option<Finding> {
    let fault = |told: String| {
        let mend = "if its pool is a file system of its own, mount it; otherwise put the file back";
        Some(finding(Severity::Fault, ABOUT, told, mend))
    };
    if !path.exists() {
        // A disk that is just being made has its note first.
        let made = active || path.file_stem().is_some_and(|stem| stem.to_string_lossy().contains('-'));
        let told = format!("the file of a disk is gone: {}", path.display());
        return if made { fault(told) } else { None };
    }
    match qcow2::backing(path) {
        Ok(Some(below)) if !below.exists() => {
            fault(format!("{} stands on {}, which is gone", path.display(), below.display()))
        }
        Ok(_) => None,
        Err(error) => fault(format!("{} cannot be read: {error}", path.display())),
    }
}

fn snapshots(folders: &Folders) -> Vec<Finding> {
    let mut findings = Vec::new();
    for of_vm in entries(&folders.snapshots()) {
        // Every VM has a folder from when it is made ready, also one that never ran.
        let vm = of_vm.file_name().map(|name| folders.vms().join(name));
        if !vm.is_some_and(|folder| folder.exists()) {
            findings.push(leftover(&of_vm, "snapshots of a VM that is not here"));
            continue;
        }
        let cut_short = entries(&of_vm).into_iter().filter(|folder| !folder.join("record.json").exists());
        findings.extend(
            cut_short.map(|path| leftover(&path, "a snapshot that is being taken, or was cut short")),
        );
    }
    findings
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|e| e.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tabane_model::Uid;

    use super::*;

    fn told(folders: &Folders) -> Vec<(Severity, String)> {
        let mut all: Vec<_> = examine(folders).into_iter().map(|f| (f.severity, f.told)).collect();
        all.sort_by(|a, b| a.1.cmp(&b.1));
        all
    }

    #[test]
    fn a_disk_with_a_snapshot_is_fine_until_something_of_it_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let folders = crate::Config::new(root.path(), "h1".parse().unwrap()).folders();
        std::fs::create_dir_all(folders.pool()).unwrap();
        let place = folders.pool().join("ab.qcow2");
        let mut note = Note::default();
        let new = note.layers.announce();
        note.layers.freeze(Some(Uid::from_u128(7)));
        note.save(&place).unwrap();
        qcow2::create(&place, 1 << 20, None).unwrap();
        let above = layer_path(&place, new);
        qcow2::create(&above, 1 << 20, Some(&place)).unwrap();
        assert_eq!(told(&folders), []);

        std::fs::write(layer_path(&place, 9), "x").unwrap();
        std::fs::create_dir_all(folders.snapshots().join("cd/ef")).unwrap();
        std::fs::create_dir_all(folders.bases().join("1")).unwrap();
        let all = told(&folders);
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(all.iter().all(|(severity, _)| *severity == Severity::Note), "{all:?}");
        assert!(all[0].1.contains("ab-9.qcow2"), "{all:?}");

        std::fs::remove_file(&place).unwrap();
        let faults: Vec<String> =
            told(&folders).into_iter().filter(|(s, _)| *s == Severity::Fault).map(|(_, told)| told).collect();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains("ab-1.qcow2 stands on") && faults[0].contains("gone"), "{faults:?}");
        std::fs::remove_file(&above).unwrap();
        assert!(
            told(&folders)
                .iter()
                .any(|(s, t)| *s == Severity::Fault && t.contains("the file of a disk is gone"))
        );
    }
}
