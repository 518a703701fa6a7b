//! A control group for each VM, where the kernel's controllers can be had.

use std::path::PathBuf;

use tabane_model::Uid;

/// Version 1 hierarchies with the controllers that are of use; version 2 where it has them.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

fn roots() -> Vec<PathBuf> {
    let base = PathBuf::from("/sys/fs/cgroup");
    let unified = std::fs::read_to_string(base.join("cgroup.controllers")).unwrap_or_default();
    if unified.split_whitespace().any(|c| c == "memory") {
        return vec![base];
    }
    CONTROLLERS.iter().map(|c| base.join(c)).filter(|p| p.join("cgroup.procs").exists()).collect()
}

fn folders(vm: Uid) -> Vec<PathBuf> {
    roots().into_iter().map(|root| root.join("tabane").join(vm.simple().to_string())).collect()
}

/// Puts a process of the VM into the VM's groups, which are made. Where we may not do that, a VM runs without.
///
/// Each group costs milliseconds of waiting, since the kernel lets all processors pass a quiet state first. So this is
/// done beside the start of a QEMU and not in it, and a process that is there already is left alone.
pub fn join(vm: Uid, pid: u32) {
    let folders = folders(vm);
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let own = vm.simple().to_string();
    if groups.lines().filter(|line| line.ends_with(&own)).count() >= folders.len() {
        return;
    }
    for folder in folders {
        let joined = std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join("cgroup.procs"), pid.to_string()));
        if let Err(error) = joined {
            tracing::debug!(%vm, pid, %error, "no cgroup at {}", folder.display());
        }
    }
}

/// Removes the VM's groups once nothing is in them.
pub fn remove(vm: Uid) {
    for folder in folders(vm) {
        // A process that has just ended may hold it a moment longer; what is left is empty and harmless.
        let _ = std::fs::remove_dir(folder);
    }
}
