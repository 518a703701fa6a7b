//! A partition table: GPT with a protective MBR.
//!
//! ```text
//!   0 protective MBR │ 1 header │ 2–33 entries │ partitions … │ entries again │ header again, the last sector
//! ```
//!
//! Source: UEFI Specification 2.10, chapter 5.

use uuid::Uuid;

pub(super) const SECTOR_BYTES: u64 = 512;
const ENTRIES: usize = 128;
const ENTRY_BYTES: usize = 128;
const ENTRY_SECTORS: u64 = (ENTRIES * ENTRY_BYTES) as u64 / SECTOR_BYTES;

/// Kinds of partitions.
pub(super) const BIOS_BOOT: Uuid = Uuid::from_u128(0x21686148_6449_6e6f_744e_656564454649);
pub(super) const EFI_SYSTEM: Uuid = Uuid::from_u128(0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b);
/// The root of an x86-64 system, by the Discoverable Partitions Specification.
pub(super) const ROOT_X86_64: Uuid = Uuid::from_u128(0x4f68bce3_e8cd_4db1_96e7_fbcaf984b709);

pub(super) struct Partition {
    pub kind: Uuid,
    pub id: Uuid,
    pub name: &'static str,
    /// Sectors, the last one included.
    pub first: u64,
    pub last: u64,
}

/// The sectors at the beginning and those at the end of a disk.
pub(super) struct Table {
    pub begin: Vec<u8>,
    pub end: Vec<u8>,
}

/// The last sector that a partition may have.
pub(super) fn last_usable(disk_sectors: u64) -> u64 {
    disk_sectors - ENTRY_SECTORS - 2
}

pub(super) fn table(disk: Uuid, disk_sectors: u64, partitions: &[Partition]) -> Table {
    let mut entries = vec![0; ENTRIES * ENTRY_BYTES];
    for (entry, partition) in entries.chunks_exact_mut(ENTRY_BYTES).zip(partitions) {
        entry[..16].copy_from_slice(&partition.kind.to_bytes_le());
        entry[16..32].copy_from_slice(&partition.id.to_bytes_le());
        entry[32..40].copy_from_slice(&partition.first.to_le_bytes());
        entry[40..48].copy_from_slice(&partition.last.to_le_bytes());
        for (place, unit) in entry[56..].chunks_exact_mut(2).zip(partition.name.encode_utf16()) {
            place.copy_from_slice(&unit.to_le_bytes());
        }
    }
    let last = disk_sectors - 1;
    let header = |own: u64, other: u64, entries_at: u64| {
        let mut header = [0; SECTOR_BYTES as usize];
        header[..8].copy_from_slice(b"EFI PART");
        header[8..12].copy_from_slice(&0x0001_0000u32.to_le_bytes());
        header[12..16].copy_from_slice(&92u32.to_le_bytes());
        header[24..32].copy_from_slice(&own.to_le_bytes());
        header[32..40].copy_from_slice(&other.to_le_bytes());
        header[40..48].copy_from_slice(&(ENTRY_SECTORS + 2).to_le_bytes());
        header[48..56].copy_from_slice(&last_usable(disk_sectors).to_le_bytes());
        header[56..72].copy_from_slice(&disk.to_bytes_le());
        header[72..80].copy_from_slice(&entries_at.to_le_bytes());
        header[80..84].copy_from_slice(&(ENTRIES as u32).to_le_bytes());
        header[84..88].copy_from_slice(&(ENTRY_BYTES as u32).to_le_bytes());
        header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
        let sum = crc32(&header[..92]);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        header
    };
    let mut begin = protective(disk_sectors).to_vec();
    begin.extend(header(1, last, 2));
    begin.extend(&entries);
    let mut end = entries.clone();
    end.extend(header(last, 1, last - ENTRY_SECTORS));
    Table { begin, end }
}

/// One partition over the whole disk, so that what does not know GPT finds no free space.
fn protective(disk_sectors: u64) -> [u8; SECTOR_BYTES as usize] {
    let mut sector = [0; SECTOR_BYTES as usize];
    let length = u32::try_from(disk_sectors - 1).unwrap_or(u32::MAX);
    // Not active; its first and last place in cylinders, heads and sectors as the specification gives them.
    sector[446..454].copy_from_slice(&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff]);
    sector[454..458].copy_from_slice(&1u32.to_le_bytes());
    sector[458..462].copy_from_slice(&length.to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    !crc
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn other_tools_read_the_table() {
        let sectors = 2 << 20;
        let partitions = [
            Partition { kind: BIOS_BOOT, id: Uuid::from_u128(1), name: "bios", first: 2048, last: 4095 },
            Partition {
                kind: ROOT_X86_64,
                id: Uuid::from_u128(2),
                name: "root",
                first: 4096,
                last: last_usable(sectors),
            },
        ];
        let table = table(Uuid::from_u128(3), sectors, &partitions);
        let disk = tempfile::NamedTempFile::new().unwrap();
        disk.as_file().set_len(sectors * SECTOR_BYTES).unwrap();
        disk.as_file().write_all_at(&table.begin, 0).unwrap();
        disk.as_file().write_all_at(&table.end, sectors * SECTOR_BYTES - table.end.len() as u64).unwrap();
        let run = |program: &str, argument: &str| {
            let output = std::process::Command::new(program).arg(argument).arg(disk.path()).output().unwrap();
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
        };
        let verified = run("sgdisk", "--verify");
        assert!(verified.contains("No problems found"), "{verified}");
        let printed = run("sgdisk", "--print");
        assert!(printed.contains("EF02  bios") && printed.contains("8304  root"), "{printed}");
    }
}
