//! Licences are weighed with hosts, told in both positions, and proved.

use tabane_model::{
    Exhaustion, KeepTogether, LicenceNeed, LicencePosition, PlanProduct,
    licence::{Catalogue, Product},
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{rules::patterns, *};
use crate::{pack::Toll, plan::setting::Setting};

/// By all cores of a host, as databases are; and by VM.
pub(super) const CATALOGUE: &str = r#"
as_of = "2026-01-01"
vendor = "someone"
[[product]]
name = "database"
[[product.edition]]
name = "enterprise"
metric = { kind = "core_factor", factors = [{ family = "x86", thousandths = 500 }] }
[product.edition.price]
amount = "1000.00"
currency = "EUR"
term = "perpetual"
date = "2026-01-01"
source = { title = "t", publisher = "p", standing = "knowledge" }
[[product.edition.source]]
title = "t"
publisher = "p"
standing = "knowledge"
[[product]]
name = "agent"
[[product.edition]]
name = "each"
metric = { kind = "vms" }
[product.edition.price]
amount = "7.00"
currency = "EUR"
term = "month"
date = "2026-01-01"
source = { title = "t", publisher = "p", standing = "knowledge" }
[[product.edition.source]]
title = "t"
publisher = "p"
standing = "knowledge"
"#;

pub(super) fn products() -> Vec<PlanProduct> {
    let catalogue: Catalogue = toml::from_str(CATALOGUE).unwrap();
    assert!(catalogue.faults().is_empty(), "{:?}", catalogue.faults());
    let of = |product: &Product| PlanProduct {
        vendor: catalogue.vendor.clone(),
        as_of: catalogue.as_of,
        product: product.clone(),
    };
    catalogue.product.iter().map(of).collect()
}

pub(super) fn need(product: &str, servers: &[&str]) -> LicenceNeed {
    LicenceNeed { product: product.into(), servers: patterns(servers), editions: Vec::new() }
}

/// Small hosts take five servers by their memory.
fn licensed(objective: Objective, position: LicencePosition) -> PlanPolicy {
    PlanPolicy {
        memory: MemoryBasis::Configured,
        objective,
        licence: vec![need("database", &["s1", "s4", "s7", "s10"]), need("agent", &["s0", "s1"])],
        licence_position: position,
        ..policy()
    }
}

fn small() -> HostTypes {
    let mut hosts = hosts();
    hosts.host_type.truncate(1);
    hosts
}

fn plan(traces: &Traces, hosts: &HostTypes, policy: &PlanPolicy) -> Result<Plan, PlanError> {
    let products = products();
    let request = Request { hosts, policy, costs: None, products: &products, support: &[] };
    make(traces, request, Timestamp::UNIX_EPOCH, 1, &|turns, _| turns > 3_000)
}

#[test]
fn dear_licences_make_an_island() {
    let traces = traces(8);
    for objective in [Objective::Hosts, Objective::Cost] {
        let plan = plan(&traces, &small(), &licensed(objective, LicencePosition::Contract)).unwrap();
        assert_eq!(verify(&plan, &traces).iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
        let licences = plan.licences.as_ref().unwrap();
        let database = &licences.products[0];
        // Four of them on one host of eight cores: four processors by the factor.
        assert_eq!(
            (database.servers, database.hosts.len(), database.after),
            (4, 1, 4_000.0),
            "{objective:?}"
        );
        assert_eq!(database.hosts[0].bought[0].packs, 4);
        // Each by itself on four cores: two processors.
        assert_eq!(database.before, 8_000.0);
        // The policy claims every host that they could move to.
        let hosts = plan.hosts.len() as f64;
        assert_eq!((database.contract, database.policy), (4_000.0, 4_000.0 * hosts));
        let agent = &licences.products[1];
        // Two, each month for five years.
        assert_eq!((agent.before, agent.after, agent.lower_bound), (840.0, 840.0, 840.0));
        assert_eq!((licences.after, licences.lower_bound), (4_840.0, 4_840.0));
        // Twelve servers, four on a host by memory.
        assert_eq!(plan.hosts.iter().filter(|host| !host.spare).count(), plan.lower_bound.hosts as usize);
    }
}

#[test]
fn by_the_policy_a_pool_is_claimed_and_pins_make_a_smaller_one() {
    let traces = traces(8);
    let mut hosts = small();
    let mut island = hosts.host_type[0].clone();
    island.name = "island".into();
    island.price = 11.0;
    hosts.host_type.push(island);
    let open = licensed(Objective::Cost, LicencePosition::Policy);
    let pinned = PlanPolicy {
        pin: vec![tabane_model::Pin {
            servers: patterns(&["s1", "s4", "s7", "s10"]),
            host_types: vec!["island".into()],
        }],
        ..open.clone()
    };
    let of = |policy: &PlanPolicy| {
        let plan = plan(&traces, &hosts, policy).unwrap();
        assert_eq!(verify(&plan, &traces).len(), 0);
        let islands = plan.hosts.iter().filter(|host| host.host_type == "island").count();
        (plan.licences.unwrap().products[0].after, plan.hosts.len(), islands)
    };
    let (all, count, _) = of(&open);
    assert_eq!(all, 4_000.0 * count as f64);
    let (few, _, islands) = of(&pinned);
    assert_eq!(few, 4_000.0 * islands as f64);
    assert!(few < all);
}

#[test]
fn licences_that_are_made_to_look_cheaper_are_found() {
    let traces = traces(8);
    let plan = plan(&traces, &small(), &licensed(Objective::Cost, LicencePosition::Contract)).unwrap();
    let rejected = |change: &dyn Fn(&mut Plan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        verify(&changed, &traces).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let told = "not those that its hosts need";
    assert!(rejected(&|plan| plan.licences.as_mut().unwrap().after -= 1.0).contains(told));
    assert!(rejected(&|plan| plan.licences.as_mut().unwrap().lower_bound += 1.0).contains(told));
    assert!(rejected(&|plan| plan.licences.as_mut().unwrap().products[0].policy = 0.0).contains(told));
    assert!(
        rejected(&|plan| plan.licences.as_mut().unwrap().products[0].hosts[0].bought[0].packs = 3)
            .contains(told)
    );
    assert!(rejected(&|plan| plan.licences = None).contains(told));
    assert!(rejected(&|plan| plan.assumptions.products.clear()).contains("no catalogue has database"));
}

#[test]
fn what_no_catalogue_has_is_told() {
    let traces = traces(8);
    let told = |licence: LicenceNeed| {
        let policy = PlanPolicy { licence: vec![licence], ..policy() };
        plan(&traces, &small(), &policy).unwrap_err().to_string()
    };
    assert!(told(need("databse", &["s1"])).contains("no catalogue has databse"));
    assert!(told(need("database", &["web*"])).contains("nobody is meant by web*"));
    let edition = LicenceNeed { editions: vec!["express".into()], ..need("database", &["s1"]) };
    assert!(told(edition).contains("no catalogue has database express"));
}

#[test]
fn few_servers_are_proved_to_cost_no_less() {
    let traces = traces(8);
    let policy = licensed(Objective::Cost, LicencePosition::Contract);
    let proved = plan(&traces, &small(), &policy).unwrap();
    let exhausted = proved.lower_bound.exhausted.unwrap();
    let in_use = proved.hosts.iter().filter(|host| !host.spare).count();
    let price = small().host_type[0].price;
    assert_eq!(exhausted.cost, in_use as f64 * price + proved.licences.as_ref().unwrap().after);
    assert_eq!(verify(&proved, &traces).len(), 0);
    let told =
        |plan: &Plan| verify(plan, &traces).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let mut changed = proved.clone();
    changed.lower_bound.exhausted = Some(Exhaustion { cost: exhausted.cost - 1.0, ..exhausted });
    assert!(told(&changed).contains("this one costs"), "{}", told(&changed));

    // With another type of hosts to choose from there is a cheaper one.
    let mut changed = proved.clone();
    let mut cheap = small().host_type[0].clone();
    (cheap.name, cheap.price) = ("cheap".into(), 1.0);
    changed.assumptions.host_types.push(cheap);
    changed.lower_bound.cost = f64::from(changed.lower_bound.hosts);
    let least = exhausted.cost - in_use as f64 * (price - 1.0);
    assert!(told(&changed).contains(&format!("one costs {least}")), "{}", told(&changed));

    // Nobody looked, so nothing is claimed.
    let products = products();
    let hosts = small();
    let request = Request { hosts: &hosts, policy: &policy, costs: None, products: &products, support: &[] };
    let first = make(&traces, request, Timestamp::UNIX_EPOCH, 1, &|_, _| true).unwrap();
    assert_eq!((first.lower_bound.exhausted, told(&first)), (None, String::new()));
}

/// Units of one to three servers with one to twelve cores; an edition for each pair of VMs, one for a host, and others.
#[test]
fn so_many_units_cost_no_less_whichever_they_are() {
    let mut products = Vec::new();
    for vendor in ["microsoft", "oracle"] {
        let path = format!("{}/../../data/licences/{vendor}.toml", env!("CARGO_MANIFEST_DIR"));
        let catalogue: Catalogue = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let (vendor, as_of) = (catalogue.vendor, catalogue.as_of);
        let of = |product| PlanProduct { vendor: vendor.clone(), as_of, product };
        products.extend(catalogue.product.into_iter().map(of));
    }
    let mut traces = traces(8);
    traces.servers.iter_mut().enumerate().for_each(|(at, server)| server.cores = at as u32 + 1);
    let by = |edition: &str, need: LicenceNeed| LicenceNeed { editions: vec![edition.into()], ..need };
    let licence = vec![
        need("windows-server", &["s*"]),
        by("core-per-vm", need("sql-server-standard", &["s1*", "s3", "s7"])),
        by("processor", need("database-ee", &["s2", "s5", "s8"])),
    ];
    let mut policy = PlanPolicy { licence, ..policy() };
    let together =
        |name: &str, servers: &[&str]| KeepTogether { name: name.into(), servers: patterns(servers) };
    policy.keep_together = vec![together("pair", &["s1", "s8"]), together("three", &["s0", "s3", "s5"])];
    let hosts = hosts();
    let setting = Setting::new(&traces, &hosts.host_type, &policy, &products, &[]).unwrap();
    let units: Vec<Vec<usize>> = setting.units().iter().cloned().collect();
    let toll = setting.licensing.toll(&units, &traces, &setting.servers, &hosts.host_type).exact(&[]);
    let mut random = SmallRng::seed_from_u64(5);
    for (class, members) in toll.classes().iter().enumerate() {
        for _ in 0..200 {
            let here: Vec<u32> =
                members.iter().filter(|_| random.random_bool(0.4)).map(|unit| *unit as u32).collect();
            for kind in 0..hosts.host_type.len() {
                let (is, least) = (toll.of_class(class, kind, &here), toll.least_of(class, kind, here.len()));
                assert!(least <= is, "class {class}, kind {kind}, {here:?}: {is}, at least {least}");
            }
        }
        assert!(toll.least_of(class, 0, 1) > 0.0, "class {class} costs something");
    }
}
