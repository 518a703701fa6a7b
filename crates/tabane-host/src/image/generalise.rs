//! Taking out of a disk what is one machine's own. The work is done by an appliance, in which the guest's file systems are
//! opened; this host's kernel never sees them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tabane_model::{Generalise, GeneraliseStep, Generalised};
use tabane_qemu::{appliance::Appliance, img::Sandbox};
use tokio::sync::Mutex;

use super::build::appliance::{COMMAND_LINE, VERSION, build};
use crate::{Error, Result, agent::Shared, files, users};

/// Also of a large disk under emulation.
const TIMEOUT: Duration = Duration::from_secs(1800);
const RESULT_LENGTH_MAX: usize = 200;

/// One build of the appliance at a time.
static BUILDING: Mutex<()> = Mutex::const_new(());

/// Runs the steps on a qcow2 that nobody else has open.
pub async fn run(
    shared: &Shared,
    disk: &Path,
    wish: &Generalise,
    told: &(dyn Fn(&str) + Send + Sync),
) -> Result<Vec<Generalised>> {
    let folder = appliance(shared, told).await?;
    told("generalise");
    let steps: Vec<GeneraliseStep> = wish.steps().collect();
    let names: Vec<&str> = steps.iter().map(|step| step.as_str()).collect();
    let appliance = Appliance {
        qemu: shared.installation()?.qemu.path.clone(),
        kernel: folder.join("kernel"),
        initramfs: folder.join("initramfs"),
        command_line: format!(
            "{COMMAND_LINE} tabane.steps={} tabane.users={}",
            names.join(","),
            wish.remove_users.join(",")
        ),
        kvm: shared.verdict.kvm,
    };
    let identity = users::can_switch().then_some((users::CONVERTER_UID, users::CONVERTER_UID));
    users::give(disk, users::CONVERTER_UID, users::CONVERTER_UID).map_err(Error::file("give away", disk))?;
    let size_bytes = tabane_qemu::qcow2::virtual_size(disk)?;
    let sandbox = Sandbox { identity, ..Sandbox::default() };
    let ran = appliance.run(&sandbox, disk, size_bytes, TIMEOUT).await;
    let report = ran.map_err(|error| Error::unfit(crate::error::chain(&error), HINT))?;
    let done = read(&report, &steps).map_err(|reason| Error::unfit(reason, HINT))?;
    std::fs::File::open(disk).and_then(|file| file.sync_all()).map_err(Error::file("sync", disk))?;
    Ok(done)
}

const HINT: &str = "generalise it inside the guest (Windows: sysprep; Linux: `cloud-init clean --machine-id`), shut it \
                    down, and make the template with --no-generalise";

/// The folder of the appliance, which is built when it is needed for the first time.
async fn appliance(shared: &Shared, told: &(dyn Fn(&str) + Send + Sync)) -> Result<PathBuf> {
    let parent = shared.folders.appliances();
    let folder = parent.join(format!("v{VERSION}"));
    let _building = BUILDING.lock().await;
    if folder.exists() {
        return Ok(folder);
    }
    told("appliance");
    // Others, of older versions or cut short, are of no use any more.
    files::remove_folder(&parent)?;
    let fresh = parent.join("fresh");
    files::folder(&parent, 0o711)?;
    files::folder(&fresh, 0o711)?;
    build(&fresh, &|_| {}).await?;
    for name in ["kernel", "initramfs"] {
        let path = fresh.join(name);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o444);
        std::fs::set_permissions(&path, mode).map_err(Error::file("protect", &path))?;
        std::fs::File::open(&path).and_then(|file| file.sync_all()).map_err(Error::file("sync", &path))?;
    }
    files::sync_folder(&fresh)?;
    files::rename(&fresh, &folder)?;
    Ok(folder)
}

/// What the appliance says. It is believed only if every step was done.
fn read(report: &[u8], steps: &[GeneraliseStep]) -> Result<Vec<Generalised>, String> {
    let text = String::from_utf8_lossy(report);
    let mut done = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.trim_end_matches('\r').split('\t').collect();
        match fields.as_slice() {
            ["step", name, result] => {
                let step = name.parse().map_err(|_| format!("it reports a step {name:?}"))?;
                let shown = result.chars().map(|c| if c.is_control() { ' ' } else { c });
                let result: String = shown.take(RESULT_LENGTH_MAX).collect();
                done.push(Generalised { step, result: result.trim().to_owned() });
            }
            ["failed", reason] => {
                let shown = reason.chars().map(|c| if c.is_control() { ' ' } else { c });
                return Err(shown.take(RESULT_LENGTH_MAX).collect());
            }
            ["done"] if done.iter().map(|d| d.step).eq(steps.iter().copied()) => return Ok(done),
            ["done"] => return Err("it did not do all steps".into()),
            _ => {}
        }
    }
    let end: String =
        text.chars().rev().take(RESULT_LENGTH_MAX).collect::<Vec<_>>().into_iter().rev().collect();
    Err(format!("it ended before it was done: {}", end.escape_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_report_of_every_step_is_believed() {
        let steps = [GeneraliseStep::MachineId, GeneraliseStep::Logs];
        let all = b"noise\r\nstep\tmachine-id\temptied\r\nstep\tlogs\t3 \x1b[31mremoved\r\ndone\r\n";
        let done = read(all, &steps).unwrap();
        assert_eq!((done.len(), done[1].result.as_str()), (2, "3  [31mremoved"));
        for (report, reason) in [
            (&b"step\tlogs\tx\ndone\n"[..], "did not do all steps"),
            (b"step\tmachine-id\tx\nstep\tlogs\ty\n", "ended before"),
            (b"failed\tno root file system\n", "no root file system"),
            (b"step\tnonsense\tx\n", "reports a step"),
            (b"", "ended before"),
        ] {
            let error = read(report, &steps).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
