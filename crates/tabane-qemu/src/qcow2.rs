//! New qcow2 files, written without a tool: a clone is a header, so it should cost one small write.
//!
//! ```text
//!   cluster 0        header, extensions, name of the backing file
//!   cluster 1        refcount table
//!   cluster 2        refcount block: clusters 0 … n are used
//!   cluster 3 … n    L1 table, all zero: everything is read from the backing file, or is zero
//! ```
//!
//! Format: QEMU's `docs/interop/qcow2.txt`, version 3. Invariant: the file is complete and on disk, or not there.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

const MAGIC: [u8; 4] = *b"QFI\xfb";
const CLUSTER_BITS: u32 = 16;
const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// What one entry of the L1 table covers: one L2 table of 8,192 clusters.
const L1_ENTRY_BYTES: u64 = CLUSTER * (CLUSTER / 8);
/// The format allows 1,023.
const BACKING_NAME_BYTES_MAX: usize = 1023;
const SIZE_BYTES_MAX: u64 = 64 << 40;
const EXTENSION_BACKING_FORMAT: u32 = 0xe279_2aca;
const HEADER_BYTES: u32 = 112;

/// Makes a qcow2 file that shows the `backing` qcow2 file, or zeros. The file must not be there yet.
///
/// Errors: [`Error::File`]; [`Error::Invalid`] for sizes beyond 64 TiB and names that do not fit.
pub fn create(path: &Path, size_bytes: u64, backing: Option<&Path>) -> Result<()> {
    if size_bytes > SIZE_BYTES_MAX || !size_bytes.is_multiple_of(512) {
        return Err(Error::Invalid {
            field: "size_bytes",
            reason: "it is no multiple of 512 up to 64 TiB".into(),
        });
    }
    let name = backing.map_or(&b""[..], |p| p.as_os_str().as_bytes());
    if name.len() > BACKING_NAME_BYTES_MAX || (backing.is_some() && name.first() != Some(&b'/')) {
        return Err(Error::Invalid {
            field: "backing",
            reason: "it is no absolute path of up to 1,023 bytes".into(),
        });
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed("create", path))?;
    let written = write(&file, size_bytes, name).and_then(|()| file.sync_all());
    written.map_err(|source| {
        // Half a file is of no use to anybody.
        let _ = std::fs::remove_file(path);
        Error::File { action: "write", path: path.to_path_buf(), source }
    })
}

fn write(mut file: &File, size_bytes: u64, backing: &[u8]) -> std::io::Result<()> {
    let l1_entries = size_bytes.div_ceil(L1_ENTRY_BYTES).max(1);
    let clusters = 3 + (l1_entries * 8).div_ceil(CLUSTER);
    file.write_all(&header(size_bytes, l1_entries as u32, backing))?;
    file.write_all_at(&(2 * CLUSTER).to_be_bytes(), CLUSTER)?;
    let used: Vec<u8> = (0..clusters).flat_map(|_| 1u16.to_be_bytes()).collect();
    file.write_all_at(&used, 2 * CLUSTER)?;
    file.set_len(clusters * CLUSTER)
}

fn header(size_bytes: u64, l1_entries: u32, backing: &[u8]) -> Vec<u8> {
    let mut h = Vec::with_capacity(256);
    let mut extensions = Vec::new();
    if !backing.is_empty() {
        extensions.extend(EXTENSION_BACKING_FORMAT.to_be_bytes());
        extensions.extend(5u32.to_be_bytes());
        extensions.extend(b"qcow2\0\0\0");
    }
    // The end of the extensions: type and length zero.
    extensions.extend([0; 8]);
    let name_offset = if backing.is_empty() { 0 } else { u64::from(HEADER_BYTES) + extensions.len() as u64 };
    h.extend(MAGIC);
    h.extend(3u32.to_be_bytes());
    h.extend(name_offset.to_be_bytes());
    h.extend((backing.len() as u32).to_be_bytes());
    h.extend(CLUSTER_BITS.to_be_bytes());
    h.extend(size_bytes.to_be_bytes());
    h.extend(0u32.to_be_bytes()); // not encrypted
    h.extend(l1_entries.to_be_bytes());
    h.extend((3 * CLUSTER).to_be_bytes());
    h.extend(CLUSTER.to_be_bytes());
    h.extend(1u32.to_be_bytes()); // clusters of the refcount table
    h.extend(0u32.to_be_bytes()); // snapshots
    h.extend(0u64.to_be_bytes());
    h.extend([0; 24]); // incompatible, compatible and autoclear features
    h.extend(4u32.to_be_bytes()); // refcounts of 16 bits
    h.extend(HEADER_BYTES.to_be_bytes());
    h.extend([0; 8]); // compressed clusters are deflate, as always
    h.extend(extensions);
    h.extend(backing);
    h
}

/// The size that a guest sees of a qcow2 file of ours.
pub fn virtual_size(path: &Path) -> Result<u64> {
    let mut head = [0; 32];
    File::open(path).and_then(|mut file| file.read_exact(&mut head)).map_err(failed("read", path))?;
    if head[..4] != MAGIC {
        return Err(Error::Invalid { field: "disk", reason: format!("{} is no qcow2 file", path.display()) });
    }
    Ok(u64::from_be_bytes(head[24..32].try_into().expect("eight bytes")))
}

/// What a qcow2 file of ours says that it stands on.
///
/// Errors: [`Error::File`]; [`Error::Invalid`].
pub fn backing(path: &Path) -> Result<Option<PathBuf>> {
    let wrong = |reason: &str| Error::Invalid { field: "disk", reason: reason.into() };
    let file = File::open(path).map_err(failed("open", path))?;
    let mut head = [0; 20];
    file.read_exact_at(&mut head, 0).map_err(failed("read", path))?;
    if head[..4] != MAGIC {
        return Err(wrong("it is no qcow2 file"));
    }
    let at = u64::from_be_bytes(head[8..16].try_into().expect("eight bytes"));
    let length = u32::from_be_bytes(head[16..20].try_into().expect("four bytes")) as usize;
    if at == 0 || length == 0 {
        return Ok(None);
    }
    if length > BACKING_NAME_BYTES_MAX {
        return Err(wrong("the name of what it stands on is too long"));
    }
    let mut name = vec![0; length];
    file.read_exact_at(&mut name, at).map_err(failed("read", path))?;
    Ok(Some(PathBuf::from(std::ffi::OsString::from_vec(name))))
}

/// Lets a file that came from elsewhere stand on `backing`, or on nothing. Nobody may be using it.
///
/// Its content is foreign: what is not as the format demands, or names a data file of its own, is refused.
///
/// Errors: [`Error::File`]; [`Error::Invalid`].
pub fn set_backing(path: &Path, backing: Option<&Path>) -> Result<()> {
    const EXTERNAL_DATA_FILE: u64 = 1 << 2;
    const HEAD_BYTES_MAX: u64 = 2 << 20;
    let wrong = |reason: &str| Error::Invalid { field: "disk", reason: reason.into() };
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed("open", path))?;
    let mut h = [0; HEADER_BYTES as usize];
    file.read_exact_at(&mut h, 0).map_err(failed("read", path))?;
    let long = |at: usize| u64::from_be_bytes(h[at..at + 8].try_into().expect("eight bytes"));
    let word = |at: usize| u32::from_be_bytes(h[at..at + 4].try_into().expect("four bytes"));
    let cluster_bits = word(20);
    if h[..4] != MAGIC || word(4) != 3 || !(9..=21).contains(&cluster_bits) || word(100) < 104 {
        return Err(wrong("it is no qcow2 file of version 3"));
    }
    if long(72) & EXTERNAL_DATA_FILE != 0 {
        return Err(wrong("it keeps its data in another file"));
    }
    let Some(backing) = backing else {
        return file.write_all_at(&[0; 12], 8).and_then(|()| file.sync_all()).map_err(failed("write", path));
    };
    let name = backing.as_os_str().as_bytes();
    let (at, cluster) = (long(8), (1u64 << cluster_bits).min(HEAD_BYTES_MAX));
    // The name comes last in the first cluster, so there is room for a longer one behind it.
    let fits = at >= word(100).into() && at < cluster && name.len() as u64 <= cluster - at;
    if !fits || name.len() > BACKING_NAME_BYTES_MAX || name.first() != Some(&b'/') {
        return Err(wrong("the name of what it stands on has no room in its header"));
    }
    let written = file
        .write_all_at(name, at)
        .and_then(|()| file.write_all_at(&(name.len() as u32).to_be_bytes(), 16))
        .and_then(|()| file.sync_all());
    written.map_err(failed("write", path))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::File { action, path, source }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn qemu_img(arguments: &[&str]) -> String {
        let output = Command::new("qemu-img").args(arguments).output().expect("qemu-img is installed");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}");
        text
    }

    #[test]
    fn qemu_img_finds_nothing_wrong_with_any_size() {
        let folder = tempfile::tempdir().unwrap();
        for (i, size) in [512, 1 << 20, (512 << 20) + 512, 10 << 30, 64 << 40].into_iter().enumerate() {
            let path = folder.path().join(format!("{i}.qcow2"));
            create(&path, size, None).unwrap();
            assert_eq!(virtual_size(&path).unwrap(), size);
            let told = qemu_img(&["check", "-f", "qcow2", path.to_str().unwrap()]);
            assert!(told.contains("No errors"), "{told}");
            let info = qemu_img(&["info", "-f", "qcow2", "--output=json", path.to_str().unwrap()]);
            assert!(info.contains(&format!("\"virtual-size\": {size}")), "{info}");
        }
        assert!(create(&folder.path().join("x"), 100, None).is_err());
        assert!(create(&folder.path().join("x"), 512, Some(Path::new("relative"))).is_err());
        assert!(create(&folder.path().join("0.qcow2"), 512, None).is_err(), "an existing file stays");
    }

    #[test]
    fn a_clone_shows_what_it_stands_on_and_takes_writes() {
        let folder = tempfile::tempdir().unwrap();
        let (raw, base, clone) =
            (folder.path().join("raw"), folder.path().join("base"), folder.path().join("clone"));
        let content: Vec<u8> = (0..3 << 20).map(|i: u32| (i / 1000) as u8).collect();
        std::fs::write(&raw, &content).unwrap();
        let text = |p: &Path| p.to_str().unwrap().to_owned();
        qemu_img(&["convert", "-f", "raw", "-O", "qcow2", &text(&raw), &text(&base)]);
        create(&clone, 4 << 20, Some(&base)).unwrap();
        let back = folder.path().join("back");
        qemu_img(&["convert", "-f", "qcow2", "-O", "raw", &text(&clone), &text(&back)]);
        let seen = std::fs::read(&back).unwrap();
        assert_eq!(seen[..content.len()], content);
        assert!(seen[content.len()..].iter().all(|b| *b == 0));
        // The same under another name, which is longer.
        let moved = folder.path().join("a-folder-with-a-much-longer-name");
        std::fs::create_dir(&moved).unwrap();
        std::fs::rename(&base, moved.join("base")).unwrap();
        set_backing(&clone, Some(&moved.join("base"))).unwrap();
        assert_eq!(backing(&clone).unwrap(), Some(moved.join("base")));
        qemu_img(&["convert", "-f", "qcow2", "-O", "raw", &text(&clone), &text(&back)]);
        assert_eq!(std::fs::read(&back).unwrap(), seen);
        let io = Command::new("qemu-io")
            .args(["-f", "qcow2", "-c", "write -P 7 1M 2M", &text(&clone)])
            .output()
            .unwrap();
        assert!(io.status.success());
        assert!(qemu_img(&["check", "-f", "qcow2", &text(&clone)]).contains("No errors"));
        set_backing(&clone, None).unwrap();
        assert_eq!(backing(&clone).unwrap(), None);
        let info = qemu_img(&["info", "--output=json", &text(&clone)]);
        assert!(!info.contains("backing"), "{info}");
    }

    #[test]
    fn a_foreign_header_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        let tampered = |at: usize, bytes: &[u8]| {
            let _ = std::fs::remove_file(&path);
            create(&path, 1 << 20, Some(Path::new("/base"))).unwrap();
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            file.write_all_at(bytes, at as u64).unwrap();
            let before = std::fs::read(&path).unwrap();
            let told = set_backing(&path, Some(Path::new("/elsewhere/base")));
            assert!(told.is_ok() || std::fs::read(&path).unwrap() == before, "half changed");
            told
        };
        tampered(0, b"QFI").unwrap();
        tampered(0, b"XXXX").unwrap_err();
        tampered(4, &2u32.to_be_bytes()).unwrap_err();
        tampered(8, &u64::MAX.to_be_bytes()).unwrap_err();
        tampered(8, &0u64.to_be_bytes()).unwrap_err();
        tampered(8, &(CLUSTER - 3).to_be_bytes()).unwrap_err();
        tampered(20, &63u32.to_be_bytes()).unwrap_err();
        tampered(72, &4u64.to_be_bytes()).unwrap_err();
        std::fs::write(&path, b"QFI\xfb").unwrap();
        set_backing(&path, None).unwrap_err();
    }
}
