//! VMware's vmdk: the sparse formats, which hold their data themselves.
//!
//! A vmdk is described by a text, in a file of its own or inside a sparse file. The text names the files (extents) that
//! hold the data: that is what makes it dangerous.
//!
//! Source: VMware, Virtual Disk Format 5.0.

use super::read::{Fields, Reader, shown};
use super::{Error, Format, Inspected, Result};

const SECTOR_BYTES: u64 = 512;
const DESCRIPTOR_BYTES_MAX: u64 = 1 << 20;
const GRAIN_SECTORS_MAX: u64 = 1 << 16;
const EXPORT: &str = "export the vm as an OVA, or make one file of the disk first: \
                      qemu-img convert -O vmdk -o subformat=streamOptimized OLD.vmdk NEW.vmdk";

pub(super) fn begins(head: &[u8]) -> bool {
    head.starts_with(b"KDMV") || head.starts_with(b"COWD") || sesparse(head) || is_text(head)
}

/// VMware's newer snapshots: 0xcafebabe as a number of 64 bits.
fn sesparse(head: &[u8]) -> bool {
    head.starts_with(&0xcafe_babe_u64.to_le_bytes())
}

fn is_text(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = text[..text.len().min(256)].trim_ascii_start();
    text.len() >= 21 && text[..21].eq_ignore_ascii_case(b"# disk descriptorfile")
}

fn damaged(found: impl Into<String>) -> Error {
    Error::damaged(Format::Vmdk, found)
}

fn refused(found: impl Into<String>, why: &'static str, hint: &str) -> Error {
    Error::Refused { format: Format::Vmdk, found: found.into(), why, hint: hint.to_owned() }
}

pub(super) fn inspect(reader: &mut Reader<'_>) -> Result<Inspected> {
    if is_text(reader.head()) {
        let length = reader.size_bytes().min(DESCRIPTOR_BYTES_MAX) as usize;
        let text = reader.at(0, length, Format::Vmdk, "the descriptor")?;
        let descriptor = Descriptor::parse(&text);
        descriptor.check_parent()?;
        let names: Vec<_> = descriptor.extents.iter().map(|extent| extent.name.clone()).collect();
        return Err(outside(&names));
    }
    if reader.head().starts_with(b"COWD") || sesparse(reader.head()) {
        let why = "it is a snapshot's difference, of no use without the disk below it";
        return Err(refused("is an ESXi sparse disk", why, EXPORT));
    }
    sparse(reader)
}

fn sparse(reader: &mut Reader<'_>) -> Result<Inspected> {
    if reader.head().len() < 512 {
        return Err(damaged("the header is cut off"));
    }
    let header = reader.head()[..512].to_vec();
    let version = header.le32(4);
    if !(1..=3).contains(&version) {
        let why = "only versions 1 to 3 are known";
        return Err(refused(format!("is of version {version}"), why, EXPORT));
    }
    // A transfer as text would have changed these four characters; that is what they are for.
    if header.bytes::<4>(73) != *b"\n \r\n" {
        return Err(damaged("its line ends were changed in a transfer as text"));
    }
    let (capacity, grain) = (header.le64(12), header.le64(20));
    if capacity == 0 {
        let why = "then its data is in other files, which would be read from this host";
        return Err(refused("has no capacity of its own", why, EXPORT));
    }
    if !grain.is_power_of_two() || grain > GRAIN_SECTORS_MAX {
        return Err(damaged(format!("grains of {grain} sectors")));
    }
    let entries = header.le32(44);
    if entries == 0 || entries > 512 {
        return Err(damaged(format!("grain tables of {entries} entries")));
    }
    let virtual_size_bytes = capacity
        .checked_mul(SECTOR_BYTES)
        .ok_or_else(|| damaged(format!("a capacity of {capacity} sectors")))?;
    let compressed = header.le32(8) & (1 << 16) != 0 || header.le16(77) != 0;
    embedded_descriptor(reader, &header)?;
    Ok(Inspected {
        format: Format::Vmdk,
        variant: if compressed { "streamOptimized" } else { "monolithicSparse" },
        virtual_size_bytes,
        file_size_bytes: reader.size_bytes(),
        internal_snapshots: 0,
    })
}

fn embedded_descriptor(reader: &mut Reader<'_>, header: &[u8]) -> Result<()> {
    let (offset, length) = (header.le64(28), header.le64(36));
    if offset == 0 || length == 0 {
        return Ok(());
    }
    let length_bytes = length.checked_mul(SECTOR_BYTES).filter(|bytes| *bytes <= DESCRIPTOR_BYTES_MAX);
    let (Some(offset_bytes), Some(length_bytes)) = (offset.checked_mul(SECTOR_BYTES), length_bytes) else {
        return Err(damaged(format!("a descriptor of {length} sectors at sector {offset}")));
    };
    let text = reader.at(offset_bytes, length_bytes as usize, Format::Vmdk, "the descriptor")?;
    let descriptor = Descriptor::parse(&text);
    descriptor.check_parent()?;
    let kind = descriptor.create_type.to_ascii_lowercase();
    if !matches!(kind.as_str(), "" | "monolithicsparse" | "streamoptimized") {
        let why = "only monolithicSparse and streamOptimized hold their data themselves";
        return Err(refused(format!("is of the kind {:?}", descriptor.create_type), why, EXPORT));
    }
    // The one extent is this file, by a name that it had once. A name with a folder, or a second one, is another file.
    let strange = |extent: &&Extent| {
        extent.name.contains(['/', '\\', ':']) || extent.name.contains("..") || !extent.sparse
    };
    if descriptor.extents.len() > 1 || descriptor.extents.iter().any(|extent| strange(&extent)) {
        let names: Vec<_> = descriptor.extents.iter().map(|extent| extent.name.clone()).collect();
        return Err(outside(&names));
    }
    Ok(())
}

fn outside(names: &[String]) -> Error {
    let found = match names {
        [] => "is a descriptor without a disk".to_owned(),
        [one] => format!("keeps its data in another file, {one:?}"),
        [one, ..] => format!("keeps its data in {} other files, {one:?} and so on", names.len()),
    };
    let why = "what it names is not part of what was given, and would be read from this host";
    refused(found, why, EXPORT)
}

struct Extent {
    name: String,
    sparse: bool,
}

#[derive(Default)]
struct Descriptor {
    create_type: String,
    parent: Option<String>,
    extents: Vec<Extent>,
}

impl Descriptor {
    /// Lines are `key=value`, or an extent: access, sectors, kind, "file name", offset. All else is passed over.
    fn parse(bytes: &[u8]) -> Descriptor {
        let mut descriptor = Descriptor::default();
        for line in bytes.split(|byte| matches!(byte, b'\n' | b'\r' | 0)) {
            let line = shown(line.trim_ascii());
            let first = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            if matches!(first.as_str(), "RW" | "RDONLY" | "NOACCESS") {
                let mut words = line.split_whitespace().skip(2);
                let kind = words.next().unwrap_or_default().to_ascii_uppercase();
                let name = line.split('"').nth(1).unwrap_or_default().to_owned();
                descriptor.extents.push(Extent { name, sparse: kind == "SPARSE" });
            } else if let Some((key, value)) = line.split_once('=') {
                let value = value.trim().trim_matches('"');
                match key.trim().to_ascii_lowercase().as_str() {
                    "createtype" => descriptor.create_type = value.to_owned(),
                    "parentcid" if !value.eq_ignore_ascii_case("ffffffff") => {
                        descriptor.parent.get_or_insert_with(|| "without a name".into());
                    }
                    "parentfilenamehint" => descriptor.parent = Some(value.to_owned()),
                    _ => {}
                }
            }
        }
        descriptor
    }

    fn check_parent(&self) -> Result<()> {
        let Some(parent) = &self.parent else { return Ok(()) };
        let why = "it holds only the difference to that disk";
        let hint = "remove the vm's snapshots first, or export it as an OVA";
        Err(refused(format!("has the parent disk {parent:?}"), why, hint))
    }
}
