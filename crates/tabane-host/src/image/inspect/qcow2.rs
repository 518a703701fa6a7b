//! qcow2, versions 2 and 3.
//!
//! Source: QEMU, docs/interop/qcow2.txt; the limits are those of its block/qcow2.h.

use super::read::{Fields, Reader, shown};
use super::{Error, Format, Inspected, Result};

const HEADER_BYTES: usize = 112;
const L1_BYTES_MAX: u64 = 32 << 20;
const REFCOUNT_TABLE_BYTES_MAX: u64 = 8 << 20;
const SNAPSHOTS_MAX: u32 = 65_536;
/// Header extensions end by their end mark; a file that has none stops here.
const EXTENSIONS_MAX: usize = 64;

const INCOMPATIBLE_DIRTY: u64 = 1;
const INCOMPATIBLE_CORRUPT: u64 = 1 << 1;
const INCOMPATIBLE_DATA_FILE: u64 = 1 << 2;
const INCOMPATIBLE_COMPRESSION: u64 = 1 << 3;
const INCOMPATIBLE_EXTENDED_L2: u64 = 1 << 4;
const INCOMPATIBLE_KNOWN: u64 = INCOMPATIBLE_DIRTY
    | INCOMPATIBLE_CORRUPT
    | INCOMPATIBLE_DATA_FILE
    | INCOMPATIBLE_COMPRESSION
    | INCOMPATIBLE_EXTENDED_L2;

const EXTENSION_DATA_FILE: u32 = 0x4441_5441;

pub(super) fn begins(head: &[u8]) -> bool {
    head.starts_with(b"QFI\xfb")
}

fn damaged(found: impl Into<String>) -> Error {
    Error::damaged(Format::Qcow2, found)
}

fn refused(found: impl Into<String>, why: &'static str, hint: &str) -> Error {
    Error::Refused { format: Format::Qcow2, found: found.into(), why, hint: hint.to_owned() }
}

pub(super) fn inspect(reader: &mut Reader<'_>) -> Result<Inspected> {
    // Version 2's header has 72 bytes, and the clusters behind it are at least 512.
    let length = HEADER_BYTES.min(reader.head().len());
    if length < 72 {
        return Err(damaged("the header is cut off"));
    }
    let header = reader.head()[..length].to_vec();
    let version = header.be32(4);
    let (incompatible, header_length) = match version {
        2 => (0, 72),
        3 if length >= 104 => (header.be64(72), header.be32(100)),
        3 => return Err(damaged("the header is cut off")),
        1 => {
            let hint = "convert it first: qemu-img convert -f qcow -O qcow2 OLD NEW";
            return Err(refused("is of the first version, qcow", "only qcow2 is taken", hint));
        }
        _ => {
            let why = "only versions 2 and 3 are known";
            return Err(refused(
                format!("is of version {version}"),
                why,
                "convert it to raw where it was made",
            ));
        }
    };
    features(incompatible)?;
    let cluster_bits = header.be32(20);
    if !(9..=21).contains(&cluster_bits) {
        return Err(damaged(format!("clusters of 2^{cluster_bits} bytes")));
    }
    let cluster_bytes = 1u64 << cluster_bits;
    if version == 3
        && (header_length < 104 || u64::from(header_length) > cluster_bytes || header_length % 8 != 0)
    {
        return Err(damaged(format!("a header of {header_length} bytes")));
    }
    references(reader, &header, header_length, cluster_bytes)?;
    tables(reader, &header, version, incompatible, cluster_bytes)?;
    let internal_snapshots = header.be32(60);
    if internal_snapshots > SNAPSHOTS_MAX {
        return Err(damaged(format!("{internal_snapshots} snapshots")));
    }
    Ok(Inspected {
        format: Format::Qcow2,
        variant: if version == 2 { "version 2" } else { "version 3" },
        virtual_size_bytes: header.be64(24),
        file_size_bytes: reader.size_bytes(),
        internal_snapshots,
    })
}

fn features(incompatible: u64) -> Result<()> {
    let unknown = incompatible & !INCOMPATIBLE_KNOWN;
    if unknown != 0 {
        return Err(refused(
            format!("has the unknown incompatible features {unknown:#x}"),
            "it can be read only by a program that knows them",
            "convert it where it was made: qemu-img convert -O qcow2 OLD NEW",
        ));
    }
    if incompatible & INCOMPATIBLE_CORRUPT != 0 {
        return Err(refused(
            "is marked as corrupt",
            "its metadata can no longer be trusted",
            "repair it first, on a copy: qemu-img check -r all FILE",
        ));
    }
    Ok(())
}

/// Whatever lies outside the file, and what cannot be read without a key.
fn references(reader: &mut Reader<'_>, header: &[u8], header_length: u32, cluster_bytes: u64) -> Result<()> {
    let (backing_offset, backing_length) = (header.be64(8), header.be32(16));
    if backing_offset != 0 {
        let name = if (1..=1023).contains(&backing_length) && backing_offset < cluster_bytes {
            shown(&reader.at(
                backing_offset,
                backing_length as usize,
                Format::Qcow2,
                "the backing file's name",
            )?)
        } else {
            "with a name out of bounds".into()
        };
        return Err(refused(
            format!("has the backing file {name:?}"),
            "that file is not part of what was given, and would be read from this host",
            "flatten it first, where its backing file is: qemu-img convert -O qcow2 OLD NEW",
        ));
    }
    if header.be64(72) & INCOMPATIBLE_DATA_FILE != 0 && header.be32(4) == 3 {
        let name = data_file(reader, header_length, cluster_bytes)?;
        return Err(refused(
            format!("has its data in another file{name}"),
            "that file is not part of what was given, and would be read from this host",
            "bring both together first: qemu-img convert -O qcow2 OLD NEW",
        ));
    }
    if header.be32(32) != 0 {
        return Err(refused(
            "is encrypted",
            "it cannot be read without its key",
            "decrypt it first: qemu-img convert with --object secret and without encryption for the target",
        ));
    }
    Ok(())
}

/// The name of the data file, if it is given, for the message.
fn data_file(reader: &mut Reader<'_>, header_length: u32, cluster_bytes: u64) -> Result<String> {
    let mut offset = u64::from(header_length);
    for _ in 0..EXTENSIONS_MAX {
        if offset + 8 > cluster_bytes {
            break;
        }
        let head = reader.at(offset, 8, Format::Qcow2, "a header extension")?;
        let (kind, length) = (head.be32(0), head.be32(4));
        if kind == 0 {
            break;
        }
        if kind == EXTENSION_DATA_FILE && length <= 1023 {
            let name = reader.at(offset + 8, length as usize, Format::Qcow2, "the data file's name")?;
            return Ok(format!(", {:?}", shown(&name)));
        }
        offset += 8 + u64::from(length).next_multiple_of(8);
    }
    Ok(String::new())
}

/// That the tables are where they can be, and no larger than any honest image needs.
fn tables(
    reader: &Reader<'_>,
    header: &[u8],
    version: u32,
    incompatible: u64,
    cluster_bytes: u64,
) -> Result<()> {
    let size_bytes = header.be64(24);
    let file_bytes = reader.size_bytes();
    let (l1_entries, l1_offset) = (u64::from(header.be32(36)), header.be64(40));
    if l1_entries * 8 > L1_BYTES_MAX {
        return Err(damaged(format!("an L1 table of {} bytes", l1_entries * 8)));
    }
    // Each L1 entry stands for one cluster full of L2 entries, each of which stands for one cluster of data. The entries
    // of extended L2 tables have twice the size.
    let entry_bytes = if incompatible & INCOMPATIBLE_EXTENDED_L2 != 0 { 16 } else { 8 };
    let needed = size_bytes.div_ceil(cluster_bytes).div_ceil(cluster_bytes / entry_bytes);
    if l1_entries < needed {
        return Err(damaged(format!("an L1 table of {l1_entries} entries where {needed} are needed")));
    }
    let inside = |offset: u64, length: u64| {
        offset.is_multiple_of(cluster_bytes)
            && offset.checked_add(length).is_some_and(|end| end <= file_bytes)
    };
    if l1_entries > 0 && !inside(l1_offset, l1_entries * 8) {
        return Err(damaged(format!("the L1 table at byte {l1_offset} is not inside the file")));
    }
    let (refcount_offset, refcount_clusters) = (header.be64(48), u64::from(header.be32(56)));
    if refcount_clusters * cluster_bytes > REFCOUNT_TABLE_BYTES_MAX {
        return Err(damaged(format!("a refcount table of {} bytes", refcount_clusters * cluster_bytes)));
    }
    if refcount_clusters == 0 || !inside(refcount_offset, 8) {
        return Err(damaged(format!("the refcount table at byte {refcount_offset} is not inside the file")));
    }
    if version == 3 && header.be32(96) > 6 {
        return Err(damaged(format!("refcounts of 2^{} bits", header.be32(96))));
    }
    Ok(())
}
