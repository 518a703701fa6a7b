//! Images as qemu-img makes them, images with something wrong, and noise.

use std::io::Cursor;
use std::process::Command;

use proptest::prelude::*;

use super::*;

fn look(bytes: &[u8]) -> Result<Inspected> {
    inspect(Cursor::new(bytes), Stated::Nothing)
}

/// An image by qemu-img.
fn make(driver: &str, options: &str, size: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let mut command = Command::new("qemu-img");
    command.args(["create", "-q", "-f", driver]);
    if !options.is_empty() {
        command.args(["-o", options]);
    }
    assert!(command.arg(&path).arg(size).status().unwrap().success());
    std::fs::read(&path).unwrap()
}

/// A streamOptimized vmdk, which only a conversion makes.
fn stream_optimized() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (plain, path) = (folder.path().join("plain"), folder.path().join("image"));
    std::fs::write(&plain, vec![7; 3 << 20]).unwrap();
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-O", "vmdk", "-o", "subformat=streamOptimized"]);
    assert!(command.arg(&plain).arg(&path).status().unwrap().success());
    std::fs::read(&path).unwrap()
}

fn samples() -> Vec<(Format, &'static str, Vec<u8>)> {
    vec![
        (Format::Qcow2, "version 3", make("qcow2", "", "3M")),
        (Format::Qcow2, "version 2", make("qcow2", "compat=0.10", "3M")),
        (Format::Qcow2, "version 3", make("qcow2", "cluster_size=2M,extended_l2=on", "3M")),
        (Format::Qcow2, "version 3", make("qcow2", "cluster_size=512,compression_type=zstd", "3M")),
        (Format::Vmdk, "monolithicSparse", make("vmdk", "", "3M")),
        (Format::Vmdk, "streamOptimized", stream_optimized()),
        (Format::Vhd, "dynamic", make("vpc", "force_size=on", "3M")),
        (Format::Vhd, "fixed", make("vpc", "subformat=fixed,force_size=on", "3M")),
        (Format::Vhdx, "dynamic", make("vhdx", "", "3M")),
        (Format::Vhdx, "fixed", make("vhdx", "subformat=fixed", "3M")),
        (Format::Vdi, "dynamic", make("vdi", "", "3M")),
        (Format::Vdi, "fixed", make("vdi", "static=on", "3M")),
        (Format::Iso, "iso 9660", iso(200)),
        (Format::Iso, "udf", udf(vec![0; 200 * 2048], 16)),
        (Format::Iso, "iso 9660 and udf", udf(iso(200), 17)),
        (Format::Raw, "raw", vec![0; 3 << 20]),
    ]
}

/// A volume of so many sectors, as far as its descriptor tells.
fn iso(sectors: u32) -> Vec<u8> {
    let mut bytes = vec![0; 200 * 2048];
    bytes[32 << 10..(32 << 10) + 6].copy_from_slice(b"\x01CD001");
    bytes[(32 << 10) + 80..(32 << 10) + 84].copy_from_slice(&sectors.to_le_bytes());
    bytes[(32 << 10) + 128..(32 << 10) + 130].copy_from_slice(&2048u16.to_le_bytes());
    bytes
}

/// With UDF's volume recognition sequence from a sector on.
fn udf(mut bytes: Vec<u8>, sector: usize) -> Vec<u8> {
    for (place, identifier) in (sector..).zip([b"BEA01", b"NSR03", b"TEA01"]) {
        bytes[place * 2048 + 1..place * 2048 + 6].copy_from_slice(identifier);
    }
    bytes
}

#[test]
fn every_format_is_known_with_its_size() {
    for (format, variant, bytes) in samples() {
        for stated in [Stated::Nothing, Stated::Is(format)] {
            let found = inspect(Cursor::new(&bytes), stated).unwrap();
            let size_bytes = if format == Format::Iso { 200 * 2048 } else { 3 << 20 };
            assert_eq!((found.format, found.variant), (format, variant));
            assert_eq!((found.virtual_size_bytes, found.file_size_bytes), (size_bytes, bytes.len() as u64));
        }
    }
}

#[test]
fn a_statement_that_is_wrong_is_refused_and_raw_is_not_guessed_over_a_magic() {
    for (format, _, bytes) in samples() {
        for stated in
            [Format::Raw, Format::Qcow2, Format::Vmdk, Format::Vhd, Format::Vhdx, Format::Vdi, Format::Iso]
        {
            let found = inspect(Cursor::new(&bytes), Stated::Is(stated));
            let right = stated == format || (stated == Format::Raw && format == Format::Iso);
            assert_eq!(found.is_ok(), right, "{format} stated as {stated}: {found:?}");
            if let Err(error) = found {
                assert!(!error.hint().is_empty());
            }
        }
        let whole = bytes.len().is_multiple_of(512);
        let found = inspect(Cursor::new(&bytes), Stated::RawWhateverItHolds);
        assert_eq!(found.is_ok(), whole);
        if let Ok(found) = found {
            assert_eq!((found.format, found.virtual_size_bytes), (Format::Raw, bytes.len() as u64));
        }
    }
}

/// The message and the hint of a refusal.
fn refusal(bytes: &[u8]) -> String {
    let error = look(bytes).expect_err("it is refused");
    format!("{error} ({})", error.hint())
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn changed(bytes: &[u8], at: usize, value: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    put(&mut bytes, at, value);
    bytes
}

#[test]
fn qcow2_refusals() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        assert!(Command::new("qemu-img").args(arguments).current_dir(&folder).status().unwrap().success());
    };
    run(&["create", "-q", "-f", "qcow2", "base", "1M"]);
    run(&["create", "-q", "-f", "qcow2", "-b", "base", "-F", "qcow2", "overlay"]);
    run(&["create", "-q", "-f", "qcow2", "-o", "data_file=secret.raw", "data", "1M"]);
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let text = refusal(&read("overlay"));
    assert!(text.contains("backing file \"base\"") && text.contains("flatten it first"), "{text}");
    let text = refusal(&read("data"));
    assert!(text.contains("another file, \"secret.raw\""), "{text}");

    let good = read("base");
    for (at, value, expected) in [
        (7, vec![9], "version 9"),
        (7, vec![1], "qcow"),
        (79, vec![0x20], "unknown incompatible features 0x20"),
        (79, vec![2], "corrupt"),
        (35, vec![2], "encrypted"),
        (23, vec![8], "clusters of 2^8"),
        (23, vec![22], "clusters of 2^22"),
        (24, (65u64 << 40).to_be_bytes().to_vec(), "an L1 table of"),
        (36, u32::MAX.to_be_bytes().to_vec(), "L1 table of 34359738360"),
        (40, (1u64 << 40).to_be_bytes().to_vec(), "not inside"),
        (40, u64::MAX.to_be_bytes().to_vec(), "not inside"),
        (48, 3u64.to_be_bytes().to_vec(), "not inside"),
        (56, u32::MAX.to_be_bytes().to_vec(), "refcount table of"),
        (60, u32::MAX.to_be_bytes().to_vec(), "snapshots"),
        (96, 7u32.to_be_bytes().to_vec(), "refcounts of 2^7"),
        (100, 3u32.to_be_bytes().to_vec(), "a header of 3"),
        (24, 0u64.to_be_bytes().to_vec(), "no size"),
    ] {
        let text = refusal(&changed(&good, at, &value));
        assert!(text.contains(expected), "{expected}: {text}");
    }
    // A disk of more than 64 TiB with all the L1 entries that it needs.
    let mut large = make("qcow2", "cluster_size=2M", "1M");
    put(&mut large, 24, &(65u64 << 40).to_be_bytes());
    put(&mut large, 36, &200u32.to_be_bytes());
    large.resize(large.len() + (2 << 20), 0);
    assert!(refusal(&large).contains("64 TiB"));
    assert!(look(&changed(&good, 79, &[1])).is_ok(), "dirty can be read");
}

#[test]
fn vmdk_refusals() {
    let good = make("vmdk", "", "3M");
    assert!(refusal(&changed(&good, 12, &[0; 8])).contains("no capacity"));
    assert!(refusal(&changed(&good, 73, b"\n\n\n\n")).contains("transfer as text"));
    assert!(refusal(&changed(&good, 20, &[3])).contains("grains of 3"));
    assert!(refusal(&changed(&good, 36, &u64::MAX.to_le_bytes())).contains("descriptor"));
    assert!(refusal(&changed(&good, 12, &u64::MAX.to_le_bytes())).contains("capacity"));
    // The descriptor inside begins at sector 1.
    let text = |text: &str| changed(&changed(&good, 512, &[0; 1024]), 512, text.as_bytes());
    for (descriptor, expected) in [
        ("createType=\"monolithicSparse\"\nRW 1 SPARSE \"/etc/passwd\"", "\"/etc/passwd\""),
        ("createType=\"monolithicSparse\"\nRW 1 SPARSE \"..\\x\"", "another file"),
        ("createType=\"monolithicSparse\"\nRW 1 FLAT \"x\" 0", "another file"),
        ("RW 1 SPARSE \"a\"\nrw 1 sparse \"b\"", "2 other files"),
        ("createType=\"twoGbMaxExtentSparse\"\nRW 1 SPARSE \"a\"", "twoGbMaxExtentSparse"),
        ("parentCID=12345678\nRW 1 SPARSE \"a\"", "parent disk"),
        ("parentFileNameHint=\"/base.vmdk\"\nRW 1 SPARSE \"a\"", "/base.vmdk"),
    ] {
        let found = refusal(&text(descriptor));
        assert!(found.contains(expected), "{descriptor}: {found}");
    }
    assert!(look(&text("createType=\"monolithicSparse\"\nRW 1 SPARSE \"was renamed.vmdk\"")).is_ok());
    for name in ["disk-flat.vmdk", "/etc/shadow", "../../other.vmdk", "nbd:127.0.0.1:1"] {
        let descriptor = format!("\n# Disk DescriptorFile\r\nversion=1\r\nRW 2048 FLAT \"{name}\" 0\r\n");
        let found = refusal(descriptor.as_bytes());
        assert!(found.contains(name) && found.contains("OVA"), "{found}");
    }
    assert!(refusal(b"# Disk DescriptorFile\n").contains("without a disk"));
    assert!(refusal(&[b"COWD".as_slice(), &[0; 2044]].concat()).contains("ESXi sparse"));
    assert!(refusal(&[&0xcafe_babe_u64.to_le_bytes()[..], &[0; 2044]].concat()).contains("ESXi sparse"));
}

fn vhd_sum(bytes: &mut [u8], at: usize) {
    bytes[at..at + 4].fill(0);
    let sum = !bytes.iter().fold(0u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
    put(bytes, at, &sum.to_be_bytes());
}

#[test]
fn vhd_refusals() {
    let good = make("vpc", "force_size=on", "3M");
    let footer = good.len() - 512;
    // One sound footer is enough.
    assert!(look(&changed(&good, footer + 100, &[1])).is_ok());
    assert!(look(&good[..footer]).is_ok());
    assert!(refusal(&changed(&changed(&good, footer + 100, &[1]), 100, &[1])).contains("checksum"));
    let with = |at: usize, value: &[u8]| {
        let mut bytes = changed(&good, footer + at, value);
        vhd_sum(&mut bytes[footer..], 64);
        bytes
    };
    assert!(refusal(&with(60, &4u32.to_be_bytes())).contains("differencing"));
    assert!(refusal(&with(60, &9u32.to_be_bytes())).contains("kind 9"));
    assert!(refusal(&with(48, &(65u64 << 40).to_be_bytes())).contains("blocks"));
    assert!(refusal(&with(16, &u64::MAX.to_be_bytes())).contains("beyond the end"));
    let header = |at: usize, value: &[u8]| {
        let mut bytes = changed(&good, 512 + at, value);
        vhd_sum(&mut bytes[512..1536], 36);
        bytes
    };
    assert!(refusal(&header(28, &u32::MAX.to_be_bytes())).contains("blocks"));
    assert!(refusal(&header(32, &3u32.to_be_bytes())).contains("blocks of 3 bytes"));
    assert!(refusal(&header(16, &u64::MAX.to_be_bytes())).contains("not inside"));
    assert!(refusal(&header(40, &[1])).contains("differencing"));
    let fixed = make("vpc", "subformat=fixed,force_size=on", "3M");
    assert!(refusal(&fixed[512..]).contains("with room for"));
}

#[test]
fn vhdx_refusals() {
    let good = make("vhdx", "", "3M");
    let crc = |bytes: &[u8]| {
        bytes.iter().enumerate().fold(!0u32, |crc, (i, byte)| {
            let byte = if (4..8).contains(&i) { 0 } else { *byte };
            (0..8)
                .fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
        })
    };
    let header = |at: usize, value: &[u8]| {
        let mut bytes = good.clone();
        for start in [64 << 10, 128 << 10] {
            put(&mut bytes, start + at, value);
            let sum = !crc(&bytes[start..start + 4096]);
            put(&mut bytes, start + 4, &sum.to_le_bytes());
        }
        bytes
    };
    assert!(look(&changed(&good, (64 << 10) + 3000, &[1])).is_ok(), "one sound header is enough");
    let both = changed(&changed(&good, (64 << 10) + 3000, &[1]), (128 << 10) + 3000, &[1]);
    assert!(refusal(&both).contains("neither header"));
    assert!(refusal(&header(66, &[2])).contains("version 2"));
    assert!(refusal(&header(48, &[1])).contains("log is not empty"));
    let tables = changed(&changed(&good, (192 << 10) + 3000, &[1]), (256 << 10) + 3000, &[1]);
    assert!(refusal(&tables).contains("neither region table"));
    let metadata = good.windows(8).position(|window| window == b"metadata").unwrap();
    let parameters = metadata + (64 << 10);
    assert!(refusal(&changed(&good, parameters + 4, &[2])).contains("differencing"));
    assert!(refusal(&changed(&good, metadata + 10, &[0xff, 0xff])).contains("65535 items"));
    assert!(refusal(&changed(&good, metadata + 32, &[0xff; 16])).contains("unknown required item"));
    assert!(refusal(&good[..100 << 10]).contains("beyond the end"));
}

#[test]
fn vdi_and_iso_refusals() {
    let good = make("vdi", "", "3M");
    assert!(refusal(&changed(&good, 76, &[4])).contains("differencing"));
    assert!(refusal(&changed(&good, 440, &[4])).contains("differencing"));
    assert!(refusal(&changed(&good, 68, &[4])).contains("version"));
    assert!(refusal(&changed(&good, 368, &[0xff; 8])).contains("a map of"));
    assert!(refusal(&changed(&good, 340, &[0xff; 4])).contains("not inside"));
    assert!(refusal(&changed(&good, 384, &[0xff; 4])).contains("blocks"));
    assert!(refusal(&iso(2_000_000)).contains("ends after"));
    assert!(look(&iso(200 + 150)).is_ok());
    // A sequence that names no file system, or none that was begun, is none.
    for bytes in [
        changed(&udf(vec![0; 200 * 2048], 16), 17 * 2048 + 1, b"XXXXX"),
        changed(&udf(vec![0; 200 * 2048], 16), 16 * 2048 + 1, b"CD001"),
    ] {
        assert_eq!(look(&bytes).unwrap().format, Format::Raw);
    }
}

#[test]
fn what_is_no_image_is_told_as_what_it_is() {
    let padded = |magic: &[u8]| [magic, &[0u8; 1024]].concat()[..1024].to_vec();
    assert!(refusal(&padded(b"\x1f\x8b\x08")).contains("gunzip"));
    assert!(refusal(&padded(b"\xfd7zXZ\0")).contains("unxz"));
    assert!(refusal(&padded(b"<!DOCTYPE html>")).contains("web page"));
    let mut tar = vec![0; 1024];
    put(&mut tar, 257, b"ustar");
    assert!(refusal(&tar).contains("OVA"));
    assert!(refusal(b"").contains("empty"));
    assert!(refusal(&[0; 1000]).contains("1000 bytes"));
    let error = inspect(Cursor::new(padded(b"PK\x03\x04")), Stated::Is(Format::Qcow2)).unwrap_err();
    assert!(matches!(error, Error::NotAnImage { .. }), "{error:?}");
    assert!(inspect(Cursor::new(padded(b"PK\x03\x04")), Stated::RawWhateverItHolds).is_ok());
}

/// Magic numbers, so that noise gets past the first look.
const BEGINNINGS: &[&[u8]] = &[
    b"QFI\xfb\0\0\0\x02",
    b"QFI\xfb\0\0\0\x03",
    b"KDMV\x01\0\0\0",
    b"# Disk DescriptorFile\n",
    b"COWD",
    b"conectix",
    b"vhdxfile",
    b"",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_never_a_panic(
        which in 0..BEGINNINGS.len(),
        noise in prop::collection::vec(any::<u8>(), 0..3000),
        tail in any::<bool>(),
    ) {
        let mut bytes = BEGINNINGS[which].to_vec();
        bytes.extend(noise);
        if tail {
            bytes.extend(b"conectix");
            bytes.extend([0; 504]);
        }
        let _ = look(&bytes);
        let _ = inspect(Cursor::new(&bytes), Stated::Is(Format::Vmdk));
    }

    #[test]
    fn text_descriptors_are_always_refused(text in "\\PC{0,200}") {
        let file = format!("# Disk DescriptorFile\n{text}");
        prop_assert!(look(file.as_bytes()).is_err());
    }
}

#[test]
fn mutated_images_are_never_a_panic_and_never_claim_too_much() {
    use proptest::test_runner::{Config, TestRunner};
    for (format, _, bytes) in samples() {
        let whole = bytes.len();
        // Where the headers are: most changes there, some anywhere.
        let position = prop_oneof![8 => 0..whole.min(1024), 4 => 0..whole.min(400 << 10), 1 => 0..whole];
        let change = (position, prop_oneof![any::<u8>(), Just(0), Just(0xff), Just(1)], 1..9usize);
        let strategy = (prop::collection::vec(change, 1..6), prop::option::weighted(0.2, 0..whole));
        let mut runner =
            TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
        runner
            .run(&strategy, |(changes, cut)| {
                let mut bytes = bytes.clone();
                for (at, value, length) in changes {
                    let end = (at + length).min(whole);
                    bytes[at..end].fill(value);
                }
                bytes.truncate(cut.unwrap_or(whole));
                match look(&bytes) {
                    Ok(found) => {
                        prop_assert!(
                            found.virtual_size_bytes > 0 && found.virtual_size_bytes <= VIRTUAL_BYTES_MAX
                        );
                        prop_assert!(
                            found.virtual_size_bytes.is_multiple_of(512) || found.format == Format::Qcow2
                        );
                    }
                    Err(error) => prop_assert!(!error.hint().is_empty() && !error.to_string().is_empty()),
                }
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{format}: {error}"));
    }
}
