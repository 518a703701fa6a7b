//! What a package holds and where, without taking anything out of it: the content of a file is a range of the package.
//!
//! Read are ustar (POSIX.1-1988), the extended headers of pax (POSIX.1-2001) for names and sizes, and GNU's long names and
//! binary sizes. A package comes from anywhere, so each field is checked before it is used.

use std::{
    collections::BTreeSet,
    io::{Read, Seek, SeekFrom},
};

use super::BLOCK;
use crate::{Error, Result};

/// A package has a descriptor, a manifest, a certificate, and disks: many less than this.
const ENTRIES_MAX: usize = 1024;
const NAME_BYTES_MAX: usize = 255;
/// Extended headers and long names.
const EXTENSION_BYTES_MAX: u64 = 64 << 10;

/// A file inside the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// A plain name: no folder, no `..`.
    pub name: String,
    /// Of the content, from the beginning of the package.
    pub offset: u64,
    pub length: u64,
}

/// Reads the headers of a package of `package_bytes`, and skips what is between them.
pub fn index(package: &mut (impl Read + Seek), package_bytes: u64) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut names = BTreeSet::new();
    let mut extension = Extension::default();
    let mut at = 0;
    let mut headers = 0;
    while let Some(header) = header_at(package, package_bytes, at)? {
        headers += 1;
        if headers > 4 * ENTRIES_MAX || entries.len() > ENTRIES_MAX {
            return Err(damaged(at, "it has more entries than a package can have"));
        }
        let content = at + BLOCK as u64;
        let length = match extension.length.filter(|_| header.is_file()) {
            Some(length) => length,
            None => header.length.ok_or(damaged(at, "a length is no number"))?,
        };
        let padded = length.checked_next_multiple_of(BLOCK as u64);
        let next = padded.and_then(|padded| content.checked_add(padded));
        if content.checked_add(length).is_none_or(|end| end > package_bytes) {
            return Err(damaged(at, "a file goes beyond the end of the package; was it copied whole?"));
        }
        match header.kind {
            b'0' | 0 | b'7' => {
                let name = plain(extension.name.take().unwrap_or(header.name))?;
                if !names.insert(name.clone()) {
                    return Err(Error::Entry { name, reason: "is there twice" });
                }
                entries.push(Entry { name, offset: content, length });
                extension = Extension::default();
            }
            b'5' => {
                let name = extension.name.take().unwrap_or(header.name);
                if !matches!(name.trim_end_matches('/'), "." | "") {
                    return Err(Error::Entry { name, reason: "is a folder" });
                }
                extension = Extension::default();
            }
            b'x' | b'L' => {
                if length > EXTENSION_BYTES_MAX {
                    return Err(damaged(at, "an extended header is too long"));
                }
                package.seek(SeekFrom::Start(content))?;
                let mut bytes = vec![0; length as usize];
                package.read_exact(&mut bytes)?;
                extension.take_in(header.kind, &bytes).ok_or(damaged(at, "an extended header is damaged"))?;
            }
            // What holds for the whole archive, such as its comment.
            b'g' => {}
            _ => {
                return Err(Error::Entry {
                    name: header.name,
                    reason: "is no plain file (a link or a device, perhaps)",
                });
            }
        }
        at = next.ok_or(damaged(at, "a length is too large"))?;
    }
    Ok(entries)
}

fn damaged(offset: u64, reason: &'static str) -> Error {
    Error::Archive { offset, reason }
}

/// Refuses every name that is more than a name.
pub(crate) fn plain(name: String) -> Result<String> {
    let bare = name.strip_prefix("./").unwrap_or(&name);
    let reason = match bare {
        "" => "has no name",
        "." | ".." => "is a folder",
        b if b.len() > NAME_BYTES_MAX => "has too long a name",
        b if b.contains(['/', '\\']) => "leads into another folder",
        b if b.chars().any(char::is_control) => "has control characters in its name",
        b => return Ok(b.to_owned()),
    };
    Err(Error::Entry { name: name.chars().take(NAME_BYTES_MAX).collect(), reason })
}

struct Header {
    name: String,
    kind: u8,
    length: Option<u64>,
}

impl Header {
    fn is_file(&self) -> bool {
        matches!(self.kind, b'0' | 0 | b'7')
    }
}

/// What an extended header says of the entry behind it.
#[derive(Default)]
struct Extension {
    name: Option<String>,
    length: Option<u64>,
}

impl Extension {
    fn take_in(&mut self, kind: u8, bytes: &[u8]) -> Option<()> {
        if kind == b'L' {
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            self.name = Some(String::from_utf8(bytes[..end].to_vec()).ok()?);
            return Some(());
        }
        // pax: records of `LENGTH KEY=VALUE\n`, where LENGTH counts itself.
        let mut rest = bytes;
        while !rest.is_empty() {
            let space = rest.iter().take(8).position(|byte| *byte == b' ')?;
            let length: usize = std::str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
            let record = rest.get(space + 1..length)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|byte| *byte == b'=')?;
            let value = || std::str::from_utf8(&record[equals + 1..]).ok();
            match &record[..equals] {
                b"path" => self.name = Some(value()?.to_owned()),
                b"size" => self.length = Some(value()?.parse().ok()?),
                _ => {}
            }
            rest = rest.get(length..)?;
        }
        Some(())
    }
}

/// `None` at the end, which is a block of zeros or, as some writers leave it, the end of the file.
fn header_at(package: &mut (impl Read + Seek), package_bytes: u64, at: u64) -> Result<Option<Header>> {
    if at >= package_bytes {
        return if at == 0 { Err(damaged(0, "it is empty")) } else { Ok(None) };
    }
    if package_bytes - at < BLOCK as u64 {
        return Err(damaged(at, "it ends within a header"));
    }
    let mut h = [0; BLOCK];
    package.seek(SeekFrom::Start(at))?;
    package.read_exact(&mut h)?;
    if h.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let mut blanked = h;
    blanked[148..156].fill(b' ');
    let sum: u64 = blanked.iter().map(|byte| u64::from(*byte)).sum();
    if number(&h[148..156]) != Some(sum) {
        let reason =
            if at == 0 { "this is no OVA package (no tar archive)" } else { "a header has a wrong checksum" };
        return Err(damaged(at, reason));
    }
    let text = |field: &[u8]| {
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        std::str::from_utf8(&field[..end]).ok().map(String::from)
    };
    let unreadable = || damaged(at, "a name is not in UTF-8");
    let mut name = text(&h[..100]).ok_or_else(unreadable)?;
    // GNU's own form has other things where ustar has the beginning of a long name.
    if &h[257..263] == b"ustar\0" && h[345] != 0 {
        name = format!("{}/{name}", text(&h[345..500]).ok_or_else(unreadable)?);
    }
    Ok(Some(Header { name, kind: h[156], length: number(&h[124..136]) }))
}

/// Octal digits, or GNU's base 256.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let (high, low) = field.split_at(field.len().saturating_sub(8));
        let fits = high.iter().enumerate().all(|(i, byte)| *byte == if i == 0 { 0x80 } else { 0 });
        return fits.then(|| low.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
    }
    let digits = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

#[cfg(test)]
mod tests {
    use std::{io::Cursor, process::Command};

    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Entry>> {
        index(&mut Cursor::new(bytes), bytes.len() as u64)
    }

    /// What GNU tar writes of the files that `make` leaves in a folder.
    fn tar(arguments: &[&str], make: impl Fn(&std::path::Path)) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path());
        let out = Command::new("tar")
            .args(["-C", folder.path().to_str().unwrap(), "-cf", "-"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    }

    #[test]
    fn every_form_of_tar_is_read_and_the_content_is_where_it_says() {
        let long = format!("{}.vmdk", "d".repeat(150));
        for form in ["ustar", "gnu", "pax"] {
            let name = if form == "ustar" { "disk.vmdk" } else { &long };
            let bytes = tar(&["--format", form, "x.ovf", name], |folder| {
                std::fs::write(folder.join("x.ovf"), "descriptor").unwrap();
                std::fs::write(folder.join(name), vec![7; 1000]).unwrap();
            });
            let entries = read(&bytes).unwrap();
            assert_eq!(entries.len(), 2, "{form}");
            assert_eq!((entries[1].name.as_str(), entries[1].length), (name, 1000), "{form}");
            let content = &bytes[entries[1].offset as usize..][..1000];
            assert!(content.iter().all(|byte| *byte == 7), "{form}");
        }
    }

    #[test]
    fn what_leads_out_of_the_package_is_refused() {
        let file = |folder: &std::path::Path| std::fs::write(folder.join("x"), "x").unwrap();
        for name in ["../x", "/etc/passwd", "a/b", "..", "a\\b", "a\nb"] {
            let rename = format!("--transform=s|^x$|{}|", name.replace('\\', "\\\\").replace('\n', "\\n"));
            let bytes = tar(&["-P", &rename, "x"], file);
            assert!(matches!(read(&bytes), Err(Error::Entry { .. })), "{name:?}: {:?}", read(&bytes));
        }
        let link = tar(&["x"], |folder| std::os::unix::fs::symlink("/etc/shadow", folder.join("x")).unwrap());
        assert!(matches!(read(&link), Err(Error::Entry { .. })));
        let twice = tar(&["x", "x", "--hard-dereference"], file);
        assert!(read(&twice).unwrap_err().to_string().contains("is there twice"));
        let folder = tar(&["a"], |folder| std::fs::create_dir(folder.join("a")).unwrap());
        assert!(matches!(read(&folder), Err(Error::Entry { .. })));
    }

    #[test]
    fn what_is_cut_short_or_damaged_is_told() {
        let bytes = tar(&["x"], |folder| std::fs::write(folder.join("x"), vec![1; 5000]).unwrap());
        assert!(read(&bytes).is_ok());
        assert!(read(&bytes[..3000]).unwrap_err().to_string().contains("beyond the end"));
        assert!(read(&bytes[..100]).unwrap_err().to_string().contains("ends within a header"));
        assert!(read(b"").unwrap_err().to_string().contains("empty"));
        let mut flipped = bytes.clone();
        flipped[3] ^= 1;
        assert!(read(&flipped).unwrap_err().to_string().contains("no OVA package"));
    }

    proptest::proptest! {
        #[test]
        fn no_archive_makes_it_panic_or_point_outside(
            noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600),
            at in 0usize..512,
        ) {
            let mut package = super::super::Package::new(Vec::new(), 0);
            package.file("x.ovf", 700, &mut &[7; 700][..]).unwrap();
            let mut bytes = package.finish("x.mf").unwrap();
            let end = (at + noise.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&noise[..end - at]);
            // With a right checksum, so that the fields behind it are looked at.
            bytes[148..156].fill(b' ');
            let sum: u64 = bytes[..512].iter().map(|byte| u64::from(*byte)).sum();
            bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            let length = bytes.len() as u64;
            for entry in read(&bytes).unwrap_or_default() {
                proptest::prop_assert!(entry.offset + entry.length <= length);
                proptest::prop_assert!(!entry.name.contains('/') && entry.name != "..");
            }
        }
    }
}
