//! Fewer or cheaper hosts, by annealing.
//!
//! ```text
//!  best ──► some hosts ──► give up one, or exchange some for cheaper ones ──► servers are pending
//!   ▲                                                                             │
//!   └── a better packing, if those hosts are still as they were ◄── anneal: all have a place
//! ```
//!
//! An annealing is short at first, and longer the more often nothing was found. Several workers do it side by side, each with
//! hosts of its own where there are enough.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};

use super::{Packed, Packing, Problem, anneal::Annealing};

/// Hosts that are looked at together at most.
pub(super) const HOSTS_TOGETHER: usize = 48;
/// Share of the parts that are of a worker's own hosts.
const PARTS_OWN: f64 = 0.75;
/// Steps of an annealing for each of its hosts, at first, and those with which it begins as warm as it gets.
const STEPS_FIRST: u64 = 25_000;
const STEPS_MANY: u64 = 1_600_000;
const STEPS_MOST: u64 = 1 << 32;
/// Few servers have few ways to be placed: most steps for each pair of them.
const STEPS_PAIR: u64 = 200;
/// How much longer it gets after each one that found nothing: before that, if it was of all hosts, and after it.
const LONGER: f64 = 4.0;
const LONGER_LATER: f64 = 1.25;
/// Hosts that are given up at once at most, where there are kinds to choose from.
const HOSTS_EXCHANGED_MAX: usize = 4;
/// Hosts of which one is given up.
const HOSTS_DRAWN: usize = 3;

#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub packing: Packing,
    /// About a thousand steps of annealing each, of all workers.
    pub turns: u64,
}

/// Makes the packing cheaper until `stop` says so or it costs no more than `enough`. What it returns is never worse than
/// what it was given: no server loses its place, and it costs no more.
///
/// `stop` is asked often, with the turns so far and the present cost. With one worker, the same seed and a `stop` that
/// looks at turns alone the result is the same each time; several workers learn from each other when it happens.
pub fn improve(
    problem: &Problem,
    packing: Packing,
    enough: f64,
    seed: u64,
    workers: usize,
    stop: &(dyn Fn(u64, f64) -> bool + Sync),
) -> Outcome {
    let shared = Shared {
        cost: AtomicU64::new(rank(problem, &packing).to_bits()),
        found: AtomicU64::new(0),
        best: Mutex::new(packing),
        turns: AtomicU64::new(0),
    };
    std::thread::scope(|scope| {
        for worker in 0..workers.max(1) {
            let shared = &shared;
            let random = SmallRng::seed_from_u64(seed.wrapping_add(worker as u64));
            let share = (worker, workers.max(1));
            let worker = Worker { problem, shared, share, enough, random, steps: STEPS_FIRST, stop };
            scope.spawn(move || worker.run());
        }
    });
    Outcome {
        turns: shared.turns.into_inner(),
        packing: shared.best.into_inner().unwrap_or_else(PoisonError::into_inner),
    }
}

/// What is compared: a server without a place is worse than any cost.
fn rank(problem: &Problem, packing: &Packing) -> f64 {
    let worst: f64 = 1.0 + problem.kinds().iter().map(|kind| kind.price).fold(0.0, f64::max);
    packing.cost(problem.kinds()) + worst * problem.demand().servers() as f64 * packing.unplaced.len() as f64
}

struct Shared {
    /// The rank of the best, as bits.
    cost: AtomicU64,
    /// How often a better one was found.
    found: AtomicU64,
    best: Mutex<Packing>,
    turns: AtomicU64,
}

struct Worker<'a> {
    problem: &'a Problem,
    shared: &'a Shared,
    /// Which of how many workers this is.
    share: (usize, usize),
    enough: f64,
    random: SmallRng,
    /// Of the next annealing, for each of its hosts.
    steps: u64,
    stop: &'a (dyn Fn(u64, f64) -> bool + Sync),
}

/// A part of the best packing, and what shall become of it.
struct Part {
    /// Hosts as they are in the best, and servers that have no place there.
    before: Vec<Packed>,
    unplaced: Vec<usize>,
    /// Hosts as they shall be, and servers that need a place on them.
    after: Vec<Packed>,
    pending: Vec<usize>,
    /// Of all hosts.
    share: f64,
    /// When the best was looked at.
    found: u64,
}

impl<'a> Worker<'a> {
    fn run(mut self) {
        while !self.is_over() {
            let Some(mut part) = self.part() else { return };
            let hosts = self.anneal(&mut part);
            self.steps = self.steps_after(&part, hosts.is_some());
            if let Some(hosts) = hosts {
                self.publish(&part, hosts);
            }
        }
    }

    /// Of the next annealing. Where there are several parts, others of them come before much longer ones.
    fn steps_after(&self, part: &Part, found: bool) -> u64 {
        let longer = |factor: f64| (self.steps as f64 * factor) as u64;
        match found {
            true => (self.steps / 2).max(STEPS_FIRST),
            false if self.steps < STEPS_MANY => longer(1.0 + (LONGER - 1.0) * part.share),
            false => longer(LONGER_LATER).min(STEPS_MOST),
        }
    }

    fn cost(&self) -> f64 {
        f64::from_bits(self.shared.cost.load(Ordering::Acquire))
    }

    fn is_over(&self) -> bool {
        let cost = self.cost();
        cost <= self.enough || (self.stop)(self.shared.turns.load(Ordering::Relaxed), cost)
    }

    /// Whether somebody has changed this part meanwhile.
    fn is_stale(&self, part: &mut Part) -> bool {
        let found = self.shared.found.load(Ordering::Acquire);
        if found == part.found {
            return false;
        }
        part.found = found;
        let best = self.shared.best.lock().unwrap_or_else(PoisonError::into_inner);
        places(part, &best).is_none()
    }

    fn publish(&self, part: &Part, hosts: Vec<Packed>) {
        let mut best = self.shared.best.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(places) = places(part, &best) else { return };
        let others = best.hosts.iter().enumerate().filter(|(at, _)| !places.contains(at));
        let mut better: Vec<Packed> = others.map(|(_, host)| host.clone()).collect();
        better.extend(hosts.into_iter().filter(|host| !host.servers.is_empty()));
        let unplaced =
            best.unplaced.iter().filter(|server| !part.unplaced.contains(server)).copied().collect();
        let better = Packing { hosts: better, unplaced };
        let rank = rank(self.problem, &better);
        if rank < self.cost() && self.there_are_so_many(&better) {
            *best = better;
            self.shared.cost.store(rank.to_bits(), Ordering::Release);
            self.shared.found.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Two workers may want the last host of a kind.
    fn there_are_so_many(&self, packing: &Packing) -> bool {
        let used = |kind: usize| packing.hosts.iter().filter(|host| host.kind == kind).count();
        let kinds = self.problem.kinds().iter().enumerate();
        kinds.into_iter().all(|(at, kind)| kind.count.is_none_or(|count| used(at) <= count))
    }

    /// Some hosts of the best packing with some change that makes it cheaper. `None` if there is nothing to be gained.
    fn part(&mut self) -> Option<Part> {
        let problem = self.problem;
        let found = self.shared.found.load(Ordering::Acquire);
        let best = self.shared.best.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut unplaced: Vec<usize> =
            best.unplaced.iter().copied().filter(|server| problem.fits_any(*server)).collect();
        if !unplaced.is_empty() {
            // Perhaps there is no place for all.
            shuffle(&mut unplaced, &mut self.random);
            unplaced.truncate(self.random.random_range(1..=unplaced.len()));
        }
        let (before, others) = self.some(best.hosts);
        let share = before.len() as f64 / (before.len() + others.len()).max(1) as f64;
        let mut after = before.clone();
        let mut pending = unplaced.clone();
        if pending.is_empty() {
            let mut used = vec![0; problem.kinds().len()];
            others.iter().for_each(|host| used[host.kind] += 1);
            // Hosts that cost nothing are not given up; those of another part may cost something.
            pending = match self.change(&mut after, &used) {
                None if others.is_empty() => return None,
                pending => pending.unwrap_or_default(),
            };
        }
        Some(Part { before, unplaced, after, pending, share, found })
    }

    /// Hosts for a part, and all others: mostly those of which this worker has the first server, as far as there are enough;
    /// now and then any, since two that belong together may be of two workers.
    fn some(&mut self, mut hosts: Vec<Packed>) -> (Vec<Packed>, Vec<Packed>) {
        if hosts.len() <= HOSTS_TOGETHER {
            return (hosts, Vec::new());
        }
        shuffle(&mut hosts, &mut self.random);
        let (worker, workers) = self.share;
        let own = |host: &Packed| host.servers.first().is_some_and(|server| server % workers == worker);
        if self.random.random_bool(PARTS_OWN) {
            hosts.sort_by_key(|host| !own(host));
        }
        let others = hosts.split_off(HOSTS_TOGETHER);
        (hosts, others)
    }

    /// Gives up some hosts for others that cost less together, or for none; returns the servers that they had. `used` is how
    /// many hosts of each kind there are elsewhere.
    fn change(&mut self, hosts: &mut Vec<Packed>, used: &[usize]) -> Option<Vec<usize>> {
        let all = self.problem.kinds();
        let is_priced = |host: &Packed| all[host.kind].price > 0.0;
        let priced = hosts.iter().filter(|host| is_priced(host)).count();
        if priced == 0 {
            return None;
        }
        let (mut money, mut pending) = (0.0, Vec::new());
        // One alone is given up most of the time: it is what succeeds where all hosts are alike.
        let most = if all.len() > 1 && self.random.random_bool(0.5) { HOSTS_EXCHANGED_MAX } else { 1 };
        for _ in 0..self.random.random_range(1..=most.min(priced)) {
            let left: Vec<usize> = (0..hosts.len()).filter(|host| is_priced(&hosts[*host])).collect();
            // Of a few the one with the fewest servers: there is the least to find places for.
            let drawn = (0..HOSTS_DRAWN).map(|_| left[self.random.random_range(0..left.len())]);
            let host = drawn.min_by_key(|host| hosts[*host].servers.len()).expect("some are drawn");
            let mut host = hosts.remove(host);
            money += all[host.kind].price;
            pending.append(&mut host.servers);
        }
        let wanted = self.random.random_range(0..all.len());
        let used = used[wanted] + hosts.iter().filter(|host| host.kind == wanted).count();
        let there = all[wanted].count.map_or(most, |count| count.saturating_sub(used).min(most));
        for _ in 0..there {
            money -= all[wanted].price;
            if money <= 0.0 {
                break;
            }
            hosts.push(Packed { kind: wanted, servers: Vec::new() });
        }
        Some(pending)
    }

    /// All servers pending: it never gets so warm that large ones would leave each other, and they may sit where they cannot
    /// stay.
    fn dealt_anew(&self, part: &Part) -> Option<Annealing<'a>> {
        if self.steps < STEPS_MANY {
            return None;
        }
        let hosts: Vec<Packed> =
            part.after.iter().map(|host| Packed { kind: host.kind, servers: Vec::new() }).collect();
        let placed = part.after.iter().flat_map(|host| &host.servers);
        let all: Vec<usize> = placed.chain(&part.pending).copied().collect();
        Annealing::new(self.problem, &hosts, &all)
    }

    /// The hosts with all pending servers on them, if there is a way.
    fn anneal(&mut self, part: &mut Part) -> Option<Vec<Packed>> {
        // Those that come to nothing count, too.
        self.shared.turns.fetch_add(1, Ordering::Relaxed);
        let mut annealing =
            self.dealt_anew(part).or_else(|| Annealing::new(self.problem, &part.after, &part.pending))?;
        let servers = annealing.servers() as u64;
        let steps = (self.steps * part.after.len() as u64).min(servers * servers * STEPS_PAIR);
        let warmth = self.steps as f64 / STEPS_MANY as f64;
        let mut random = self.random.clone();
        let mut is_over = || {
            self.shared.turns.fetch_add(1, Ordering::Relaxed);
            self.is_over() || self.is_stale(part)
        };
        let found = annealing.run(steps, warmth, &mut random, &mut is_over);
        self.random = random;
        found.then(|| annealing.packed().collect())
    }
}

/// Where the part's hosts are in the best, if they all are there as they were, and its servers without a place, too.
fn places(part: &Part, best: &Packing) -> Option<Vec<usize>> {
    let still = part.unplaced.iter().all(|server| best.unplaced.contains(server));
    let place = |host: &Packed| best.hosts.iter().position(|other| other == host);
    part.before.iter().map(place).collect::<Option<Vec<usize>>>().filter(|_| still)
}

fn shuffle<T>(list: &mut [T], random: &mut impl Rng) {
    for last in (1..list.len()).rev() {
        list.swap(last, random.random_range(0..=last));
    }
}
