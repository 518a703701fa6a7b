//! Microsoft's VHDX.
//!
//! ```text
//!   0 identifier │ 64 K, 128 K headers │ 192 K, 256 K region tables ──► metadata region ──► size, parameters
//! ```
//!
//! Of the two headers the sound one with the higher sequence number counts; of the region tables any sound one.
//!
//! Source: Microsoft, [MS-VHDX] Virtual Hard Disk v2 (VHDX) File Format.

use super::read::{Fields, Reader};
use super::{Error, Format, Inspected, Result, vhd};

const KIB: u64 = 1 << 10;
const HEADERS: [u64; 2] = [64 * KIB, 128 * KIB];
const HEADER_BYTES: usize = 4 << 10;
const REGION_TABLES: [u64; 2] = [192 * KIB, 256 * KIB];
const TABLE_BYTES: usize = 64 << 10;
const ENTRIES_MAX: u32 = 2047;

/// A GUID as it is stored: its first three fields with their bytes turned around.
const fn guid(a: u32, b: u16, c: u16, d: [u8; 8]) -> [u8; 16] {
    let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
    [a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]]
}

const REGION_BAT: [u8; 16] =
    guid(0x2dc2_7766, 0xf623, 0x4200, [0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08]);
const REGION_METADATA: [u8; 16] =
    guid(0x8b7c_a206, 0x4790, 0x4b9a, [0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e]);

const FILE_PARAMETERS: [u8; 16] =
    guid(0xcaa1_6737, 0xfa36, 0x4d43, [0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b]);
const VIRTUAL_DISK_SIZE: [u8; 16] =
    guid(0x2fa5_4224, 0xcd1b, 0x4876, [0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8]);
const VIRTUAL_DISK_ID: [u8; 16] =
    guid(0xbeca_12ab, 0xb2e6, 0x4523, [0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46]);
const LOGICAL_SECTOR_SIZE: [u8; 16] =
    guid(0x8141_bf1d, 0xa96f, 0x4709, [0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f]);
const PHYSICAL_SECTOR_SIZE: [u8; 16] =
    guid(0xcda3_48c7, 0x445d, 0x4471, [0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56]);
const PARENT_LOCATOR: [u8; 16] =
    guid(0xa8d3_5f2d, 0xb30b, 0x454d, [0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c]);

pub(super) fn begins(head: &[u8]) -> bool {
    head.starts_with(b"vhdxfile")
}

fn damaged(found: impl Into<String>) -> Error {
    Error::damaged(Format::Vhdx, found)
}

fn refused(found: impl Into<String>, why: &'static str, hint: &str) -> Error {
    Error::Refused { format: Format::Vhdx, found: found.into(), why, hint: hint.to_owned() }
}

/// CRC-32C over the bytes, with the checksum's own four taken as zero.
fn checksum(bytes: &[u8], at: usize) -> u32 {
    let mut crc = !0u32;
    for (i, byte) in bytes.iter().enumerate() {
        let byte = if (at..at + 4).contains(&i) { 0 } else { *byte };
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

pub(super) fn inspect(reader: &mut Reader<'_>) -> Result<Inspected> {
    check_header(reader)?;
    let metadata = regions(reader)?;
    let items = Items::read(reader, metadata)?;
    if items.logical_sector_bytes != 512 {
        let why = "only disks with sectors of 512 bytes are supported";
        let hint = "convert it first: Convert-VHD or Set-VHD -PhysicalSectorSizeBytes 512 on a new disk";
        return Err(refused(
            format!("has logical sectors of {} bytes", items.logical_sector_bytes),
            why,
            hint,
        ));
    }
    if !items.block_bytes.is_power_of_two() || !(1 << 20..=256 << 20).contains(&items.block_bytes) {
        return Err(damaged(format!("blocks of {} bytes", items.block_bytes)));
    }
    if !items.virtual_size_bytes.is_multiple_of(512) {
        return Err(damaged(format!("a disk of {} bytes", items.virtual_size_bytes)));
    }
    Ok(Inspected {
        format: Format::Vhdx,
        variant: if items.stays_allocated { "fixed" } else { "dynamic" },
        virtual_size_bytes: items.virtual_size_bytes,
        file_size_bytes: reader.size_bytes(),
        internal_snapshots: 0,
    })
}

fn check_header(reader: &mut Reader<'_>) -> Result<()> {
    let mut current: Option<Vec<u8>> = None;
    for offset in HEADERS {
        let header = reader.at(offset, HEADER_BYTES, Format::Vhdx, "a header")?;
        let sound = header.starts_with(b"head") && header.le32(4) == checksum(&header, 4);
        if sound && current.as_ref().is_none_or(|other| other.le64(8) < header.le64(8)) {
            current = Some(header);
        }
    }
    let header = current.ok_or_else(|| damaged("neither header has a right checksum"))?;
    if header.le16(66) != 1 {
        let why = "only version 1 is known";
        return Err(refused(
            format!("is of version {}", header.le16(66)),
            why,
            "convert it to VHD where it was made",
        ));
    }
    if header.bytes::<16>(48) != [0; 16] {
        let why = "its metadata may be incomplete until the log is replayed";
        let hint =
            "shut the vm down and detach the disk; or replay the log on a copy: qemu-img check -r all FILE";
        return Err(refused("was not closed: its log is not empty", why, hint));
    }
    Ok(())
}

/// Where the metadata region begins.
fn regions(reader: &mut Reader<'_>) -> Result<u64> {
    let mut table = None;
    for offset in REGION_TABLES {
        let bytes = reader.at(offset, TABLE_BYTES, Format::Vhdx, "a region table")?;
        if bytes.starts_with(b"regi") && bytes.le32(4) == checksum(&bytes, 4) {
            table = Some(bytes);
            break;
        }
    }
    let table = table.ok_or_else(|| damaged("neither region table has a right checksum"))?;
    let count = table.le32(8);
    if count > ENTRIES_MAX {
        return Err(damaged(format!("{count} regions")));
    }
    let mut metadata = None;
    for entry in table[16..].chunks_exact(32).take(count as usize) {
        match entry.bytes::<16>(0) {
            REGION_METADATA => metadata = Some(entry.le64(16)),
            REGION_BAT => {}
            _ if entry.le32(28) & 1 != 0 => {
                let why = "it can be read only by a program that knows it";
                return Err(refused(
                    "has an unknown required region",
                    why,
                    "convert it to VHD where it was made",
                ));
            }
            _ => {}
        }
    }
    metadata.ok_or_else(|| damaged("there is no metadata region"))
}

#[derive(Default)]
struct Items {
    virtual_size_bytes: u64,
    block_bytes: u32,
    logical_sector_bytes: u32,
    stays_allocated: bool,
}

impl Items {
    fn read(reader: &mut Reader<'_>, region: u64) -> Result<Items> {
        let table = reader.at(region, TABLE_BYTES, Format::Vhdx, "the metadata table")?;
        if !table.starts_with(b"metadata") {
            return Err(damaged("the metadata region does not begin with its signature"));
        }
        let count = table.le16(10);
        if u32::from(count) > ENTRIES_MAX {
            return Err(damaged(format!("{count} items of metadata")));
        }
        let mut items = Items::default();
        for entry in table[32..].chunks_exact(32).take(usize::from(count)) {
            let offset = region.saturating_add(u64::from(entry.le32(16)));
            let mut value = |length| reader.at(offset, length, Format::Vhdx, "an item of metadata");
            match entry.bytes::<16>(0) {
                FILE_PARAMETERS => {
                    let value = value(8)?;
                    items.block_bytes = value.le32(0);
                    items.stays_allocated = value.le32(4) & 1 != 0;
                    if value.le32(4) & 2 != 0 {
                        return Err(vhd::differencing(Format::Vhdx));
                    }
                }
                VIRTUAL_DISK_SIZE => items.virtual_size_bytes = value(8)?.le64(0),
                LOGICAL_SECTOR_SIZE => items.logical_sector_bytes = value(4)?.le32(0),
                PARENT_LOCATOR => return Err(vhd::differencing(Format::Vhdx)),
                VIRTUAL_DISK_ID | PHYSICAL_SECTOR_SIZE => {}
                _ if entry.le32(24) & 4 != 0 => {
                    let why = "it can be read only by a program that knows it";
                    let hint = "convert it to VHD where it was made";
                    return Err(refused("has an unknown required item of metadata", why, hint));
                }
                _ => {}
            }
        }
        Ok(items)
    }
}
