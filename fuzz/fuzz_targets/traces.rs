//! What a stranger may have written as a load trace or an inventory. The first byte says whose form it is to be.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tabane_survey::import::{Form, rehearse};

/// Of queries, so that answers of Prometheus without names of metrics are read, too.
const NAMES: [&str; 4] = ["cpu_busy.json", "cores.json", "mem_used.json", "a.csv"];
const BIN_S: u32 = 300;

fuzz_target!(|input: &[u8]| {
    let Some((first, bytes)) = input.split_first() else { return };
    let form = Form::ALL[usize::from(first & 15) % Form::ALL.len()];
    let name = NAMES[usize::from(first >> 4) % NAMES.len()];
    if let Ok(imported) = rehearse(form, bytes, Path::new(name), BIN_S) {
        assert!(imported.servers > 0);
        assert_eq!(imported.metrics.is_empty(), imported.bins == 0);
    }
});
