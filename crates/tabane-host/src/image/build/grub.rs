//! GRUB on a disk image, for BIOS and UEFI, without being root and without a loop device.
//!
//! ```text
//!   BIOS:  sector 0 (boot.img) ──► BIOS boot partition (core.img, whose first sector loads the rest)
//!   UEFI:  EFI system partition ──► EFI/BOOT/BOOTX64.EFI (shim) ──► grubx64.efi ──► EFI/debian/grub.cfg
//!            both ──► the file system with the right UUID ──► /boot/grub/grub.cfg
//! ```
//!
//! For UEFI both programs are Debian's signed ones, so the guest starts with Secure Boot as well as without.
//!
//! Source: GRUB, util/setup.c (what `grub-bios-setup` does for a disk with a BIOS boot partition) and
//! include/grub/i386/pc/boot.h (the places in boot.img and in core.img's first sector, diskboot.img).

use std::path::{Path, PathBuf};

use super::gpt::SECTOR_BYTES;
use super::tool::{Needed, Tool};
use super::work::Work;
use super::{Error, Result};

pub(super) const TOOLS: &[Needed] = &[
    ("grub-mkimage", "grub-common"),
    ("../lib/grub/i386-pc/boot.img", "grub-pc-bin"),
    ("mkfs.vfat", "dosfstools"),
    ("mmd", "mtools"),
    ("mcopy", "mtools"),
];

const BOOT_IMAGE: &str = "/usr/lib/grub/i386-pc/boot.img";
const MODULES: &[&str] = &[
    "biosdisk",
    "part_gpt",
    "ext2",
    "normal",
    "linux",
    "search",
    "search_fs_uuid",
    "serial",
    "terminal",
    "configfile",
    "echo",
    "boot",
    "test",
    "halt",
    "reboot",
];

/// GRUB_BOOT_MACHINE_BPB_START and _END: where a file system's parameters would be; kept as they are on the disk.
const PARAMETERS: std::ops::Range<usize> = 0x3..0x5a;
/// GRUB_BOOT_MACHINE_KERNEL_SECTOR: where core.img begins.
const KERNEL_SECTOR: usize = 0x5c;
/// GRUB_BOOT_MACHINE_DRIVE_CHECK: a jump that is taken out for disks that are not floppies.
const DRIVE_CHECK: usize = 0x66;
/// GRUB_BOOT_MACHINE_WINDOWS_NT_MAGIC: the boot program ends here, before the partition table.
const PROGRAM_END: usize = 0x1b8;
/// The first entry of diskboot.img's list of blocks: first sector, number of sectors, segment.
const BLOCK_LIST: usize = 512 - 12;

/// Debian's signed programs, and the packages that they come in.
pub(super) const SIGNED: [&str; 2] = ["shim-signed", "grub-efi-amd64-signed"];
const SHIM: &str = "usr/lib/shim/shimx64.efi.signed";
const GRUB: &str = "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed";

/// The pieces of a boot loader.
pub(super) struct Grub {
    boot: Vec<u8>,
    core: Vec<u8>,
    /// Where to go on: the same for both firmwares.
    early: PathBuf,
}

/// Makes GRUB's pieces, which look for the file system with this UUID.
pub(super) async fn make(work: &Work, root: &str) -> Result<Grub> {
    let early = format!(
        "search --no-floppy --fs-uuid --set=root {root}\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n"
    );
    let early = work.write("grub-early.cfg", early)?;
    let core = work.path("core.img");
    let tool = Tool::new("grub-mkimage").args(["-O", "i386-pc", "-o"]).arg(&core).arg("-c").arg(&early);
    tool.args(["-p", "/boot/grub"]).args(MODULES).run().await?;
    let boot = std::fs::read(BOOT_IMAGE).map_err(Error::file("read", BOOT_IMAGE))?;
    Ok(Grub { boot, core: work.read("core.img")?, early })
}

impl Grub {
    /// Puts the boot program into the first sector of a disk, whose partition table stays, and returns what is to be
    /// written into the BIOS boot partition of `sectors`, which begins at `first`.
    pub(super) fn install(&self, sector: &mut [u8], first: u64, sectors: u64) -> Result<Vec<u8>> {
        let wrong = |detail: &str| Error::content("GRUB", detail);
        if self.boot.len() != SECTOR_BYTES as usize || self.boot.get(510..) != Some(&[0x55, 0xaa]) {
            return Err(wrong("boot.img is not a boot sector"));
        }
        if self.core.len() < 1024 || self.core.len() as u64 > sectors * SECTOR_BYTES {
            return Err(wrong("core.img does not fit into its partition"));
        }
        let mut program = self.boot.clone();
        program[PARAMETERS].copy_from_slice(&sector[PARAMETERS]);
        program[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&first.to_le_bytes());
        program[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&[0x90, 0x90]);
        sector[..PROGRAM_END].copy_from_slice(&program[..PROGRAM_END]);

        // grub-mkimage has filled in how many sectors follow the first one; where they are, only we know.
        let mut core = self.core.clone();
        let rest = u64::from(u16::from_le_bytes([core[BLOCK_LIST + 8], core[BLOCK_LIST + 9]]));
        if rest != (core.len() as u64).div_ceil(SECTOR_BYTES) - 1 {
            return Err(wrong("core.img does not say how long it is"));
        }
        core[BLOCK_LIST..BLOCK_LIST + 8].copy_from_slice(&(first + 1).to_le_bytes());
        Ok(core)
    }

    /// An EFI system partition, made as a file of its own. `signed` is where the packages of [`SIGNED`] are unpacked.
    pub(super) async fn efi_partition(&self, path: &Path, size_bytes: u64, signed: &Path) -> Result<()> {
        let file = std::fs::File::create(path).map_err(Error::file("make", path))?;
        file.set_len(size_bytes).map_err(Error::file("make", path))?;
        drop(file);
        Tool::new("mkfs.vfat").args(["-F", "32", "-s", "1", "-n", "ESP"]).arg(path).run().await?;
        let folders = ["::/EFI", "::/EFI/BOOT", "::/EFI/debian"];
        Tool::new("mmd").arg("-i").arg(path).args(folders).run().await?;
        for (from, to) in [
            (signed.join(SHIM), "::/EFI/BOOT/BOOTX64.EFI"),
            (signed.join(GRUB), "::/EFI/BOOT/grubx64.efi"),
            (self.early.clone(), "::/EFI/debian/grub.cfg"),
        ] {
            Tool::new("mcopy").arg("-i").arg(path).arg(from).arg(to).run().await?;
        }
        Ok(())
    }
}
