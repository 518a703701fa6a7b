//! Archives and journals of metrics, as a crash or a bad disk may leave them.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| tabane_server::metrics_format::parse(input));
