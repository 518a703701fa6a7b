//! Files that are given for raw disks by mistake, told by their beginnings.

use super::read::Reader;
use super::{Error, Result};

struct Kind {
    offset: usize,
    magic: &'static [u8],
    found: &'static str,
    hint: &'static str,
}

const fn kind(offset: usize, magic: &'static [u8], found: &'static str, hint: &'static str) -> Kind {
    Kind { offset, magic, found, hint }
}

const UNPACK: &str = "unpack it first, and give the disk image inside";
const CONVERT: &str = "convert it first: qemu-img convert -O qcow2 OLD NEW";
const DOWNLOAD: &str = "download the image again: what came is a message of the server, open it to read it";

const KINDS: &[Kind] = &[
    kind(0, b"\x1f\x8b", "a gzip archive", "decompress it first: gunzip FILE.gz"),
    kind(0, b"\xfd7zXZ\0", "an xz archive", "decompress it first: unxz FILE.xz"),
    kind(0, b"\x28\xb5\x2f\xfd", "a zstd archive", "decompress it first: unzstd FILE.zst"),
    kind(0, b"BZh", "a bzip2 archive", "decompress it first: bunzip2 FILE.bz2"),
    kind(0, b"PK\x03\x04", "a zip archive", UNPACK),
    kind(0, b"7z\xbc\xaf\x27\x1c", "a 7-zip archive", UNPACK),
    kind(0, b"Rar!\x1a\x07", "a rar archive", UNPACK),
    kind(257, b"ustar", "a tar archive", "if it is an OVA, import it as one; otherwise unpack it first"),
    kind(0, b"QED\0", "a QED image", CONVERT),
    kind(0, b"WithoutFreeSpace", "a Parallels image", CONVERT),
    kind(0, b"WithouFreSpacExt", "a Parallels image", CONVERT),
    kind(0, b"Bochs Virtual HD Image", "a Bochs image", CONVERT),
    kind(0, b"LUKS\xba\xbe", "an encrypted volume", "decrypt it first: its key would be needed to read it"),
    kind(0, b"\x7fELF", "a program", "give a disk image"),
    kind(0, b"<!DOCTYPE", "a web page", DOWNLOAD),
    kind(0, b"<!doctype", "a web page", DOWNLOAD),
    kind(0, b"<html", "a web page", DOWNLOAD),
    kind(0, b"<?xml", "an XML document", "if it is an OVF, import the vm together with its disks"),
];

pub(super) fn refuse(reader: &mut Reader<'_>) -> Result<()> {
    let head = reader.head();
    let found =
        KINDS.iter().find(|kind| head.get(kind.offset..).is_some_and(|rest| rest.starts_with(kind.magic)));
    match found {
        Some(kind) => Err(Error::NotAnImage { found: kind.found, hint: kind.hint }),
        None => Ok(()),
    }
}
