//! How much a guest may ask of its disks.
//!
//! QEMU forgets limits with the process or the device; state.json says which of them hold, and whatever differs from the
//! spec is set anew: before the guest runs, after a disk was plugged in, or while it works.

use tabane_model::{DiskLimits, Name, Vm};
use tabane_qemu::throttle::{self, Limits};

use super::driver::Driver;
use crate::Result;

impl Driver {
    pub(super) async fn limit_disk(&mut self, vm: &Vm, name: &Name) -> Result<()> {
        let Some(disk) = vm.spec.disks.iter().find(|disk| disk.name == *name) else { return Ok(()) };
        throttle::set(self.qmp()?, name.as_str(), limits(&disk.limits)).await?;
        let running = self.running()?;
        if disk.limits.is_none() {
            running.limits.remove(name);
        } else {
            running.limits.insert(name.clone(), disk.limits);
        }
        self.save()
    }
}

fn limits(limits: &DiskLimits) -> Limits {
    Limits {
        iops: limits.iops.unwrap_or_default(),
        read_iops: limits.read_iops.unwrap_or_default(),
        write_iops: limits.write_iops.unwrap_or_default(),
        bytes_per_s: limits.bytes_per_s.unwrap_or_default(),
        read_bytes_per_s: limits.read_bytes_per_s.unwrap_or_default(),
        write_bytes_per_s: limits.write_bytes_per_s.unwrap_or_default(),
    }
}
