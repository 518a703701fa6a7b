//! LZ4's old frame format, in which kernels are packed: a magic number, then blocks, each with its packed length.
//!
//! Source: lz4, doc/lz4_Frame_format.md ("Legacy frame") and doc/lz4_Block_format.md.

pub(super) const MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
/// What every block but the last unpacks to.
const BLOCK_BYTES: usize = 8 << 20;

/// Unpacks a whole frame to exactly `length` bytes; `None` if it is damaged.
pub(super) fn unpack(frame: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut rest = frame.strip_prefix(&MAGIC)?;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let (size, after) = rest.split_first_chunk::<4>()?;
        let size = u32::from_le_bytes(*size) as usize;
        block(after.get(..size)?, &mut out, length)?;
        rest = &after[size..];
    }
    (out.len() == length).then_some(out)
}

/// A length goes on for as long as its bytes are 255.
fn long(input: &mut &[u8], first: usize) -> Option<usize> {
    let mut length = first;
    if first == 15 {
        loop {
            let (byte, rest) = input.split_first()?;
            *input = rest;
            length += usize::from(*byte);
            if *byte != 255 {
                break;
            }
        }
    }
    Some(length)
}

fn block(mut input: &[u8], out: &mut Vec<u8>, length_max: usize) -> Option<()> {
    let begin = out.len();
    loop {
        let (token, rest) = input.split_first()?;
        input = rest;
        let literals = long(&mut input, usize::from(token >> 4))?;
        out.extend_from_slice(input.get(..literals)?);
        input = &input[literals..];
        let grown = out.len() - begin;
        if out.len() > length_max || grown > BLOCK_BYTES {
            return None;
        }
        // The last sequence has no match.
        if input.is_empty() {
            return Some(());
        }
        let (offset, rest) = input.split_first_chunk::<2>()?;
        input = rest;
        let offset = usize::from(u16::from_le_bytes(*offset));
        let length = long(&mut input, usize::from(token & 15))? + 4;
        // A match reaches back into this block only, and may overlap with what it makes.
        if offset == 0 || offset > grown || out.len() + length > length_max {
            return None;
        }
        let from = out.len() - offset;
        for i in 0..length {
            out.push(out[from + i]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut child = Command::new("lz4")
            .args(["-l", "-9"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let content = content.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&content).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output.stdout
    }

    #[test]
    fn what_lz4_packs_is_unpacked_and_damage_is_no_panic() {
        let content: Vec<u8> = (0..9_000_000u32).map(|i| (i / 5 % 61 * (i / 4096 % 7)) as u8).collect();
        let frame = packed(&content);
        assert!(unpack(&frame, content.len()).unwrap() == content);
        assert!(unpack(&frame, content.len() - 1).is_none() && unpack(&frame, content.len() + 1).is_none());
        let small = packed(&content[..5000]);
        for at in 0..small.len() {
            let mut damaged = small.clone();
            damaged[at] ^= 0xff;
            let _ = unpack(&damaged, 5000);
            assert!(unpack(&small[..at], 5000).is_none());
        }
    }
}
