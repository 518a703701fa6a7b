//! What catalogues that ship must keep, and what the form refuses.

use super::*;

const SMALL: &str = r#"
as_of = "2026-11-25"
vendor = "somebody"
[[product]]
name = "thing"
[[product.edition]]
name = "per-vm"
metric = { kind = "vms" }
source = [{ title = "t", publisher = "p", standing = "knowledge" }]
"#;

fn shipped() -> Vec<(String, Catalogue)> {
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap() + "/../../data/licences";
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(&path).unwrap();
            let catalogue = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, catalogue)
        })
        .collect()
}

#[test]
fn catalogues_that_ship_are_sound() {
    let all = shipped();
    assert!(!all.is_empty());
    for (name, catalogue) in all {
        assert!(catalogue.faults().is_empty(), "{name}: {:?}", catalogue.faults());
    }
}

#[test]
fn unknown_fields_are_refused_at_every_level() {
    assert!(toml::from_str::<Catalogue>(SMALL).unwrap().faults().is_empty());
    for (place, with) in [
        ("vendor =", "colour = \"red\"\nvendor ="),
        ("name = \"thing\"", "name = \"thing\"\ncolour = 1"),
        ("name = \"per-vm\"", "name = \"per-vm\"\ncolour = 1"),
        ("kind = \"vms\"", "kind = \"vms\", colour = 1"),
        ("publisher = \"p\"", "publisher = \"p\", colour = 1"),
        ("kind = \"vms\"", "kind = \"vm\""),
        ("\"knowledge\"", "\"rumour\""),
    ] {
        let text = SMALL.replace(place, with);
        assert_ne!(text, SMALL);
        assert!(toml::from_str::<Catalogue>(&text).is_err(), "{with}");
    }
}

#[test]
fn what_no_rule_can_mean_is_told() {
    for (place, with) in [
        ("kind = \"vms\"", "kind = \"vms\", vms_per_licence = 0"),
        ("kind = \"vms\"", "kind = \"core_factor\", factors = []"),
        ("kind = \"vms\"", "kind = \"host_cores\", covers = { vms = 0 }"),
        ("kind = \"vms\"", "kind = \"named_users\""),
        ("name = \"per-vm\"", "name = \"per-vm\"\npack = 0"),
        ("\"knowledge\"", "\"vendor\""),
        ("kind = \"vms\"", "kind = \"vms\", vms_per_licence = 4294967295"),
        ("kind = \"vms\"", "kind = \"vm_cores\", cores_per_vm_min = 4294967295"),
        (
            "kind = \"vms\"",
            "kind = \"core_factor\", factors = [{ family = \"x86\", thousandths = 4294967295 }]",
        ),
        ("kind = \"vms\"", "kind = \"named_users\", users_per_host_min = 4294967295"),
        ("name = \"per-vm\"", "name = \"per-vm\"\npack = 4294967295"),
        ("title = \"t\"", "title = \" \""),
        ("source = [{ title = \"t\", publisher = \"p\", standing = \"knowledge\" }]", "source = []"),
    ] {
        let text = SMALL.replace(place, with);
        assert_ne!(text, SMALL);
        assert!(!toml::from_str::<Catalogue>(&text).unwrap().faults().is_empty(), "{with}");
    }
}

#[test]
fn amounts_are_exact_and_strict() {
    for (text, amount) in [("0", 0), ("1176", 11_760_000), ("0.5", 5_000), ("33.58", 335_800), ("0.0001", 1)]
    {
        assert_eq!(text.parse(), Ok(Amount(amount)));
        assert_eq!(Amount(amount).to_string().parse(), Ok(Amount(amount)));
    }
    for text in ["", ".", "1.", ".5", "1,5", "-1", "1e3", "0.00001", " 1", "1844674407370956"] {
        assert!(text.parse::<Amount>().is_err(), "{text}");
    }
}

#[test]
fn own_prices_take_the_place_of_listed_ones() {
    let own = r#"
        [[price]]
        product = "thing"
        edition = "per-vm"
        price = { amount = "12.50", currency = "EUR", term = "year", date = "2026-11-25", source = { title = "offer", publisher = "us", standing = "knowledge" } }
    "#;
    let mut catalogue: Catalogue = toml::from_str(SMALL).unwrap();
    let list: PriceList = toml::from_str(own).unwrap();
    assert!(list.apply(&mut catalogue).is_empty());
    assert_eq!(catalogue.product[0].edition[0].price.as_ref().unwrap().amount, Amount(125_000));
    let list: PriceList = toml::from_str(&own.replace("per-vm", "per-core")).unwrap();
    assert!(!list.apply(&mut catalogue).is_empty());
    let dear = own.replace("12.50", "1000000000.01");
    let faults = toml::from_str::<PriceList>(&dear).unwrap().apply(&mut catalogue);
    assert_eq!((faults.0.len(), faults.0[0].field.as_str()), (1, "price[0].price.amount"));
    let list: PriceList = toml::from_str(&own.replace("EUR", "euro")).unwrap();
    assert!(!list.apply(&mut catalogue).is_empty());
}
