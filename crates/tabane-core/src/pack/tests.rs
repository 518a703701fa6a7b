//! Properties of everything that packs: what is made passes the checker, and what is changed does not.

mod solver;

use proptest::prelude::*;

use super::*;

const TURNS_MAX: u64 = 300;

/// Problems with two resources over time and one that never changes, several kinds of hosts, servers that stay apart and
/// servers that may not go everywhere.
fn problems() -> impl Strategy<Value = Problem> {
    let server = (proptest::collection::vec((0u32..60, 0u32..60), 1..4), 0u32..40);
    let kind = (60u32..200, 60u32..200, 60u32..200, 1u32..10, proptest::option::of(1usize..6));
    (
        proptest::collection::vec(server, 1..30),
        proptest::collection::vec(kind, 1..4),
        proptest::collection::vec(proptest::collection::vec(any::<prop::sample::Index>(), 2..4), 0..3),
        proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..3),
        20usize..50,
    )
        .prop_map(|(servers, kinds, groups, pins, bins)| {
            let mut builder = DemandBuilder::new(&[bins, bins, 1], servers.len());
            for (levels, fixed) in &servers {
                let level = |bin: usize| levels[bin * levels.len() / bins];
                let cpu: Vec<u32> = (0..bins).map(|bin| level(bin).0).collect();
                let memory: Vec<u32> = (0..bins).map(|bin| level(bin).1).collect();
                builder.push(&[&cpu, &memory, &[*fixed]]);
            }
            let kind = |(a, b, c, price, count): &(u32, u32, u32, u32, Option<usize>)| Kind {
                capacity: vec![*a, *b, *c],
                price: f64::from(*price),
                count: *count,
            };
            let mut problem = Problem::new(builder.finish(), kinds.iter().map(kind).collect()).unwrap();
            for group in groups {
                let mut members: Vec<usize> = group.iter().map(|at| at.index(servers.len())).collect();
                members.sort_unstable();
                members.dedup();
                problem.keep_apart(&members);
            }
            for (server, kind) in pins {
                problem.allow(server.index(servers.len()), &[kind.index(kinds.len())]);
            }
            problem
        })
}

fn improved(problem: &Problem, packing: Packing) -> Packing {
    improve(problem, packing, 0.0, 1, 1, &|turns, _| turns >= TURNS_MAX).packing
}

fn placed(packing: &Packing) -> Vec<usize> {
    packing.hosts.iter().flat_map(|host| host.servers.clone()).collect()
}

/// Servers of these sizes, and hosts of one size with a price or, as many as are said, with none.
fn alike(sizes: &[u32], free: usize) -> Problem {
    let mut builder = DemandBuilder::new(&[1], sizes.len());
    sizes.iter().for_each(|size| builder.push(&[&[*size]]));
    let kind = |price: f64, count: Option<usize>| Kind { capacity: vec![10], price, count };
    let kinds = match free {
        0 => vec![kind(1.0, None)],
        _ => vec![kind(0.0, Some(free)), kind(1.0, None)],
    };
    Problem::new(builder.finish(), kinds).unwrap()
}

#[test]
fn many_hosts_are_improved_in_parts_by_several_workers() {
    // Pairs of 7 and 3 fill a host; one by one they take twice as many.
    let sizes: Vec<u32> = (0..240).map(|at| if at % 2 == 0 { 7 } else { 3 }).collect();
    for free in [0, 60] {
        let problem = alike(&sizes, free);
        let kind = |at: usize| usize::from(free > 0 && at >= free);
        let hosts = (0..240).map(|at| Packed { kind: kind(at), servers: vec![at] }).collect();
        let first = Packing { hosts, unplaced: Vec::new() };
        let enough = (125 - free) as f64;
        let best = improve(&problem, first, enough, 1, 2, &|turns, _| turns >= 400_000).packing;
        assert_eq!(check_packing(&problem, &best), []);
        assert!(best.cost(problem.kinds()) <= enough, "{}", best.cost(problem.kinds()));
    }
}

#[test]
fn as_many_servers_as_possible_get_a_place() {
    let mut problem = alike(&[6, 6, 4, 4, 9, 9], 0);
    problem =
        Problem::new(problem.demand().clone(), vec![Kind { capacity: vec![10], price: 1.0, count: Some(2) }])
            .unwrap();
    let first = Packing {
        hosts: vec![Packed { kind: 0, servers: vec![4] }, Packed { kind: 0, servers: vec![0] }],
        unplaced: vec![1, 2, 3, 5],
    };
    let best = improved(&problem, first);
    assert_eq!(check_packing(&problem, &best), []);
    assert_eq!(best.unplaced.len(), 3, "a 4 goes beside the 6: {best:?}");
}

#[test]
fn a_single_host_is_tried_for_as_long_as_one_likes() {
    let problem = alike(&[4, 4], 0);
    let first = Packing { hosts: vec![Packed { kind: 0, servers: vec![0, 1] }], unplaced: Vec::new() };
    let best = improve(&problem, first.clone(), 0.0, 1, 1, &|turns, _| turns >= 20_000);
    assert_eq!(best.packing, first);
}

proptest! {
    #[test]
    fn what_is_packed_keeps_every_promise(problem in problems()) {
        let first = construct(&problem);
        prop_assert_eq!(check_packing(&problem, &first), []);
        let better = improved(&problem, first.clone());
        prop_assert_eq!(check_packing(&problem, &better), []);
        prop_assert!(better.unplaced.len() <= first.unplaced.len());
        if better.unplaced.len() == first.unplaced.len() {
            prop_assert!(better.cost(problem.kinds()) <= first.cost(problem.kinds()) + 1e-9);
        }
        let servers = placed(&better);
        let bound = lower_bound(&problem, &servers);
        prop_assert_eq!(check_bound(&problem, &servers, &bound), []);
        prop_assert!(bound.hosts <= better.hosts.len());
        prop_assert!(bound.cost <= better.cost(problem.kinds()) + 1e-9);
    }

    #[test]
    fn a_margin_keeps_nobody_out_and_no_host_is_more_than_whole(
        problem in problems(), fill in 0.2f64..1.0,
    ) {
        let whole = problem.kinds().to_vec();
        let filled = |most: &u32| (f64::from(*most) * fill) as u32;
        let kinds = whole.iter().map(|kind| Kind {
            capacity: kind.capacity.iter().map(filled).collect(),
            ..kind.clone()
        });
        let servers = problem.demand().servers();
        let mut eased = problem.clone();
        eased.set_capacities(kinds.collect());
        let fitted: Vec<bool> = (0..servers).map(|server| eased.fits_any(server)).collect();
        eased.let_have_whole(0..servers, &whole);
        for (server, fitted) in fitted.iter().enumerate() {
            prop_assert_eq!(eased.fits_any(server), problem.fits_any(server), "{}", server);
            prop_assert_eq!(eased.large().contains(&server), !fitted && problem.fits_any(server), "{}", server);
        }
        let packing = improved(&eased, construct(&eased));
        prop_assert_eq!(check_packing(&eased, &packing), []);
        for host in &packing.hosts {
            for (dimension, most) in whole[host.kind].capacity.iter().enumerate() {
                let needed = eased.measured().sum(host.servers.iter().copied(), dimension);
                // What a kind offers was rounded down once more where a large server of another kind is here.
                prop_assert!(needed.iter().all(|sum| *sum <= u64::from(*most) + 1), "{:?} of {}", needed, most);
            }
        }
    }

    #[test]
    fn what_is_changed_is_rejected(
        problem in problems(), a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>(),
    ) {
        let packing = construct(&problem);
        prop_assume!(!packing.hosts.is_empty());
        let (one, other) = (a.index(packing.hosts.len()), b.index(packing.hosts.len()));
        let rejected = |change: &dyn Fn(&mut Packing)| {
            let mut changed = packing.clone();
            change(&mut changed);
            !check_packing(&problem, &changed).is_empty()
        };
        prop_assert!(rejected(&|p| { p.hosts[one].servers.pop(); }), "a server is lost");
        prop_assert!(rejected(&|p| { let s = p.hosts[one].servers[0]; p.hosts[other].servers.push(s); }), "twice");
        prop_assert!(rejected(&|p| p.hosts[one].servers.push(problem.demand().servers())), "an unknown server");
        prop_assert!(rejected(&|p| p.hosts[one].kind = problem.kinds().len()), "an unknown kind");
        prop_assert!(rejected(&|p| p.unplaced.push(p.hosts[one].servers[0])), "placed and not");
        if let Some(count) = problem.kinds()[packing.hosts[one].kind].count {
            let more = Packed { kind: packing.hosts[one].kind, servers: Vec::new() };
            prop_assert!(rejected(&|p| p.hosts.extend(vec![more.clone(); count])), "more hosts than there are");
        }
        // All servers on one host: rejected exactly if they do not fit, by the plainest way to see it.
        let all = Packing {
            hosts: vec![Packed { kind: packing.hosts[one].kind, servers: placed(&packing) }],
            unplaced: packing.unplaced.clone(),
        };
        let kind = &problem.kinds()[all.hosts[0].kind];
        let over = (0..problem.demand().dimensions()).any(|dimension| {
            (0..problem.demand().bins(dimension)).any(|bin| {
                let of = |server: &usize| u64::from(problem.demand().of(*server, dimension)[bin]);
                all.hosts[0].servers.iter().map(of).sum::<u64>() > u64::from(kind.capacity[dimension])
            })
        });
        let told = check_packing(&problem, &all);
        prop_assert_eq!(over, told.iter().any(|breach| matches!(breach, Breach::Overload { .. })));

        let servers = placed(&packing);
        let bound = lower_bound(&problem, &servers);
        let more = Bound { hosts: bound.hosts + 1, ..bound };
        prop_assert!(!check_bound(&problem, &servers, &more).is_empty(), "one host more");
        let dearer = Bound { cost: bound.cost * 1.001 + 0.001, ..bound };
        prop_assert!(!check_bound(&problem, &servers, &dearer).is_empty(), "a higher cost");
        let false_step = Certificate::Moment { dimension: 0, bin: 0, step: Step::Fringe(u32::MAX) };
        let forged = Bound { hosts_by: false_step, ..bound };
        prop_assert!(bound.hosts == 0 || !check_bound(&problem, &servers, &forged).is_empty(), "no such function");
    }
}
