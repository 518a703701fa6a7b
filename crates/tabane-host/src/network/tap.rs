//! The end of a nic's cable on the host: a tap device, opened here and handed to QEMU.
//!
//! Invariant: it lives as long as somebody holds its handle. When QEMU ends, however it ends, the tap is gone.

use std::{
    fs::OpenOptions,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
};

use super::tool;
use crate::{Error, Result};

const DEVICE: &str = "/dev/net/tun";

/// Makes a tap of this name in our network namespace. It must not exist.
pub fn open(name: &str) -> Result<OwnedFd> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(DEVICE)
        .map_err(|error| refused("open", &error))?;
    // SAFETY: a structure of plain numbers, for which zeros are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() >= request.ifr_name.len() || bytes.contains(&0) {
        return Err(Error::Tool { tool: "tap".into(), detail: format!("{name:?} is no name of a device") });
    }
    for (to, from) in request.ifr_name.iter_mut().zip(bytes) {
        *to = from.cast_signed() as libc::c_char;
    }
    // Whole Ethernet frames, without a header of the driver's own, but with virtio's, so that guests may leave
    // checksums and segmentation to the host.
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq, which lives on this stack; the handle is our own.
    let answer = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if answer < 0 {
        return Err(refused("make a tap with", &std::io::Error::last_os_error()));
    }
    Ok(file.into())
}

/// A tap that leads nowhere, under a name that the kernel chooses.
pub fn loose() -> Result<OwnedFd> {
    open("tabane%d")
}

fn refused(action: &str, error: &std::io::Error) -> Error {
    let detail = format!("cannot {action} {DEVICE}: {error}");
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
            Error::unfit(detail, "load the kernel's module: `modprobe tun`")
        }
        Some(libc::EPERM | libc::EACCES) => tool::no_rights(detail),
        _ => Error::Tool { tool: "tap".into(), detail },
    }
}
