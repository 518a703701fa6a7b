//! Images of every format: what is looked at before any program of QEMU sees them.
//!
//! The input is a sparse file, so that the far ends of a large image are within reach of few bytes:
//! size (8 bytes), what its giver says (1), then pieces: sector (4), length (2), content.

#![no_main]

use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};

use libfuzzer_sys::fuzz_target;
use tabane_host::image::inspect::{Format, Stated, VIRTUAL_BYTES_MAX, inspect};

const SECTOR_BYTES: u64 = 512;
const SIZE_MAX: u64 = 1 << 42;

struct Sparse<'a> {
    pieces: Vec<(u64, &'a [u8])>,
    size: u64,
    at: u64,
}

impl Read for Sparse<'_> {
    fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        let length = (to.len() as u64).min(self.size.saturating_sub(self.at)) as usize;
        let to = &mut to[..length];
        to.fill(0);
        for (start, piece) in &self.pieces {
            let from = self.at.max(*start);
            let end = (self.at + length as u64).min(start + piece.len() as u64);
            if from < end {
                let target = &mut to[(from - self.at) as usize..(end - self.at) as usize];
                target.copy_from_slice(&piece[(from - start) as usize..(end - start) as usize]);
            }
        }
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for Sparse<'_> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(Error::from(ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

fn parse(input: &[u8]) -> Option<(Sparse<'_>, Stated)> {
    let (size, rest) = input.split_first_chunk()?;
    let (&stated, mut rest) = rest.split_first()?;
    let size = u64::from_le_bytes(*size) % SIZE_MAX;
    let mut pieces = Vec::new();
    while let Some((sector, after)) = rest.split_first_chunk() {
        let Some((length, after)) = after.split_first_chunk() else { break };
        let length = usize::from(u16::from_le_bytes(*length)).min(after.len());
        let (piece, after) = after.split_at(length);
        pieces.push((u64::from(u32::from_le_bytes(*sector)) * SECTOR_BYTES, piece));
        rest = after;
    }
    let formats =
        [Format::Raw, Format::Qcow2, Format::Vmdk, Format::Vhd, Format::Vhdx, Format::Vdi, Format::Iso];
    let stated = match stated % 16 {
        0 => Stated::RawWhateverItHolds,
        n => formats.get(usize::from(n)).map_or(Stated::Nothing, |format| Stated::Is(*format)),
    };
    Some((Sparse { pieces, size, at: 0 }, stated))
}

fuzz_target!(|input: &[u8]| {
    let Some((file, stated)) = parse(input) else { return };
    let size = file.size;
    match inspect(file, stated) {
        Ok(inspected) => {
            assert!(inspected.virtual_size_bytes <= VIRTUAL_BYTES_MAX);
            assert_eq!(inspected.file_size_bytes, size);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
