//! OVA packages: a tar of the descriptor first, then the disks, and at the end the manifest with the digest of each, so that
//! a package is written in one pass (DSP0243, 5.3 and 5.1).

pub mod index;
pub mod manifest;

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

const BLOCK: usize = 512;
/// What the size field of ustar can say; larger ones are written in base 256, as GNU tar and everybody else does.
const OCTAL_MAX: u64 = 0o777_7777_7777;

/// Writes a package into `W`. Invariant: every file has the length that was announced, or the package fails.
pub struct Package<W: Write> {
    to: W,
    manifest: String,
    modified_s: u64,
}

impl<W: Write> Package<W> {
    /// `modified_s` is when the files were made, in seconds since 1970.
    pub fn new(to: W, modified_s: u64) -> Self {
        Self { to, manifest: String::new(), modified_s }
    }

    /// Adds a file of `length` bytes.
    pub fn file(&mut self, name: &str, length: u64, content: &mut dyn Read) -> io::Result<()> {
        let mut digest = Sha256::new();
        self.entry(name, length, content, |bytes| digest.update(bytes))?;
        let hexadecimal: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        self.manifest.push_str(&format!("SHA256({name})= {hexadecimal}\n"));
        Ok(())
    }

    fn entry(
        &mut self,
        name: &str,
        length: u64,
        content: &mut dyn Read,
        mut seen: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        self.to.write_all(&header(name, length, self.modified_s)?)?;
        let mut buffer = vec![0; 1 << 20];
        let mut left = length;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let read = content.read(&mut buffer[..wanted])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            seen(&buffer[..read]);
            self.to.write_all(&buffer[..read])?;
            left -= read as u64;
        }
        let surplus = (length % BLOCK as u64) as usize;
        if surplus > 0 {
            self.to.write_all(&[0; BLOCK][surplus..])?;
        }
        Ok(())
    }

    /// Ends the package with its manifest.
    pub fn finish(mut self, manifest_name: &str) -> io::Result<W> {
        let manifest = std::mem::take(&mut self.manifest);
        self.entry(manifest_name, manifest.len() as u64, &mut manifest.as_bytes(), |_| {})?;
        self.to.write_all(&[0; 2 * BLOCK])?;
        Ok(self.to)
    }
}

/// How long a package with files of these lengths is.
pub fn length(files: &[u64]) -> u64 {
    let block = BLOCK as u64;
    files.iter().map(|length| block + length.next_multiple_of(block)).sum::<u64>() + 2 * block
}

/// As [`length`], for named files and the manifest of them.
pub fn length_with_manifest(files: &[(String, u64)]) -> u64 {
    // `SHA256(`, `)= `, 64 digits and the end of the line.
    let manifest = files.iter().map(|(name, _)| name.len() as u64 + 7 + 3 + 64 + 1).sum();
    let all: Vec<u64> = files.iter().map(|(_, length)| *length).chain([manifest]).collect();
    length(&all)
}

fn header(name: &str, length: u64, modified_s: u64) -> io::Result<[u8; BLOCK]> {
    let mut h = [0; BLOCK];
    if name.is_empty() || name.len() > 100 || name.contains('/') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a package has plain names of up to 100 bytes",
        ));
    }
    h[..name.len()].copy_from_slice(name.as_bytes());
    octal(&mut h[100..108], 0o644);
    octal(&mut h[108..116], 0);
    octal(&mut h[116..124], 0);
    if length <= OCTAL_MAX {
        octal(&mut h[124..136], length);
    } else {
        h[124] = 0x80;
        h[128..136].copy_from_slice(&length.to_be_bytes());
    }
    octal(&mut h[136..148], modified_s.min(OCTAL_MAX));
    h[156] = b'0';
    h[257..265].copy_from_slice(b"ustar\x0000");
    h[148..156].fill(b' ');
    let sum: u64 = h.iter().map(|byte| u64::from(*byte)).sum();
    octal(&mut h[148..155], sum);
    Ok(h)
}

/// Digits, and a NUL at the end.
fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let text = format!("{value:0digits$o}");
    field[..digits].copy_from_slice(text.as_bytes());
    field[digits] = 0;
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn tar_reads_what_is_written_and_the_manifest_is_right() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.ova");
        let disk: Vec<u8> = (0..100_000u32).map(|i| i as u8).collect();
        let mut package = Package::new(std::fs::File::create(&path).unwrap(), 1_800_000_000);
        package.file("web.ovf", 5, &mut &b"<ovf>"[..]).unwrap();
        package.file("web-disk1.vmdk", 100_000, &mut disk.as_slice()).unwrap();
        package.finish("web.mf").unwrap();
        let run = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).current_dir(folder.path()).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(run("tar", &["tf", "x.ova"]), "web.ovf\nweb-disk1.vmdk\nweb.mf\n");
        run("tar", &["xf", "x.ova"]);
        assert_eq!(std::fs::read(folder.path().join("web-disk1.vmdk")).unwrap(), disk);
        for line in std::fs::read_to_string(folder.path().join("web.mf")).unwrap().lines() {
            let (name, digest) = line.strip_prefix("SHA256(").unwrap().split_once(")= ").unwrap();
            assert!(run("sha256sum", &[name]).starts_with(digest));
        }
        let manifest = std::fs::metadata(folder.path().join("web.mf")).unwrap().len();
        let written = std::fs::metadata(&path).unwrap().len();
        assert_eq!(written, length(&[5, 100_000, manifest]));
        assert_eq!(
            written,
            length_with_manifest(&[("web.ovf".into(), 5), ("web-disk1.vmdk".into(), 100_000)])
        );
    }

    #[test]
    fn a_file_that_is_shorter_than_said_fails_and_large_ones_have_a_header() {
        let mut package = Package::new(Vec::new(), 0);
        assert!(package.file("a", 10, &mut &b"short"[..]).is_err());
        assert!(header("../x", 1, 0).is_err());
        let h = header("big", 20 << 40, 0).unwrap();
        assert_eq!((h[124], u64::from_be_bytes(h[128..136].try_into().unwrap())), (0x80, 20 << 40));
    }
}
