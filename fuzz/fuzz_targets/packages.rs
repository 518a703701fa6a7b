//! What a stranger may have put into a package: its archive, its descriptor, its manifest.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use tabane_convert::{
    ova::{index, manifest::Manifest},
    ovf,
};

fuzz_target!(|input: &[u8]| {
    if let Ok(entries) = index::index(&mut Cursor::new(input), input.len() as u64) {
        for entry in entries {
            assert!(entry.offset + entry.length <= input.len() as u64);
            assert!(!entry.name.contains('/') && entry.name != ".." && !entry.name.is_empty());
        }
    }
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = Manifest::parse(text);
        if let Ok(machine) = ovf::machine(text, None) {
            for disk in machine.disks {
                assert!(disk.file.is_none_or(|file| !file.contains('/') && file != ".."));
            }
        }
    }
});
