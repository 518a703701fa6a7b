//! Microsoft's VHD, fixed and dynamic.
//!
//! ```text
//!   fixed:    data … | footer                 dynamic:  copy of footer | dynamic header | … | footer
//! ```
//!
//! Source: Microsoft, Virtual Hard Disk Image Format Specification, October 2006.

use super::read::{Fields, Reader};
use super::{Error, Format, Inspected, Result};

const FOOTER_BYTES: usize = 512;
const DYNAMIC_HEADER_BYTES: usize = 1024;
/// 64 TiB in blocks of 2 MiB, the usual size, are half of this.
const BLOCKS_MAX: u32 = 1 << 26;

/// At the beginning of a dynamic disk, at the end of every disk.
pub(super) fn present(reader: &mut Reader<'_>) -> Result<bool> {
    Ok(is_footer(reader.head()) || last_sector(reader)?.is_some_and(|footer| is_footer(&footer)))
}

fn is_footer(bytes: &[u8]) -> bool {
    bytes.starts_with(b"conectix")
}

fn last_sector(reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>> {
    let Some(offset) = reader.size_bytes().checked_sub(FOOTER_BYTES as u64) else { return Ok(None) };
    reader.at(offset, FOOTER_BYTES, Format::Vhd, "the footer").map(Some)
}

fn damaged(found: impl Into<String>) -> Error {
    Error::damaged(Format::Vhd, found)
}

/// The complement of the sum of all bytes but those of the checksum.
fn checksum(bytes: &[u8], at: usize) -> u32 {
    let sum = bytes.iter().enumerate().filter(|(i, _)| !(at..at + 4).contains(i));
    !sum.fold(0u32, |sum, (_, byte)| sum.wrapping_add(u32::from(*byte)))
}

fn sound(footer: &[u8]) -> bool {
    is_footer(footer) && footer.be32(64) == checksum(footer, 64)
}

pub(super) fn inspect(reader: &mut Reader<'_>) -> Result<Inspected> {
    let last = last_sector(reader)?.filter(|footer| is_footer(footer));
    let first =
        is_footer(reader.head()).then(|| reader.head()[..FOOTER_BYTES.min(reader.head().len())].to_vec());
    // The one at the end counts; the copy is for when that is lost.
    let footer = match (last, first) {
        (Some(last), _) if sound(&last) => last,
        (_, Some(first)) if first.len() == FOOTER_BYTES && sound(&first) => first,
        _ => return Err(damaged("the footer's checksum is wrong")),
    };
    let (current_bytes, kind) = (footer.be64(48), footer.be32(60));
    if !current_bytes.is_multiple_of(512) {
        return Err(damaged(format!("a disk of {current_bytes} bytes")));
    }
    let variant = match kind {
        2 => fixed(reader, current_bytes)?,
        3 => dynamic(reader, &footer, current_bytes)?,
        4 => return Err(differencing(Format::Vhd)),
        _ => return Err(damaged(format!("the unknown kind {kind}"))),
    };
    Ok(Inspected {
        format: Format::Vhd,
        variant,
        virtual_size_bytes: current_bytes,
        file_size_bytes: reader.size_bytes(),
        internal_snapshots: 0,
    })
}

pub(super) fn differencing(format: Format) -> Error {
    Error::Refused {
        format,
        found: "is a differencing disk".into(),
        why: "it holds only the difference to its parent, which is not part of what was given",
        hint: "merge it with its parent first, or export the vm without its snapshots".into(),
    }
}

fn fixed(reader: &Reader<'_>, current_bytes: u64) -> Result<&'static str> {
    let data_bytes = reader.size_bytes() - FOOTER_BYTES as u64;
    if data_bytes < current_bytes {
        return Err(damaged(format!("a disk of {current_bytes} bytes in a file with room for {data_bytes}")));
    }
    Ok("fixed")
}

fn dynamic(reader: &mut Reader<'_>, footer: &[u8], current_bytes: u64) -> Result<&'static str> {
    let header = reader.at(footer.be64(16), DYNAMIC_HEADER_BYTES, Format::Vhd, "the dynamic header")?;
    if !header.starts_with(b"cxsparse") || header.be32(36) != checksum(&header, 36) {
        return Err(damaged("the dynamic header's checksum is wrong"));
    }
    let (blocks, block_bytes, table) = (header.be32(28), header.be32(32), header.be64(16));
    if !block_bytes.is_power_of_two() || !(512..=256 << 20).contains(&block_bytes) || blocks > BLOCKS_MAX {
        return Err(damaged(format!("{blocks} blocks of {block_bytes} bytes")));
    }
    if u64::from(blocks) * u64::from(block_bytes) < current_bytes {
        return Err(damaged(format!("a table of {blocks} blocks for a disk of {current_bytes} bytes")));
    }
    if table.checked_add(u64::from(blocks) * 4).is_none_or(|end| end > reader.size_bytes()) {
        return Err(damaged(format!("the block table at byte {table} is not inside the file")));
    }
    // Where a parent's name may be kept; a disk without a parent has none.
    if header[40..56] != [0; 16] {
        return Err(differencing(Format::Vhd));
    }
    Ok("dynamic")
}
