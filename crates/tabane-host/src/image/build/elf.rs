//! Which libraries a program needs, and what else its ELF headers tell: nothing is run to find out.
//!
//! Source: System V ABI, chapters 4 and 5, for 64 bits, little endian.

use super::{Error, Result};

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const NAME_BYTES_MAX: usize = 4096;

/// What has to be there for a program or library to be loaded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Names without folder.
    pub libraries: Vec<String>,
    /// The path of the program that loads them.
    pub loader: Option<String>,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_le_bytes(*chunk))
}
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}
fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

fn name_at(bytes: &[u8], at: u64) -> Option<String> {
    let rest = bytes.get(usize::try_from(at).ok()?..)?;
    let end = rest.iter().take(NAME_BYTES_MAX).position(|byte| *byte == 0)?;
    String::from_utf8(rest[..end].to_vec()).ok()
}

struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    length: u64,
}

fn segments(bytes: &[u8]) -> Option<Vec<Segment>> {
    let (table, size, count) = (u64_at(bytes, 32)?, u16_at(bytes, 54)?, u16_at(bytes, 56)?);
    (0..u64::from(count))
        .map(|i| {
            let at = usize::try_from(table.checked_add(i * u64::from(size))?).ok()?;
            Some(Segment {
                kind: u32_at(bytes, at)?,
                offset: u64_at(bytes, at.checked_add(8)?)?,
                address: u64_at(bytes, at.checked_add(16)?)?,
                length: u64_at(bytes, at.checked_add(32)?)?,
            })
        })
        .collect()
}

fn read(bytes: &[u8]) -> Option<Needs> {
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let segments = segments(bytes)?;
    let mut needs = Needs::default();
    if let Some(interpreter) = segments.iter().find(|segment| segment.kind == PT_INTERP) {
        needs.loader = Some(name_at(bytes, interpreter.offset)?);
    }
    // A static program has no dynamic segment, and needs nothing.
    let Some(dynamic) = segments.iter().find(|segment| segment.kind == PT_DYNAMIC) else {
        return Some(needs);
    };
    let mut names = Vec::new();
    let mut strings = None;
    for i in 0..dynamic.length / 16 {
        let at = usize::try_from(dynamic.offset.checked_add(i * 16)?).ok()?;
        match (u64_at(bytes, at)?, u64_at(bytes, at.checked_add(8)?)?) {
            (0, _) => break,
            (DT_NEEDED, value) => names.push(value),
            (DT_STRTAB, value) => strings = Some(value),
            _ => {}
        }
    }
    // The string table is given by its address in memory.
    let address = strings?;
    let holder = segments
        .iter()
        .find(|s| s.kind == PT_LOAD && s.address <= address && address - s.address < s.length)?;
    let table = holder.offset.checked_add(address - holder.address)?;
    needs.libraries =
        names.into_iter().map(|name| name_at(bytes, table.checked_add(name)?)).collect::<Option<_>>()?;
    Some(needs)
}

/// `what` is the file's name, for the message.
pub(super) fn needs(what: &str, bytes: &[u8]) -> Result<Needs> {
    read(bytes).ok_or_else(|| Error::content(what, "it is not a program or library of this machine"))
}

/// The content of a section, in a program, library or kernel module.
pub(super) fn section<'a>(bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, size) = (u64_at(bytes, 40)?, u64::from(u16_at(bytes, 58)?));
    let (count, names) = (u16_at(bytes, 60)?, u64::from(u16_at(bytes, 62)?));
    let header = |i: u64| usize::try_from(table.checked_add(i * size)?).ok();
    let field = |i: u64, at: usize| u64_at(bytes, header(i)?.checked_add(at)?);
    let names_at = field(names, 24)?;
    let found = (0..u64::from(count)).find(|i| {
        let at =
            header(*i).and_then(|at| u32_at(bytes, at)).and_then(|at| names_at.checked_add(u64::from(at)));
        at.and_then(|at| name_at(bytes, at)).is_some_and(|found| found == name)
    })?;
    let (offset, length) =
        (usize::try_from(field(found, 24)?).ok()?, usize::try_from(field(found, 32)?).ok()?);
    bytes.get(offset..offset.checked_add(length)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_this_host_and_noise() {
        let bytes = std::fs::read("/bin/sh").unwrap();
        let needs = needs("sh", &bytes).unwrap();
        assert!(needs.libraries.iter().any(|name| name.starts_with("libc.so")), "{needs:?}");
        let interpreter = section(&bytes, ".interp").unwrap();
        assert_eq!(interpreter.strip_suffix(b"\0").unwrap(), needs.loader.as_deref().unwrap().as_bytes());
        assert!(needs.loader.is_some_and(|loader| loader.contains("ld-linux")));
        for at in (0..4096.min(bytes.len())).step_by(7) {
            let mut bytes = bytes.clone();
            bytes[at..at + 1].fill(0xff);
            let _ = read(&bytes);
            let _ = read(&bytes[..at]);
            let _ = (section(&bytes, ".modinfo"), section(&bytes[..at], ".interp"));
        }
    }
}
