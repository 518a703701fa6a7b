//! ISO 9660: a CD or DVD, which a guest is given as such and never as its disk.
//!
//! Source: ECMA-119, section 8.4, the primary volume descriptor.

use super::read::{Fields, Reader};
use super::{Error, Format, Inspected, Result};

/// The sixteenth sector of 2,048 bytes.
const DESCRIPTOR: usize = 32 << 10;
/// Writers may leave out the last sectors of padding that they counted: 150 of them.
const PADDING_BYTES: u64 = 150 * 2048;

pub(super) fn begins(head: &[u8]) -> bool {
    head.get(DESCRIPTOR..DESCRIPTOR + 6) == Some(b"\x01CD001")
}

pub(super) fn inspect(reader: &mut Reader<'_>) -> Result<Inspected> {
    let head = reader.head();
    let volume_bytes = u64::from(head.le32(DESCRIPTOR + 80)) * u64::from(head.le16(DESCRIPTOR + 128));
    let file_size_bytes = reader.size_bytes();
    if volume_bytes > file_size_bytes + PADDING_BYTES {
        let found = format!("its volume has {volume_bytes} bytes, but the file ends after {file_size_bytes}");
        return Err(Error::damaged(Format::Iso, found));
    }
    Ok(Inspected {
        format: Format::Iso,
        variant: "iso 9660",
        virtual_size_bytes: file_size_bytes.next_multiple_of(512),
        file_size_bytes,
        internal_snapshots: 0,
    })
}
