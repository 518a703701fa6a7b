//! What files that ship must keep, what the form refuses, and how servers are recognised.

use super::*;
use crate::{Source, licence::Standing};

const SMALL: &str = r#"
as_of = "2026-11-26"
[[support]]
vendor = "Somebody"
product = "Thing"
versions = ["2*"]
hypervisor = "qemu-kvm"
status = "conditional"
condition = "on a Sunday"
match = ["application=*thing*"]
source = [{ title = "t", publisher = "p", standing = "knowledge" }]
"#;

fn shipped() -> Vec<(String, SupportMatrix)> {
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap() + "/../../data/support";
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(&path).unwrap();
            let matrix = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, matrix)
        })
        .collect()
}

fn small(columns: &[(&str, &str)]) -> Vec<VersionTold> {
    let labels = columns.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let server = Source { name: "thing 2".into(), cores: 1, cpu_cap_mhz: 1, mem_cap_mib: 1, labels };
    let matrix: SupportMatrix = toml::from_str(SMALL).unwrap();
    matrix.support[0].recognise(&server).iter().map(|found| found.version).collect()
}

#[test]
fn files_that_ship_are_sound() {
    let all = shipped();
    assert!(!all.is_empty());
    for (name, matrix) in all {
        assert!(matrix.faults().is_empty(), "{name}: {:?}", matrix.faults());
    }
}

/// Nobody says anything of this platform, and nobody is said to support or refuse what he was not read to.
#[test]
fn files_that_ship_put_no_words_into_a_vendors_mouth() {
    for (name, matrix) in shipped() {
        for entry in &matrix.support {
            assert_ne!(entry.hypervisor, TABANE, "{name}: {}", entry.product);
            // The first source is the one that the status stands on.
            let read = entry.source.first().is_some_and(|source| source.standing != Standing::Knowledge);
            let definite = matches!(entry.status, SupportStatus::Supported | SupportStatus::Unsupported);
            assert!(read || !definite, "{name}: {} on {} is of no text", entry.product, entry.hypervisor);
        }
    }
}

#[test]
fn unknown_fields_are_refused_at_every_level() {
    assert!(toml::from_str::<SupportMatrix>(SMALL).unwrap().faults().is_empty());
    for (place, with) in [
        ("as_of =", "colour = \"red\"\nas_of ="),
        ("vendor =", "colour = \"red\"\nvendor ="),
        ("publisher = \"p\"", "publisher = \"p\", colour = 1"),
        ("\"conditional\"", "\"perhaps\""),
        ("\"knowledge\"", "\"rumour\""),
        ("as_of = \"2026-11-26\"", ""),
        ("match = [\"application=*thing*\"]", ""),
    ] {
        let text = SMALL.replacen(place, with, 1);
        assert_ne!(text, SMALL);
        assert!(toml::from_str::<SupportMatrix>(&text).is_err(), "{with}");
    }
}

#[test]
fn what_no_entry_can_mean_is_told() {
    for (place, with) in [
        ("\"Somebody\"", "\" \""),
        ("\"Thing\"", "\"\""),
        ("[\"2*\"]", "[\"\"]"),
        ("\"qemu-kvm\"", "\"\""),
        ("\"qemu-kvm\"", "\"QEMU KVM\""),
        ("condition = \"on a Sunday\"", ""),
        ("\"on a Sunday\"", "\" \""),
        ("[\"application=*thing*\"]", "[]"),
        ("[\"application=*thing*\"]", "[\"\"]"),
        ("[\"application=*thing*\"]", "[\"application=\"]"),
        ("[\"application=*thing*\"]", "[\"=thing\"]"),
        ("[\"application=*thing*\"]", "[\"thing1\"]"),
        ("\"knowledge\"", "\"vendor\""),
        ("[{ title = \"t\", publisher = \"p\", standing = \"knowledge\" }]", "[]"),
    ] {
        let text = SMALL.replacen(place, with, 1);
        assert_ne!(text, SMALL);
        assert!(!toml::from_str::<SupportMatrix>(&text).unwrap().faults().is_empty(), "{with}");
    }
    let twice = SMALL.to_owned() + SMALL.split_once('\n').unwrap().1.split_once('\n').unwrap().1;
    assert!(!toml::from_str::<SupportMatrix>(&twice).unwrap().faults().is_empty());
}

#[test]
fn products_are_recognised_with_their_versions() {
    use VersionTold::{Meant, Nowhere};
    for (columns, expected) in [
        (vec![("application", "Thing 2.1")], vec![Meant]),
        (vec![("Application", "The THING (2.1, 64-bit)")], vec![Meant]),
        (vec![("application", "Thing 3")], vec![]),
        (vec![("application", "Thing")], vec![Nowhere]),
        (vec![("application", "Thing (64-bit)")], vec![Nowhere]),
        (vec![("application", "Thing"), ("application_version", "2.4")], vec![Meant]),
        (vec![("application", "Thing"), ("application_version", "3")], vec![]),
        (vec![("application", "Thing 2"), ("os_version", "3")], vec![Meant]),
        (vec![("Application", "Thing"), ("application_Version", "2.4")], vec![Meant]),
        (vec![("application", "Thing; Apache"), ("application_version", "2.4")], vec![Nowhere]),
        (vec![("application", "Apache 2; Thing 2 ;;thing")], vec![Meant, Nowhere]),
        // What stands beside it in the same column is another thing.
        (vec![("application", "Apache 2; Thing 3")], vec![]),
        (vec![("application", "Apache 2")], vec![]),
        (vec![("os", "Thing 2")], vec![]),
        (vec![], vec![]),
    ] {
        assert_eq!(small(&columns), expected, "{columns:?}");
    }
}

#[test]
fn rules_allow_what_they_say() {
    let allowed = |rule: SupportRule| SupportStatus::ALL.map(|status| rule.allows(status));
    assert_eq!(allowed(SupportRule::default()), [true; 4]);
    assert_eq!(allowed(SupportRule::RequireConditional), [true, true, false, false]);
    assert_eq!(allowed(SupportRule::Require), [true, false, false, false]);
}
