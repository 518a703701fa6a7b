//! Files as text: unpacked, bounded, in whatever encoding spreadsheets write.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
};

use encoding_rs::{Encoding, SHIFT_JIS, UTF_8};
use flate2::read::MultiGzDecoder;

use crate::{Error, Result};

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The content of a file, unpacked if it is gzip, as UTF-8. `limit_bytes` is the most that it may be unpacked.
pub fn read(path: &Path, limit_bytes: u64) -> Result<String> {
    decode(path, read_bytes(path, limit_bytes)?)
}

/// The content of a file, unpacked if it is gzip.
pub(crate) fn read_bytes(path: &Path, limit_bytes: u64) -> Result<Vec<u8>> {
    let failed = |source| Error::Read { file: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(2).read_to_end(&mut head).map_err(failed)?;
    let packed = head == GZIP;
    let whole = std::io::Cursor::new(head).chain(file);
    let mut bytes = Vec::new();
    let most = limit_bytes.saturating_add(1);
    if packed {
        MultiGzDecoder::new(whole).take(most).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        whole.take(most).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() as u64 > limit_bytes {
        return Err(Error::TooLarge { file: path.to_owned(), limit: format!("{} MiB", limit_bytes >> 20) });
    }
    Ok(bytes)
}

/// A mark at the beginning decides; without one it is UTF-8 if it can be, or Shift_JIS, as Japanese spreadsheets write.
pub(crate) fn decode(path: &Path, bytes: Vec<u8>) -> Result<String> {
    let encoding = Encoding::for_bom(&bytes).map_or(UTF_8, |(encoding, _)| encoding);
    if encoding == UTF_8 {
        let mark = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let Err(error) = std::str::from_utf8(&bytes[mark..]) else {
            let mut text = String::from_utf8(bytes).expect("it was looked at");
            text.drain(..mark);
            return Ok(text);
        };
        let (text, _, wrong) = SHIFT_JIS.decode(&bytes);
        return if wrong || mark > 0 {
            Err(Error::Encoding { file: path.to_owned(), offset: mark + error.valid_up_to() })
        } else {
            Ok(text.into_owned())
        };
    }
    let (text, _, wrong) = encoding.decode(&bytes);
    if wrong { Err(Error::Encoding { file: path.to_owned(), offset: 0 }) } else { Ok(text.into_owned()) }
}

/// Writes a file new, syncs it, and gives it its name: there is the old content or the new one, and nothing between.
pub fn replace(path: &Path, text: &str) -> Result<()> {
    let failed = |source| Error::Write { file: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = folder.join(name);
    let mut file = File::create(&new).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&new, path).map_err(failed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// As a string of TOML (1.0.0, basic strings).
pub(crate) fn toml_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => quoted.push_str(&format!("\\u{:04X}", letter as u32)),
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(bytes: &[u8], limit: u64) -> Result<String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        read(file.path(), limit)
    }

    #[test]
    fn encodings_of_spreadsheets_are_understood() {
        let text = "サーバー,1\n";
        assert_eq!(read_back(text.as_bytes(), 100).unwrap(), text);
        assert_eq!(read_back(format!("\u{feff}{text}").as_bytes(), 100).unwrap(), text);
        let mut wide = vec![0xff, 0xfe];
        wide.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
        assert_eq!(read_back(&wide, 100).unwrap(), text);
        let (japanese, ..) = SHIFT_JIS.encode(text);
        assert_eq!(read_back(&japanese, 100).unwrap(), text);
        assert!(matches!(read_back(b"a,\xff\xff\n", 100), Err(Error::Encoding { offset: 2, .. })));
        assert_eq!(read_back(b"", 100).unwrap(), "");
    }

    #[test]
    fn what_unpacks_without_end_is_refused() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&vec![b'0'; 4 << 20]).unwrap();
        let packed = packer.finish().unwrap();
        assert!(packed.len() < 10_000);
        assert!(matches!(read_back(&packed, 1 << 20), Err(Error::TooLarge { .. })));
        assert_eq!(read_back(&packed, 4 << 20).unwrap().len(), 4 << 20);
        assert!(matches!(read_back(&packed[..packed.len() / 2], 4 << 20), Err(Error::Read { .. })));
    }
}
