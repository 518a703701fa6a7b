//! Bounded reading of a hostile file.

use std::io::{Read, Seek, SeekFrom};

use super::{Error, Format, Result};

/// How much of the beginning is kept at hand: enough for every magic number, also ISO 9660's at 32 KiB.
const HEAD_BYTES: u64 = 64 << 10;

trait File: Read + Seek {}
impl<T: Read + Seek> File for T {}

pub(super) struct Reader<'a> {
    file: Box<dyn File + 'a>,
    head: Vec<u8>,
    size_bytes: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a mut (impl Read + Seek)) -> Result<Reader<'a>> {
        let size_bytes = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(0))?;
        let mut head = Vec::new();
        file.by_ref().take(HEAD_BYTES).read_to_end(&mut head)?;
        Ok(Reader { file: Box::new(file), head, size_bytes })
    }

    /// The file's beginning, as far as there is one.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// `length` bytes, a number of ours, from anywhere. `what` is told when the file ends before them.
    pub(super) fn at(&mut self, offset: u64, length: usize, format: Format, what: &str) -> Result<Vec<u8>> {
        let end = offset.checked_add(length as u64);
        if end.is_none_or(|end| end > self.size_bytes) {
            let size_bytes = self.size_bytes;
            let found = format!(
                "{what} at byte {offset} is beyond the end of the file, which has {size_bytes} bytes"
            );
            return Err(Error::damaged(format, found));
        }
        self.file.seek(SeekFrom::Start(offset))?;
        let mut bytes = vec![0; length];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Numbers at fixed places of a header. A header that is too short reads as zeros: the callers check lengths first, and a
/// mistake there must not be a panic.
pub(super) trait Fields {
    fn bytes<const N: usize>(&self, offset: usize) -> [u8; N];

    fn be32(&self, offset: usize) -> u32 {
        u32::from_be_bytes(self.bytes(offset))
    }
    fn be64(&self, offset: usize) -> u64 {
        u64::from_be_bytes(self.bytes(offset))
    }
    fn le16(&self, offset: usize) -> u16 {
        u16::from_le_bytes(self.bytes(offset))
    }
    fn le32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.bytes(offset))
    }
    fn le64(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.bytes(offset))
    }
}

impl Fields for [u8] {
    fn bytes<const N: usize>(&self, offset: usize) -> [u8; N] {
        self.get(offset..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }
}

/// A name from the file, fit to be shown: bounded, and without control characters.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
