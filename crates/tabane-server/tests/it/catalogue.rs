//! Every code that server and host can give is in the catalogue.

use std::{collections::BTreeSet, path::Path};

use tabane_model::{CATALOGUE, known_problem};

/// Codes that are not written out: they are made of the status that the HTTP layer gives.
const OF_HTTP: [&str; 3] = ["bad_request", "method_not_allowed", "payload_too_large"];

fn codes(path: &Path, found: &mut BTreeSet<String>) {
    if path.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| codes(&entry.unwrap().path(), found));
        return;
    }
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    // The two errors that become problems; elsewhere a code says that it is one.
    let errors = ["server/src/error.rs", "host/src/error.rs"]
        .iter()
        .any(|end| path.ends_with(format!("tabane-{end}")));
    for line in text.lines().filter(|line| errors || line.contains("code: \"") || line.contains("(Class::")) {
        let literals = line.split('"').skip(1).step_by(2);
        let is_code =
            |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        found.extend(literals.filter(is_code).map(String::from));
    }
}

#[test]
fn every_code_of_the_sources_is_in_the_catalogue_and_the_other_way() {
    let crates = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("..");
    let mut found = BTreeSet::from(OF_HTTP.map(String::from));
    for name in ["tabane-model", "tabane-server", "tabane-host"] {
        codes(&crates.join(name).join("src"), &mut found);
    }
    let unknown: Vec<_> = found.iter().filter(|code| known_problem(code).is_none()).collect();
    assert!(unknown.is_empty(), "add them to tabane-model/src/catalogue.rs: {unknown:?}");
    let gone: Vec<_> = CATALOGUE.iter().filter(|known| !found.contains(known.code)).collect();
    assert!(gone.is_empty(), "nobody gives them: {gone:?}");
}
