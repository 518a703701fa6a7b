//! Properties of counts, prices, mixes and bounds, held against the plainest way to find each.

use proptest::prelude::*;
use tabane_model::licence::{Amount, Cover, Edition, Metric, Product};

use super::{vectors::catalogues, *};

const EDITIONS: &str = r#"
[[edition]]
name = "unlimited"
metric = { kind = "host_cores", cores_per_socket_min = 8, cores_per_host_min = 16, covers = "all" }
pack = 2
[[edition]]
name = "pairs"
metric = { kind = "host_cores", cores_per_socket_min = 8, cores_per_host_min = 16, covers = { vms = 2 } }
pack = 2
[[edition]]
name = "each-vm"
metric = { kind = "vm_cores", cores_per_vm_min = 8 }
pack = 2
[[edition]]
name = "each-vm-small"
metric = { kind = "vm_cores", cores_per_vm_min = 4 }
pack = 3
[[edition]]
name = "three-vms"
metric = { kind = "vms", vms_per_licence = 3 }
[[edition]]
name = "sockets"
metric = { kind = "host_sockets", sockets_max = 2, covers = "all", claims_pool = true }
[[edition]]
name = "capped"
metric = { kind = "pvu", sub_capacity = true, rates = [{ family = "x86", sockets_max = 2, pvu_per_core = 70 }, { family = "x86", pvu_per_core = 100 }] }
pack = 10
[[edition]]
name = "factor"
metric = { kind = "core_factor", factors = [{ family = "x86", thousandths = 500 }] }
[[edition]]
name = "one-each"
metric = { kind = "host_cores", covers = "one_per_licence" }
[[edition]]
name = "four-vms-by-sockets"
metric = { kind = "host_sockets", sockets_per_licence = 2, covers = { vms = 4 } }
"#;

/// All editions above, at these prices; 0 leaves one out.
fn product(prices: &[u64]) -> Option<Product> {
    let source = "source = [{ title = \"t\", publisher = \"p\", standing = \"knowledge\" }]\n";
    let text =
        format!("name = \"p\"\n{}", EDITIONS.replace("[[edition]]\n", &format!("[[edition]]\n{source}")));
    let mut product: Product = toml::from_str(&text).unwrap();
    let priced = product.edition.iter_mut().zip(prices);
    priced.for_each(|(edition, price)| set_price(edition, *price, "EUR"));
    product.edition.retain(|edition| edition.price.as_ref().is_some_and(|price| price.amount.0 > 0));
    (!product.edition.is_empty()).then_some(product)
}

fn set_price(edition: &mut Edition, amount: u64, currency: &str) {
    let text = format!(
        "amount = \"{}\"\ncurrency = \"{currency}\"\nterm = \"year\"\ndate = \"2026-11-25\"\nsource = {{ title = \"t\", publisher = \"p\", standing = \"knowledge\" }}",
        Amount(amount)
    );
    edition.price = Some(toml::from_str(&text).unwrap());
}

fn products() -> impl Strategy<Value = Product> {
    let price = prop_oneof![Just(0u64), 1u64..100, 1_000u64..5_000_000];
    proptest::collection::vec(price, 10).prop_filter_map("no edition", |prices| product(&prices))
}

fn hosts() -> impl Strategy<Value = Host> {
    (1u32..=4, 1u32..=33).prop_map(|(sockets, each)| Host::new(sockets, sockets * each, "x86"))
}

fn machines(most: usize) -> impl Strategy<Value = Vec<Vm>> {
    let vm = (1u32..40, proptest::option::weighted(0.3, 1u32..20));
    let vm = vm.prop_map(|(vcpus, hard_partition)| Vm { vcpus, hard_partition });
    proptest::collection::vec(vm, 0..=most)
}

fn positions() -> impl Strategy<Value = Position> {
    prop_oneof![Just(Position::Contract), Just(Position::Policy)]
}

fn pools() -> impl Strategy<Value = Pool> {
    any::<bool>().prop_map(|may_arrive| Pool { may_arrive })
}

fn tally(tariff: &Tariff, vms: &[Vm]) -> Tally {
    let mut tally = Tally::default();
    vms.iter().for_each(|vm| tally += tariff.weigh(vm));
    tally
}

/// What each edition costs alone, by `packs`, which no tariff stands between.
fn alone(product: &Product, host: &Host, vms: &[Vm], pool: Pool, position: Position) -> Vec<u64> {
    let of = |edition: &Edition| {
        let packs = packs(edition, host, vms, pool).ok()?.of(position);
        Some(packs * edition.price.as_ref().unwrap().amount.0)
    };
    product.edition.iter().filter_map(of).collect()
}

/// The cheapest mix by giving each VM each edition in turn.
fn exhaustive(product: &Product, host: &Host, vms: &[Vm], position: Position) -> Option<u64> {
    let mixes = |edition: &&Edition| {
        matches!(
            edition.metric,
            Metric::VmCores { .. }
                | Metric::Vms { .. }
                | Metric::HostCores { covers: Cover::Vms(_), .. }
                | Metric::HostSockets { covers: Cover::Vms(_), .. }
        )
    };
    let pool = Pool::default();
    let parts: Vec<&Edition> = product.edition.iter().filter(mixes).collect();
    let mut best = alone(product, host, vms, pool, position).into_iter().min();
    let ways = if parts.is_empty() { 0 } else { parts.len().pow(vms.len() as u32) };
    for way in 0..ways {
        let mut cost = 0;
        for (at, edition) in parts.iter().enumerate() {
            let chosen = |(vm, _): &(usize, &Vm)| way / parts.len().pow(*vm as u32) % parts.len() == at;
            let own: Vec<Vm> = vms.iter().enumerate().filter(chosen).map(|(_, vm)| *vm).collect();
            cost += packs(edition, host, &own, pool).unwrap().of(position)
                * edition.price.as_ref().unwrap().amount.0;
        }
        best = best.into_iter().chain([cost]).min();
    }
    best
}

/// The cheapest of all placements: each VM onto each host that is in use or onto a new one of each kind.
fn cheapest_placement(
    tariff: &Tariff,
    rooms: &[Room],
    vms: &[Vm],
    position: Position,
    used: &mut Vec<(usize, Vec<Vm>)>,
) -> Option<u64> {
    let Some((vm, others)) = vms.split_first() else {
        let cost = |(kind, vms): &(usize, Vec<Vm>)| {
            let fits = rooms[*kind].vms_max.is_none_or(|most| vms.len() as u32 <= most)
                && rooms[*kind]
                    .vcpus_max
                    .is_none_or(|most| vms.iter().map(|vm| vm.vcpus).sum::<u32>() <= most);
            let mix = cheapest(tariff, &rooms[*kind].host, vms, Pool::default(), position);
            mix.filter(|_| fits).map(|mix| mix.cost.0)
        };
        return used.iter().map(cost).sum();
    };
    let mut best: Option<u64> = None;
    for at in 0..used.len() {
        used[at].1.push(*vm);
        let cost = cheapest_placement(tariff, rooms, others, position, used);
        best = best.into_iter().chain(cost).min();
        used[at].1.pop();
    }
    for kind in 0..rooms.len() {
        used.push((kind, vec![*vm]));
        let cost = cheapest_placement(tariff, rooms, others, position, used);
        best = best.into_iter().chain(cost).min();
        used.pop();
    }
    best
}

fn rooms() -> impl Strategy<Value = Vec<Room>> {
    let most = || proptest::option::of(1u32..60);
    let room = (hosts(), proptest::option::of(1u32..4), most());
    let room = room.prop_map(|(host, vms_max, vcpus_max)| Room { host, vms_max, vcpus_max });
    proptest::collection::vec(room, 1..3)
}

proptest! {
    #[test]
    fn a_tariff_asks_what_the_count_says(
        product in products(), host in hosts(), vms in machines(12), pool in pools(), position in positions(),
    ) {
        let tariff = Tariff::new(&product).unwrap();
        let price = tariff.on(&host, position).price(&tally(&tariff, &vms), pool);
        let counted = alone(&product, &host, &vms, pool, position).into_iter().min();
        prop_assert_eq!(price.map(|price| price.0), counted);
    }

    #[test]
    fn vms_come_and_go_without_a_trace(product in products(), one in machines(6), other in machines(6)) {
        let tariff = Tariff::new(&product).unwrap();
        let mut sum = tally(&tariff, &one);
        sum += tally(&tariff, &other);
        sum -= tally(&tariff, &one);
        prop_assert_eq!(sum, tally(&tariff, &other));
    }

    /// Of each edition, and of the cheapest. By policy a VM without a hard partition may be the first to count the host.
    #[test]
    fn more_vms_never_cost_less(
        product in products(), host in hosts(), vms in machines(8), more in machines(4), pool in pools(),
        position in positions(),
    ) {
        let all: Vec<Vm> = vms.iter().chain(&more).copied().collect();
        for edition in &product.edition {
            if let (Ok(few), Ok(many)) = (count(edition, &host, &vms, pool), count(edition, &host, &all, pool)) {
                prop_assert!(few.of(position) <= many.of(position), "{}", edition.name);
            }
        }
        let tariff = Tariff::new(&product).unwrap();
        let cost = |vms: &[Vm]| cheapest(&tariff, &host, vms, pool, position).map(|mix| mix.cost);
        prop_assert!(cost(&vms) <= cost(&all));
    }

    /// Those without a hard partition differ by their cores alone.
    #[test]
    fn fewer_and_smaller_vms_never_cost_more(
        product in products(), host in hosts(), cores in proptest::collection::vec((1u32..40, 0u32..9), 0..9),
        more in proptest::collection::vec(1u32..40, 0..4), pool in pools(), position in positions(),
    ) {
        let small: Vec<Vm> = cores.iter().map(|(cores, _)| Vm::new(*cores)).collect();
        let large = cores.iter().map(|(cores, more)| cores + more).chain(more);
        let large: Vec<Vm> = large.map(Vm::new).collect();
        let tariff = Tariff::new(&product).unwrap();
        let cost = |vms: &[Vm]| cheapest(&tariff, &host, vms, pool, position).map(|mix| mix.cost);
        prop_assert!(cost(&small) <= cost(&large));
        let on = tariff.on(&host, position);
        prop_assert!(on.price(&tally(&tariff, &small), pool) <= on.price(&tally(&tariff, &large), pool));
    }

    #[test]
    fn the_cheapest_is_never_dearer_than_one_edition(
        product in products(), host in hosts(), vms in machines(12), pool in pools(), position in positions(),
    ) {
        let tariff = Tariff::new(&product).unwrap();
        let single = alone(&product, &host, &vms, pool, position).into_iter().min();
        match cheapest(&tariff, &host, &vms, pool, position) {
            None => prop_assert_eq!(single, None),
            Some(mix) => {
                prop_assert!(mix.cost.0 <= single.unwrap());
                prop_assert_eq!(mix.cost.0, mix.parts.iter().map(|part| part.cost.0).sum::<u64>());
                let mut covered: Vec<usize> = mix.parts.iter().flat_map(|part| part.vms.clone()).collect();
                covered.sort_unstable();
                if mix.cost.0 > 0 {
                    prop_assert_eq!(covered, (0..vms.len()).collect::<Vec<_>>());
                }
            }
        }
    }

    #[test]
    fn no_mix_is_cheaper(
        product in products(), host in hosts(), vms in machines(5), position in positions(),
    ) {
        let tariff = Tariff::new(&product).unwrap();
        let found = cheapest(&tariff, &host, &vms, Pool::default(), position);
        prop_assert_eq!(found.map(|mix| mix.cost.0), exhaustive(&product, &host, &vms, position));
    }

    #[test]
    fn no_placement_is_below_the_bound(
        product in products(), rooms in rooms(), vms in machines(5), position in positions(),
    ) {
        let tariff = Tariff::new(&product).unwrap();
        let bound = lower_bound(&tariff, &rooms, &vms, position);
        let least = cheapest_placement(&tariff, &rooms, &vms, position, &mut Vec::new());
        if let Some(least) = least {
            prop_assert!(bound.unwrap().0 <= least, "{bound:?} {least}");
        }
    }
}

/// A bound of nothing would pass the test above.
#[test]
fn the_bound_is_reached_where_nothing_can_be_shared() {
    let vms = [Vm::new(4), Vm::new(12), Vm::new(9)];
    let room = Room { host: Host::new(2, 32, "x86"), vms_max: None, vcpus_max: None };
    // 8, 12 and 9 cores in packs of two: 4 + 6 + 5.
    let each = Tariff::new(&product(&[0, 0, 100]).unwrap()).unwrap();
    let bound = |tariff: &Tariff, room: &Room| {
        lower_bound(tariff, std::slice::from_ref(room), &vms, Position::Contract)
    };
    assert_eq!(bound(&each, &room), Some(Amount(1_500)));
    // 32 cores in packs of two, once at least; three times where a host takes one VM.
    let whole = Tariff::new(&product(&[100]).unwrap()).unwrap();
    assert_eq!(bound(&whole, &room), Some(Amount(1_600)));
    let small = Room { vms_max: Some(1), ..room.clone() };
    assert_eq!(bound(&whole, &small), Some(Amount(4_800)));
    // 25 virtual cores where a host takes 16: one and nine sixteenths of a host.
    let tight = Room { vcpus_max: Some(16), ..room };
    assert_eq!(bound(&whole, &tight), Some(Amount(2_500)));
}

/// Fewer hosts, dearer software: one VM with a database licensed by the host's cores moves from a host of 16 cores to one
/// that holds everything else as well.
#[test]
fn consolidation_can_make_software_dearer() {
    let catalogues = catalogues();
    let mut database = catalogues["oracle"].product("database-ee").unwrap().clone();
    database.edition.retain(|edition| edition.name == "processor");
    let tariff = Tariff::new(&database).unwrap();
    let cost = |host: &Host, vms: &[Vm]| {
        let mix = cheapest(&tariff, host, vms, Pool::default(), Position::Contract);
        mix.unwrap().cost.0
    };
    let (small, large) = (Host::new(1, 16, "x86"), Host::new(2, 96, "x86"));
    // 8 processors apart, 48 together, at 47 500.
    assert_eq!(cost(&small, &[Vm::new(4)]) + cost(&small, &[]), 8 * 475_000_000);
    assert_eq!(cost(&large, &[Vm::new(4)]), 48 * 475_000_000);

    // And the other way around: two databases on one host are paid once.
    assert!(cost(&small, &[Vm::new(4), Vm::new(4)]) < 2 * cost(&small, &[Vm::new(4)]));
}

#[test]
fn editions_stand_side_by_side_where_that_is_cheaper() {
    // On 64 cores a second set for one small VM is 32 packs of 10; the VM by itself is 4 packs of 12.
    let tariff = Tariff::new(&product(&[0, 10, 12]).unwrap()).unwrap();
    let host = Host::new(2, 64, "x86");
    let vms = [Vm::new(8), Vm::new(60), Vm::new(60)];
    let mix = cheapest(&tariff, &host, &vms, Pool::default(), Position::Contract).unwrap();
    assert_eq!(mix.cost, Amount(320 + 48));
    let own = mix.parts.iter().find(|part| tariff.edition(part.edition) == "each-vm").unwrap();
    assert_eq!(own.vms, [0], "the set is for the dear ones");
    let single = tariff.on(&host, Position::Contract).price(&tally(&tariff, &vms), Pool::default());
    assert_eq!(single, Some(Amount(640)), "the price for searches is of one edition");
}

#[test]
fn unlike_prices_are_not_added() {
    let mut both = product(&[100, 100]).unwrap();
    set_price(&mut both.edition[1], 100, "JPY");
    assert!(matches!(Tariff::new(&both), Err(TariffError::Currencies { .. })));
    both.edition[1].price = both.edition[0].price.clone();
    both.edition[1].price.as_mut().unwrap().term = tabane_model::licence::Term::Perpetual;
    assert!(matches!(Tariff::new(&both), Err(TariffError::Terms { .. })));
    both.edition[1].price = None;
    assert!(matches!(Tariff::new(&both), Err(TariffError::Price { .. })));
    both.edition.clear();
    assert!(matches!(Tariff::new(&both), Err(TariffError::Nothing { .. })));
    let catalogues = catalogues();
    let users = catalogues["any"].product("per-user").unwrap();
    assert!(matches!(Tariff::new(users), Err(TariffError::Site { .. })));
}

/// Once it has prices, each product that ships can be chosen by cost on an ordinary host.
#[test]
fn shipped_products_make_tariffs() {
    let of_site = |edition: &Edition| {
        matches!(edition.metric, Metric::Users | Metric::Site | Metric::NamedUsers { .. })
    };
    let mut made = 0;
    for catalogue in catalogues().values() {
        for product in &catalogue.product {
            let mut product = product.clone();
            product.edition.retain(|edition| !of_site(edition));
            product.edition.iter_mut().for_each(|edition| set_price(edition, 100, "EUR"));
            if product.edition.is_empty() {
                continue;
            }
            let tariff = Tariff::new(&product).unwrap();
            let host = Host::new(2, 32, "x86");
            let mix = cheapest(&tariff, &host, &[Vm::new(4)], Pool::default(), Position::Contract);
            assert!(mix.is_some_and(|mix| mix.cost.0 > 0), "{}", product.name);
            made += 1;
        }
    }
    assert!(made >= 12, "{made}");
}

#[test]
fn hosts_that_may_not_be_licensed_have_no_price() {
    let sockets = product(&[0, 0, 0, 0, 0, 100]).unwrap();
    let tariff = Tariff::new(&sockets).unwrap();
    let vms = [Vm::new(4)];
    let room = |sockets| Room { host: Host::new(sockets, 32, "x86"), vms_max: None, vcpus_max: None };
    let price = |sockets| {
        tariff.on(&room(sockets).host, Position::Contract).price(&tally(&tariff, &vms), Pool::default())
    };
    assert_eq!((price(2), price(4)), (Some(Amount(200)), None));
    let bound = |rooms: &[Room]| lower_bound(&tariff, rooms, &vms, Position::Contract);
    assert_eq!(bound(&[room(4)]), None);
    assert_eq!(bound(&[room(4), room(1)]), Some(Amount(100)));
}
