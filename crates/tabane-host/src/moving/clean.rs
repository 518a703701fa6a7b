//! What a host removes of VMs that are another's by now.

use crate::{Result, agent::Shared, cgroup, files, vm::State};

/// Removes the files of VMs that this host has let go of and the server has given to another.
///
/// To be called only when the server has said everything. A VM whose move was called off is this host's again, and its
/// driver forgets that it ever let go; a VM that was let go of and is not here any more has arrived.
pub fn clean(shared: &Shared) {
    for state in State::all(&shared.folders.vms()) {
        let ours = shared.objects.vms().iter().any(|vm| vm.meta.uid == state.uid);
        if ours || state.released.is_none() || state.process.is_some() {
            continue;
        }
        match remove(shared, &state) {
            Ok(()) => tracing::info!(vm = %state.name, "removed the files of a VM that has moved away"),
            Err(error) => tracing::warn!(
                vm = %state.name,
                error = error.told(),
                "cannot remove the files of a VM that has moved away"
            ),
        }
    }
}

/// The state goes last: it is what says that the rest may go.
fn remove(shared: &Shared, state: &State) -> Result<()> {
    for disk in state.released.iter().flat_map(|released| &released.disks) {
        crate::disk::remove_files(disk)?;
    }
    let vms = shared.folders.vms();
    files::remove_folder(&State::folder(&vms, state.uid))?;
    files::remove(&State::log(&vms, state.uid))?;
    cgroup::remove(state.uid);
    files::remove(&State::path(&vms, state.uid))?;
    shared.users.lock().expect("no holder of this lock panics").remove(&state.user);
    Ok(())
}
