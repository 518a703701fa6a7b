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

/// Makes the VM's groups and names the files that a process enters by. Empty where we may not: a VM runs without too.
pub fn prepare(vm: Uid) -> Vec<PathBuf> {
    let made = |folder: &PathBuf| std::fs::create_dir_all(folder).is_ok();
    let door = |folder: PathBuf| {
        // Only version 1 lets a thread enter alone, which is far quicker.
        let tasks = folder.join("tasks");
        if tasks.exists() { tasks } else { folder.join("cgroup.procs") }
    };
    folders(vm).into_iter().filter(made).map(door).collect()
}

/// Removes the VM's groups once nothing is in them.
pub fn remove(vm: Uid) {
    for folder in folders(vm) {
        // A process that has just ended may hold it a moment longer; what is left is empty and harmless.
        let _ = std::fs::remove_dir(folder);
    }
}
