//! Examples with the numbers that are expected, kept as data: each says whose example it is.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;
use tabane_model::licence::{Amount, Catalogue, Edition, Origin, Product, Standing};

use super::*;

const VECTORS_MIN: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Texts that vectors name.
    source: BTreeMap<String, Origin>,
    vector: Vec<Vector>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    /// `vendor/product/edition`; without an edition, the cheapest is asked for.
    of: String,
    host: HostFacts,
    /// vCPUs of each VM that needs the product.
    #[serde(default)]
    vms: Vec<u32>,
    /// Cores that each VM is bound to by a hard partition.
    #[serde(default)]
    hard: Vec<u32>,
    #[serde(default)]
    may_arrive: bool,
    /// Users of the site, with `total` as what is needed of hosts and site together.
    users: Option<u64>,
    total: Option<u64>,
    contract: Option<u64>,
    /// Unless stated, as the contract.
    policy: Option<u64>,
    packs: Option<u64>,
    /// Of the cheapest choice.
    cost: Option<Amount>,
    /// The choice, where not all editions with a price.
    #[serde(default)]
    among: Vec<String>,
    #[serde(default)]
    refused: bool,
    basis: Basis,
    source: String,
    /// What is different from the source.
    #[serde(default, rename = "note")]
    _note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostFacts {
    sockets: u32,
    /// Unless stated, as there are occupied ones.
    slots: Option<u32>,
    cores: u32,
    #[serde(default = "x86")]
    family: String,
}

fn x86() -> String {
    "x86".into()
}

/// How the expected number is known.
#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
enum Basis {
    /// It stands in the vendor's own text, which was read.
    VendorExample,
    /// It stands in somebody else's text.
    SecondaryExample,
    /// Worked out by hand from the rule.
    Rule,
}

fn data() -> PathBuf {
    PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../data/licences")
}

fn texts(folder: PathBuf) -> Vec<(String, String)> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let read = |path: PathBuf| (path.display().to_string(), std::fs::read_to_string(&path).unwrap());
    paths.into_iter().map(read).collect()
}

pub(super) fn catalogues() -> BTreeMap<String, Catalogue> {
    let read = |(name, text): (String, String)| {
        let catalogue: Catalogue = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        (catalogue.vendor.clone(), catalogue)
    };
    texts(data()).into_iter().map(read).collect()
}

/// Each with the text that it is from.
fn vectors() -> Vec<(Vector, Origin)> {
    let read = |(name, text): (String, String)| {
        let file: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let with_source = |vector: Vector| {
            let source = file.source.get(&vector.source);
            let source = source.unwrap_or_else(|| panic!("{}: no source {}", vector.name, vector.source));
            (vector, source.clone())
        };
        file.vector.into_iter().map(with_source).collect::<Vec<_>>()
    };
    texts(data().join("vectors")).into_iter().flat_map(read).collect()
}

/// What differs from what is expected, in words.
fn judge(vector: &Vector, product: &Product, edition: Option<&Edition>) -> Vec<String> {
    let facts = &vector.host;
    let mut host = Host::new(facts.sockets, facts.cores, &facts.family);
    host.slots = facts.slots.unwrap_or(host.slots);
    let vm = |(at, vcpus): (usize, &u32)| Vm { vcpus: *vcpus, hard_partition: vector.hard.get(at).copied() };
    let vms: Vec<Vm> = vector.vms.iter().enumerate().map(vm).collect();
    let pool = Pool { may_arrive: vector.may_arrive };
    let mut told = Vec::new();
    let mut same = |what: &str, is: String, expected: String| {
        if is != expected {
            told.push(format!("{}: {what} is {is}, expected {expected}", vector.name));
        }
    };
    if let Some(edition) = edition {
        let counts = count(edition, &host, &vms, pool);
        same("refused", counts.is_err().to_string(), vector.refused.to_string());
        let Ok(counts) = counts else { return told };
        if let Some(contract) = vector.contract {
            let policy = vector.policy.unwrap_or(contract);
            same("the count", format!("{counts:?}"), format!("{:?}", Counts { contract, policy }));
        }
        if let Some(expected) = vector.packs {
            let packs = packs(edition, &host, &vms, pool).unwrap().contract;
            same("packs", packs.to_string(), expected.to_string());
        }
        if let Some(expected) = vector.total {
            let site = Site { users: vector.users.unwrap_or(0) };
            let total = counts.contract + beyond_hosts(&edition.metric, site, counts.contract);
            same("the total", total.to_string(), expected.to_string());
        }
    }
    if let Some(expected) = vector.cost {
        let mut priced = product.clone();
        priced.edition.retain(|other| edition.is_none_or(|edition| edition.name == other.name));
        priced.edition.retain(|other| other.price.is_some());
        priced.edition.retain(|other| vector.among.is_empty() || vector.among.contains(&other.name));
        let tariff = Tariff::new(&priced).unwrap();
        let mix = cheapest(&tariff, &host, &vms, pool, Position::Contract);
        same("the cost", format!("{:?}", mix.map(|mix| mix.cost)), format!("{:?}", Some(expected)));
    }
    told
}

#[test]
fn every_vector_holds() {
    let catalogues = catalogues();
    let all = vectors();
    let mut told = Vec::new();
    let mut names = BTreeMap::new();
    let mut bases: BTreeMap<Basis, usize> = BTreeMap::new();
    for (vector, source) in &all {
        *names.entry(vector.name.as_str()).or_insert(0) += 1;
        *bases.entry(vector.basis).or_default() += 1;
        let mut parts = vector.of.split('/');
        let mut part = || parts.next().unwrap_or_default();
        let (vendor, product, edition) = (part(), part(), part());
        let found = catalogues.get(vendor).and_then(|catalogue| catalogue.product(product));
        let product = found.unwrap_or_else(|| panic!("{}: no product {}", vector.name, vector.of));
        let edition = (!edition.is_empty()).then(|| product.edition(edition).expect(&vector.of));
        let asserts = [vector.contract, vector.packs, vector.total].iter().any(Option::is_some)
            || vector.cost.is_some()
            || vector.refused;
        assert!(asserts, "{}: nothing is expected", vector.name);
        let vendors = source.standing == Standing::Vendor;
        assert!(vector.basis != Basis::VendorExample || vendors, "{}: whose example?", vector.name);
        let nobodys = source.standing == Standing::Knowledge;
        assert!(vector.basis != Basis::SecondaryExample || !nobodys, "{}: whose example?", vector.name);
        told.extend(judge(vector, product, edition));
    }
    assert!(names.values().all(|times| *times == 1), "a name is taken twice: {names:?}");
    println!("{} vectors: {bases:?}", all.len());
    assert!(told.is_empty(), "{told:#?}");
    assert!(all.len() >= VECTORS_MIN, "{} vectors", all.len());
}
