//! What a VMDK file says of itself.
//!
//! A hosted sparse extent carries the descriptor of the disk that it is all of, and that names it ("Virtual Disk Format
//! 5.0", VMware). qemu-img writes there the name that it was given, which is the number of a handle; readers that follow it
//! find nothing.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{Error, Result};

const SECTOR_BYTES: u64 = 512;
const MAGIC: &[u8; 4] = b"KDMV";
/// Where the header says where the descriptor is, and how long; both in sectors.
const DESCRIPTOR_OFFSET: usize = 28;
const DESCRIPTOR_SIZE: usize = 36;
/// qemu-img reserves 20 sectors.
const DESCRIPTOR_SECTORS_MAX: u64 = 1024;

/// Writes into a VMDK of our own making how its file is called.
///
/// Errors: [`Error::File`]; [`Error::Answer`] if the file is none that qemu-img writes.
pub fn name_extent(path: &Path, name: &str) -> Result<()> {
    let fault = |action| move |source| Error::File { action, path: path.to_owned(), source };
    let wrong = |detail: &str| Error::Answer { path: path.to_owned(), detail: detail.to_owned() };
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(fault("open"))?;
    let mut head = [0; SECTOR_BYTES as usize];
    file.read_exact_at(&mut head, 0).map_err(fault("read"))?;
    let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
    let (offset, sectors) = (number(DESCRIPTOR_OFFSET), number(DESCRIPTOR_SIZE));
    if &head[..4] != MAGIC || offset == 0 || !(1..=DESCRIPTOR_SECTORS_MAX).contains(&sectors) {
        return Err(wrong("the VMDK has no descriptor in it"));
    }
    let mut descriptor = vec![0; (sectors * SECTOR_BYTES) as usize];
    file.read_exact_at(&mut descriptor, offset * SECTOR_BYTES).map_err(fault("read"))?;
    let text = descriptor.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = std::str::from_utf8(text).map_err(|_| wrong("the VMDK's descriptor is no text"))?;
    let mut renamed =
        with_name(text, name).ok_or_else(|| wrong("the VMDK's descriptor names no extent"))?.into_bytes();
    if renamed.len() >= descriptor.len() {
        return Err(wrong("the name is too long for the VMDK's descriptor"));
    }
    renamed.resize(descriptor.len(), 0);
    file.write_all_at(&renamed, offset * SECTOR_BYTES).map_err(fault("write"))?;
    file.sync_all().map_err(fault("sync"))
}

/// The descriptor with another name in its one extent: `RW 2097152 SPARSE "disk.vmdk"`.
fn with_name(descriptor: &str, name: &str) -> Option<String> {
    if name.contains(['"', '\n', '\0']) {
        return None;
    }
    let mut found = false;
    let lines = descriptor.split('\n').map(|line| {
        let is_extent = line.starts_with("RW ") && line.contains(" SPARSE \"");
        match line.split_once('"').filter(|_| is_extent && !found) {
            Some((before, _)) => {
                found = true;
                format!("{before}\"{name}\"")
            }
            None => line.to_owned(),
        }
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    found.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extent_gets_its_name_and_nothing_else_changes() {
        let text =
            "# Disk DescriptorFile\nCID=1\n# Extent description\nRW 2048 SPARSE \"26\"\n\nddb.x = \"1\"\n";
        let expected = text.replace("\"26\"", "\"web-root.vmdk\"");
        assert_eq!(with_name(text, "web-root.vmdk"), Some(expected));
        assert_eq!(with_name(text, "a\"b"), None);
        assert_eq!(with_name("CID=1\n", "a"), None);
    }
}
