//! The cheapest packing of few servers, proved by exhaustion.
//!
//! ```text
//!  order:  who is placed next        ─► each host that takes it, or a new host of each kind, the cheapest place first
//!  bound:  prices and tolls so far + new hosts for what the others lack at the fullest moments
//!          + what tolls add at least, however the others are dealt out (share)   ─► cut off if no cheaper than the best
//! ```
//!
//! Depth first. What is cut off costs no less than the best that is known, so that when nothing is left the best is the
//! cheapest of all (Land and Doig, "An automatic method of solving discrete programming problems", 1960; bounds by volume
//! as in Martello and Toth, "Knapsack Problems", 1990).
//!
//! No order is good for all: where one needs millions of turns another needs hundreds. So all take turns, each time for
//! twice as long, and the first that comes to its end has proved it (Gomes and Selman, "Algorithm portfolios", 2001).

mod bits;
mod bound;
mod cover;
mod order;
mod search;
mod share;

use order::Order;
use search::{End, Search};

use super::{Packing, Problem, Toll, settle::total};

/// With more servers there is no hope, and no search.
pub const SERVERS_MAX: usize = 64;
/// Turns of each order before the next is tried, the first time.
const TURNS_FIRST: u64 = 4_096;

#[derive(Debug, Clone, PartialEq)]
pub struct Exhausted {
    /// No dearer than what was given, with the same servers placed.
    pub packing: Packing,
    /// No packing of these servers costs less.
    pub least: f64,
    /// Whether that is what the packing costs.
    pub is_proved: bool,
    pub turns: u64,
}

/// Looks at all packings of the servers that have a host in this one, until `stop` says so, which is asked with the turns so
/// far. The same packing gives the same turns.
pub fn exhaust(
    problem: &Problem,
    packing: Packing,
    toll: &dyn Toll,
    stop: &dyn Fn(u64) -> bool,
) -> Exhausted {
    let mut servers: Vec<usize> = packing.hosts.iter().flat_map(|host| host.servers.clone()).collect();
    servers.sort_unstable();
    let best = total(problem, &packing, toll);
    if servers.is_empty() || servers.len() > SERVERS_MAX {
        let is_proved = servers.is_empty();
        return Exhausted { packing, least: if is_proved { best } else { 0.0 }, is_proved, turns: 0 };
    }
    let mut search = Search::new(problem, toll, servers, best, stop);
    let root = search.bound(search.everybody()).min(best);
    let is_proved = prove(&mut search);
    let unplaced = packing.unplaced.clone();
    let found = search.found.map(|hosts| Packing { hosts, unplaced });
    Exhausted {
        least: if is_proved { search.best } else { root.max(0.0) },
        packing: found.unwrap_or(packing),
        is_proved,
        turns: search.turns,
    }
}

/// Whether it is proved before it is stopped.
fn prove(search: &mut Search<'_>) -> bool {
    let mut turns = TURNS_FIRST;
    loop {
        for order in Order::ALL {
            match search.run(order, turns) {
                End::All => return true,
                End::Stopped => return false,
                End::Later => {}
            }
        }
        turns *= 2;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;
    use crate::pack::{
        Kind, Packed, check_packing, construct,
        few::{Islands, exhaustive, problem, set, set_in_time},
    };

    #[test]
    fn a_kind_that_is_not_endless_is_not_taken_too_often() {
        let mut problem = problem(&[60, 60, 60], &[(100, 1.0), (100, 5.0)]);
        let few = Kind { count: Some(2), ..problem.kinds()[0].clone() };
        problem = Problem::new(problem.demand().clone(), vec![few, problem.kinds()[1].clone()]).unwrap();
        let toll = Islands { classes: Vec::new(), costs: Vec::new() };
        let first = construct(&problem);
        let proved = exhaust(&problem, first, &toll, &|_| false);
        assert_eq!((proved.least, proved.is_proved), (7.0, true));
    }

    #[test]
    fn who_is_stopped_proves_less() {
        let problem = problem(&[40; 12], &[(100, 10.0)]);
        let toll = Islands { classes: vec![vec![0, 3, 5, 7]], costs: vec![9.0] };
        let first = construct(&problem);
        let stopped = exhaust(&problem, first.clone(), &toll, &|_| true);
        let whole = exhaust(&problem, first, &toll, &|_| false);
        assert!(!stopped.is_proved && stopped.least <= whole.least);
        assert_eq!((whole.least, whole.is_proved), (60.0 + 18.0, true));
    }

    /// The worst to begin with, so that much is left to be found.
    fn alone(problem: &Problem) -> Packing {
        let host = |server: usize| {
            let kind = (0..problem.kinds().len()).find(|kind| problem.fits_alone(server, *kind));
            Packed { kind: kind.unwrap(), servers: vec![server] }
        };
        Packing { hosts: (0..problem.demand().servers()).map(host).collect(), unplaced: Vec::new() }
    }

    #[test]
    fn more_choices_of_hosts_than_are_kept_prove_as_much() {
        let kinds: Vec<(u32, f64)> = (0..12).map(|kind| (100, 10.0 + f64::from(kind))).collect();
        let problem = problem(&[60; 6], &kinds);
        let toll = Islands { classes: vec![vec![0, 3]], costs: vec![90.0] };
        let proved = exhaust(&problem, construct(&problem), &toll, &|_| false);
        assert_eq!((proved.least, proved.is_proved), (60.0 + 180.0, true));
    }

    #[test]
    fn each_order_gets_its_turns() {
        let (problem, toll) = set_in_time(&mut SmallRng::seed_from_u64(3));
        let first = construct(&problem);
        let best = total(&problem, &first, &toll);
        let servers: Vec<usize> = first.hosts.iter().flat_map(|host| host.servers.clone()).collect();
        let never = |_: u64| false;
        let run = |order: Order, turns: &[u64]| {
            let mut search = Search::new(&problem, &toll, servers.clone(), best * 2.0, &never);
            let ends: Vec<End> = turns.iter().map(|turns| search.run(order, *turns)).collect();
            (ends, search.best)
        };
        let least = run(Order::ALL[0], &[u64::MAX]).1;
        for order in Order::ALL {
            assert_eq!(run(order, &[2, 1_000_000]), (vec![End::Later, End::All], least), "{order:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn what_is_proved_is_the_least_of_all(seed in any::<u64>()) {
            let (problem, toll) = set(&mut SmallRng::seed_from_u64(seed));
            let proved = exhaust(&problem, construct(&problem), &toll, &|_| false);
            prop_assert!(proved.is_proved);
            prop_assert_eq!(check_packing(&problem, &proved.packing), []);
            let (is, least) = (total(&problem, &proved.packing, &toll), exhaustive(&problem, &toll));
            prop_assert!((is - least).abs() < 1e-9 && (proved.least - least).abs() < 1e-9, "{} {} {}", is, proved.least, least);
        }

        #[test]
        fn what_is_proved_in_time_is_the_least_of_all(seed in any::<u64>()) {
            let (problem, toll) = set_in_time(&mut SmallRng::seed_from_u64(seed));
            let first = construct(&problem);
            prop_assume!(first.unplaced.is_empty());
            let first = if problem.kinds().iter().all(|kind| kind.count.is_none()) { alone(&problem) } else { first };
            let proved = exhaust(&problem, first, &toll, &|_| false);
            prop_assert!(proved.is_proved);
            prop_assert_eq!(check_packing(&problem, &proved.packing), []);
            let (is, least) = (total(&problem, &proved.packing, &toll), exhaustive(&problem, &toll));
            prop_assert!((is - least).abs() < 1e-9 && (proved.least - least).abs() < 1e-9, "{} {} {}", is, proved.least, least);
        }
    }
}
