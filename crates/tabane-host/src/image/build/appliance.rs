//! The appliance: a kernel and a busybox that open the file systems of a guest's disk, so that no host's kernel does.
//!
//! ```text
//!   QEMU without network ──► kernel ──► rc: mount, then steps in the guest's own tree ──► report on ttyS0 ──► off
//! ```

use std::path::Path;

use super::{
    Progress, Report, Result,
    cpio::Archive,
    kernel,
    packages::Packages,
    tiny::{self, BUSYBOX, RELEASE},
    tool,
    work::Work,
};

/// Whenever the scripts change, so does what hosts have built.
pub const VERSION: u32 = 1;
const MODULES: &[&str] = &["virtio_pci", "virtio_blk", "virtio_rng", "ext4", "xfs", "btrfs"];
pub const COMMAND_LINE: &str =
    "quiet panic=-1 mitigations=off nokaslr no_timer_check random.trust_cpu=on audit=0";

/// Builds `kernel` and `initramfs` in an empty folder.
pub async fn build(folder: &Path, report: Report<'_>) -> Result<()> {
    tool::check(tiny::TOOLS)?;
    let work = Work::new(folder)?;
    let step = |step, fraction, detail: &str| report(Progress { step, fraction, detail });
    step("packages", 0.0, "reading the lists");
    let packages = Packages::open(&work, RELEASE).await?;
    let kernel_package = tiny::kernel_package(&packages).await?;
    step("packages", 0.3, &kernel_package);
    let kernel_root = packages.unpack(std::slice::from_ref(&kernel_package), "kernel").await?;
    let root = packages.unpack(&[BUSYBOX.to_owned()], "root").await?;
    step("kernel", 0.7, &kernel_package);
    let version = kernel_package.trim_start_matches("linux-image-");
    let image = work.read(&format!("kernel/boot/vmlinuz-{version}"))?;
    work.write_output("kernel", kernel::unpack(&work, &image).await?)?;
    step("initramfs", 0.9, "");
    let mut archive = Archive::new();
    tiny::folders(&mut archive);
    tiny::busybox(&mut archive, &root).await?;
    tiny::modules(&mut archive, &kernel_root, version, &[("etc/modules", MODULES)])?;
    archive.file("etc/inittab", 0o644, b"::sysinit:/etc/rc\n");
    archive.file("etc/rc", 0o755, include_bytes!("appliance/rc"));
    archive.file("etc/steps", 0o644, include_bytes!("appliance/steps"));
    work.write_output("initramfs", archive.finish())?;
    work.finish()
}
