//! ISO 9660 and UDF: a CD or DVD, which a guest is given as such and never as its disk.
//!
//! ```text
//!   sector 16, 17 …   CD001 (ISO 9660)   or   BEA01, NSR02 or NSR03, TEA01 (UDF)   or both, one behind the other
//! ```
//!
//! Sources: ECMA-119, section 8.4, the primary volume descriptor; ECMA-167, part 2, section 8.3, the volume recognition
//! sequence.

use super::read::{Fields, Reader};
use super::{Error, Format, Inspected, Result};

const SECTOR_BYTES: usize = 2048;
/// The sixteenth sector.
const DESCRIPTOR: usize = 32 << 10;
/// Writers may leave out the last sectors of padding that they counted: 150 of them.
const PADDING_BYTES: u64 = 150 * 2048;

pub(super) fn begins(head: &[u8]) -> bool {
    is_iso(head) || is_udf(head)
}

fn is_iso(head: &[u8]) -> bool {
    head.get(DESCRIPTOR..DESCRIPTOR + 6) == Some(b"\x01CD001")
}

/// Descriptors follow each other from the sixteenth sector on; the first that is none ends the sequence.
fn is_udf(head: &[u8]) -> bool {
    let identifiers = head.get(DESCRIPTOR..).unwrap_or_default().chunks(SECTOR_BYTES);
    let mut extended = false;
    for identifier in identifiers.filter_map(|sector| sector.get(1..6)) {
        match identifier {
            b"BEA01" => extended = true,
            b"NSR02" | b"NSR03" => return extended,
            b"CD001" | b"BOOT2" | b"CDW02" => {}
            _ => return false,
        }
    }
    false
}

pub(super) fn inspect(reader: &mut Reader<'_>) -> Result<Inspected> {
    let head = reader.head();
    let file_size_bytes = reader.size_bytes();
    if is_iso(head) {
        let volume_bytes = u64::from(head.le32(DESCRIPTOR + 80)) * u64::from(head.le16(DESCRIPTOR + 128));
        if volume_bytes > file_size_bytes + PADDING_BYTES {
            let found =
                format!("its volume has {volume_bytes} bytes, but the file ends after {file_size_bytes}");
            return Err(Error::damaged(Format::Iso, found));
        }
    }
    let variant = match (is_iso(head), is_udf(head)) {
        (true, true) => "iso 9660 and udf",
        (true, false) => "iso 9660",
        _ => "udf",
    };
    Ok(Inspected {
        format: Format::Iso,
        variant,
        virtual_size_bytes: file_size_bytes.next_multiple_of(512),
        file_size_bytes,
        internal_snapshots: 0,
    })
}
