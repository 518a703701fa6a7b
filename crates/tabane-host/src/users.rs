//! Users that QEMUs run as: one for each VM, so that a guest that breaks out of its QEMU meets a wall.
//!
//! The numbers need no entry in `/etc/passwd`. They lie far above those of people, services and containers.

use std::path::Path;

use tabane_model::Uid;
use tabane_qemu::process::Credentials;

const FIRST: u32 = 1_900_000_000;
const COUNT: u32 = 90_000_000;
/// May read images, and nothing else.
pub const IMAGES_GID: u32 = FIRST - 1;
/// Runs `qemu-img` over foreign files.
pub const CONVERTER_UID: u32 = FIRST - 2;

/// Whether we may give processes other users at all.
pub fn can_switch() -> bool {
    rustix::process::geteuid().is_root()
}

/// The number for a VM, from its identity; `is_taken` tells of others on this host.
pub fn number(uid: Uid, is_taken: impl Fn(u32) -> bool) -> u32 {
    // The random part of a UUID of version 7 is at its end.
    let seed = uid.as_u128() as u64;
    let start = (seed % u64::from(COUNT)) as u32;
    (0..COUNT).map(|i| FIRST + (start + i) % COUNT).find(|n| !is_taken(*n)).unwrap_or(FIRST + start)
}

pub fn credentials(number: u32, kvm: bool) -> Option<Credentials> {
    if !can_switch() {
        return None;
    }
    let mut supplementary_gids = vec![IMAGES_GID];
    if kvm {
        supplementary_gids.extend(group_of(Path::new("/dev/kvm")));
    }
    Some(Credentials { uid: number, gid: number, supplementary_gids })
}

fn group_of(path: &Path) -> Option<u32> {
    std::os::unix::fs::MetadataExt::gid(&std::fs::metadata(path).ok()?).into()
}

/// Gives a file to a user; nothing to do where we cannot switch users.
pub fn give(path: &Path, number: u32, group: u32) -> std::io::Result<()> {
    // A link is given away itself, not what it leads to: the folder may be another's.
    if can_switch() { std::os::unix::fs::lchown(path, Some(number), Some(group)) } else { Ok(()) }
}
