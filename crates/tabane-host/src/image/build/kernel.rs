//! The kernel itself, out of the compressed form that distributions ship.
//!
//! ```text
//!   bzImage:  boot sector, setup │ protected-mode code … [payload: a compressed vmlinux, its length] …
//! ```
//!
//! QEMU starts an uncompressed vmlinux by its PVH entry, without the decompression, which an emulated processor feels.
//!
//! Source: Linux, Documentation/x86/boot.rst (setup header: payload_offset, payload_length, protocol 2.08).

use super::tool::Tool;
use super::work::Work;
use super::{Error, Result, lz4};

/// The most that a kernel unpacks to.
const VMLINUX_BYTES_MAX: u64 = 512 << 20;

/// The compressed payload of a bzImage.
fn payload(image: &[u8]) -> Option<&[u8]> {
    let u32_at = |at: usize| Some(u32::from_le_bytes(*image.get(at..)?.first_chunk()?) as usize);
    let setup_sectors = match *image.get(0x1f1)? {
        // What it means when it is not given.
        0 => 4,
        sectors => usize::from(sectors),
    };
    let version = u16::from_le_bytes(*image.get(0x206..)?.first_chunk()?);
    if image.get(0x202..0x206)? != b"HdrS" || version < 0x208 {
        return None;
    }
    let begin = ((setup_sectors + 1) * 512).checked_add(u32_at(0x248)?)?;
    image.get(begin..begin.checked_add(u32_at(0x24c)?)?)
}

/// Unpacks the kernel in `image` (a bzImage) to a vmlinux.
pub(super) async fn unpack(work: &Work, image: &[u8]) -> Result<Vec<u8>> {
    let wrong = |detail: &str| Error::content("the kernel", detail);
    let payload = payload(image).ok_or_else(|| wrong("its setup header has no payload"))?;
    // The build appends the unpacked length as four bytes; in gzip it is a part of the format.
    let (packed, length) = payload.split_last_chunk::<4>().ok_or_else(|| wrong("its payload is empty"))?;
    let length = u64::from(u32::from_le_bytes(*length));
    if length > VMLINUX_BYTES_MAX {
        return Err(wrong(&format!("it would unpack to {length} bytes")));
    }
    let vmlinux = match payload {
        payload if payload.starts_with(&lz4::MAGIC) => lz4::unpack(packed, length as usize),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Some(unpack_by(work, Tool::new("xz"), packed).await?),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(unpack_by(work, Tool::new("zstd"), packed).await?),
        [0x1f, 0x8b, ..] => Some(unpack_by(work, Tool::new("gzip"), payload).await?),
        _ => return Err(wrong("its compression is not known")),
    };
    let vmlinux = vmlinux
        .filter(|vmlinux| vmlinux.len() as u64 == length)
        .ok_or_else(|| wrong(&format!("it does not unpack to {length} bytes")))?;
    if !vmlinux.starts_with(b"\x7fELF\x02\x01") {
        return Err(wrong("its payload is not a vmlinux"));
    }
    Ok(vmlinux)
}

async fn unpack_by(work: &Work, tool: Tool<'_>, packed: &[u8]) -> Result<Vec<u8>> {
    let source = work.write("vmlinux.packed", packed)?;
    tool.arg("-dc").stdin(&source)?.into_file(&work.path("vmlinux")).await?;
    work.read("vmlinux")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_found_or_nothing() {
        let mut image = vec![0; 4096];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x206] = 0x0f;
        image[0x207] = 0x02;
        image[0x248] = 16;
        image[0x24c] = 8;
        image[1024 + 16..1024 + 24].copy_from_slice(b"payload!");
        assert_eq!(payload(&image), Some(&b"payload!"[..]));
        image[0x24f] = 0xff;
        assert_eq!(payload(&image), None);
        for length in 0..1024 {
            let _ = payload(&image[..length]);
        }
    }
}
