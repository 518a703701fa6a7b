//! VirtualBox's VDI.
//!
//! Source: VirtualBox, VDICore.h; the limits are those of QEMU's block/vdi.c.

use super::read::{Fields, Reader};
use super::{Error, Format, Inspected, Result, vhd};

const SIGNATURE: u32 = 0xbeda_107f;
const HEADER_BYTES: usize = 512;
const BLOCKS_MAX: u32 = 0x1fff_ffff;

pub(super) fn begins(head: &[u8]) -> bool {
    head.le32(64) == SIGNATURE
}

fn damaged(found: impl Into<String>) -> Error {
    Error::damaged(Format::Vdi, found)
}

pub(super) fn inspect(reader: &mut Reader<'_>) -> Result<Inspected> {
    if reader.head().len() < HEADER_BYTES {
        return Err(damaged("the header is cut off"));
    }
    let header = reader.head()[..HEADER_BYTES].to_vec();
    let version = header.le32(68);
    if version != 0x0001_0001 {
        return Err(Error::Refused {
            format: Format::Vdi,
            found: format!("is of version {}.{}", version >> 16, version & 0xffff),
            why: "only version 1.1 is known",
            hint: "convert it first: VBoxManage clonemedium disk OLD.vdi NEW.vdi".into(),
        });
    }
    let kind = header.le32(76);
    let uuid = |offset: usize| header.bytes::<16>(offset) != [0; 16];
    if kind == 4 || kind == 3 || uuid(424) || uuid(440) {
        return Err(vhd::differencing(Format::Vdi));
    }
    let variant = match kind {
        1 => "dynamic",
        2 => "fixed",
        _ => return Err(damaged(format!("the unknown kind {kind}"))),
    };
    let (sector_bytes, size_bytes) = (header.le32(360), header.le64(368));
    let (block_bytes, blocks) = (header.le32(376), header.le32(384));
    if sector_bytes != 512 || block_bytes != 1 << 20 || blocks > BLOCKS_MAX {
        return Err(damaged(format!(
            "{blocks} blocks of {block_bytes} bytes, sectors of {sector_bytes} bytes"
        )));
    }
    if size_bytes > u64::from(blocks) * u64::from(block_bytes) {
        return Err(damaged(format!("a map of {blocks} blocks for a disk of {size_bytes} bytes")));
    }
    let map = u64::from(header.le32(340));
    if map + u64::from(blocks) * 4 > reader.size_bytes() {
        return Err(damaged(format!("the block map at byte {map} is not inside the file")));
    }
    Ok(Inspected {
        format: Format::Vdi,
        variant,
        // Odd sizes exist in old images; a guest sees whole sectors.
        virtual_size_bytes: size_bytes.next_multiple_of(512),
        file_size_bytes: reader.size_bytes(),
        internal_snapshots: 0,
    })
}
