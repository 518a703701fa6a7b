//! Texts that the API takes: names, sizes, selectors, MACs, and whole objects, and reports of collectors. What is printed parses to the same.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use tabane_model::{
    Disk, Faults, FieldSelector, Image, LabelSelector, Mac, Name, Network, Pool, Resource, Vm, format_bytes, parse_bytes,
    planning::{Collection, CollectionReport},
};

fn object<R: Resource>(text: &[u8]) {
    let Ok(object) = serde_json::from_slice::<R>(text) else { return };
    let written = serde_json::to_vec(&object).expect("objects have string keys");
    let again: R = serde_json::from_slice(&written).expect("what was written is read");
    assert_eq!(serde_json::to_vec(&again).expect("objects have string keys"), written);
}

fn text(text: &str) {
    if let Ok(name) = Name::new(text) {
        assert_eq!(name.as_str(), text);
        assert!(!text.is_empty() && text.len() <= 63 && !text.contains(['/', '.', '\0', ' ']));
    }
    if let Ok(bytes) = parse_bytes(text) {
        assert_eq!(parse_bytes(&bytes.to_string()), Ok(bytes));
        let _ = format_bytes(bytes);
    }
    if let Ok(mac) = text.parse::<Mac>() {
        assert_eq!(mac.to_string().parse(), Ok(mac));
    }
    if let Ok(selector) = text.parse::<LabelSelector>() {
        selector.matches(&BTreeMap::from([("env".into(), "prod".into())]));
    }
    let _ = text.parse::<FieldSelector>();
}

fuzz_target!(|input: &[u8]| {
    if let Ok(input) = std::str::from_utf8(input) {
        text(input);
    }
    object::<Vm>(input);
    object::<Disk>(input);
    object::<Image>(input);
    object::<Network>(input);
    object::<Pool>(input);
    object::<Collection>(input);
    if let Ok(report) = serde_json::from_slice::<CollectionReport>(input) {
        report.validate(&mut Faults::default());
    }
});
