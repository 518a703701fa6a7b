//! Fewer or cheaper hosts, by ruin and recreate, and by annealing.
//!
//! ```text
//!  best ──► give up hosts, or exchange them for cheaper ones ──► servers are pending
//!   ▲                                                                 │  ruin: take some servers off a few hosts
//!   │                                                                 │  recreate: place them and the pending ones anew
//!   └── none is pending: a better packing ◄───────────────────────────┘  keep it unless more is pending than before
//! ```
//!
//! Every other time places for the pending are found by [`super::anneal`] instead. Several workers do it side by side, from the
//! best that any of them has found.

use std::sync::{
    Mutex, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};

use super::{Crowd, Load, Packed, Packing, Problem, anneal::Annealing, columns::Columns, construct::packed};

/// Hosts that are ruined in a turn at most.
const HOSTS_RUINED_MAX: usize = 3;
/// Servers that are taken off one of them at most.
const SERVERS_TAKEN_MAX: usize = 10;
/// Hosts that are given up at once at most, where there are kinds to choose from.
const HOSTS_EXCHANGED_MAX: usize = 4;
/// Hosts of which one is given up.
const HOSTS_DRAWN: usize = 3;
/// One in so many hosts is overlooked when a server is placed, so that turns differ.
const OVERLOOKED: u32 = 50;
/// Turns without one more server placed, after which another host is given up instead.
const TURNS_IDLE_MAX: u64 = 60_000;
/// Turns between two looks at what the others have found.
const TURNS_BLIND: u64 = 64;

#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub packing: Packing,
    /// Ruins and recreations, and some hundred steps of annealing each, of all workers.
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
        best: Mutex::new(packing),
        turns: AtomicU64::new(0),
        columns: OnceLock::new(),
    };
    std::thread::scope(|scope| {
        for worker in 0..workers.max(1) {
            let shared = &shared;
            let random = SmallRng::seed_from_u64(seed.wrapping_add(worker as u64));
            scope.spawn(move || Worker { problem, shared, enough, random, stop }.run(worker % 2 == 1));
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
    best: Mutex<Packing>,
    turns: AtomicU64,
    /// Made when somebody needs it.
    columns: OnceLock<Option<Columns>>,
}

struct Worker<'a> {
    problem: &'a Problem,
    shared: &'a Shared,
    enough: f64,
    random: SmallRng,
    stop: &'a (dyn Fn(u64, f64) -> bool + Sync),
}

/// A packing that is being made.
struct Attempt {
    crowd: Crowd,
    loads: Vec<Load>,
    pending: Vec<usize>,
    /// Servers that fit no host at all.
    homeless: Vec<usize>,
    /// How often a server was left over: those come first.
    missed: Vec<u32>,
    sizes: Vec<f32>,
    /// Its rank when nothing is pending.
    goal: f64,
}

impl Worker<'_> {
    /// Both ways in turn: each succeeds where the other does not.
    fn run(mut self, mut anneals: bool) {
        let mut base = self.best();
        while !self.is_over() {
            let Some(mut attempt) = self.attempt(&base) else { return };
            let found = if anneals { self.anneal(&mut attempt) } else { self.work(&mut attempt) };
            if found {
                self.publish(&attempt);
            }
            anneals = !anneals;
            base = self.best();
        }
    }

    fn best(&self) -> Packing {
        self.shared.best.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn cost(&self) -> f64 {
        f64::from_bits(self.shared.cost.load(Ordering::Acquire))
    }

    fn is_over(&self) -> bool {
        let cost = self.cost();
        cost <= self.enough || (self.stop)(self.shared.turns.load(Ordering::Relaxed), cost)
    }

    fn publish(&self, attempt: &Attempt) {
        let mut best = self.shared.best.lock().unwrap_or_else(PoisonError::into_inner);
        if attempt.goal < self.cost() {
            let hosts = attempt.loads.iter().filter(|load| !load.servers.is_empty()).map(packed).collect();
            *best = Packing { hosts, unplaced: attempt.homeless.clone() };
            self.shared.cost.store(rank(self.problem, &best).to_bits(), Ordering::Release);
        }
    }

    /// The best packing with some change that makes it cheaper. `None` if there is nothing to be gained.
    fn attempt(&mut self, base: &Packing) -> Option<Attempt> {
        let problem = self.problem;
        let (homeless, mut pending): (Vec<usize>, Vec<usize>) =
            base.unplaced.iter().copied().partition(|server| !problem.fits_any(*server));
        let mut kinds: Vec<usize> = base.hosts.iter().map(|host| host.kind).collect();
        let mut servers: Vec<Vec<usize>> = base.hosts.iter().map(|host| host.servers.clone()).collect();
        if pending.is_empty() {
            pending = self.change(&mut kinds, &mut servers)?;
        }
        let crowd = Crowd::new(problem, &kinds);
        let hosts = kinds.iter().zip(servers).map(|(kind, servers)| Packed { kind: *kind, servers });
        let loads: Vec<Load> = hosts.map(|host| loaded(problem, &host, &mut pending)).collect();
        let sizes = (0..problem.demand().servers()).map(|server| crowd.size(problem, server)).collect();
        let goal =
            rank(problem, &Packing { hosts: loads.iter().map(packed).collect(), unplaced: homeless.clone() });
        let missed = vec![0; problem.demand().servers()];
        Some(Attempt { crowd, loads, pending, homeless, missed, sizes, goal })
    }

    /// Gives up some hosts for others that cost less together, or for none; returns the servers that they had.
    fn change(&mut self, kinds: &mut Vec<usize>, servers: &mut Vec<Vec<usize>>) -> Option<Vec<usize>> {
        let all = self.problem.kinds();
        let priced = kinds.iter().filter(|kind| all[**kind].price > 0.0).count();
        if priced == 0 {
            return None;
        }
        let (mut money, mut pending) = (0.0, Vec::new());
        // One alone is given up most of the time: it is what succeeds where all hosts are alike.
        let most = if all.len() > 1 && self.random.random_bool(0.5) { HOSTS_EXCHANGED_MAX } else { 1 };
        for _ in 0..self.random.random_range(1..=most.min(priced)) {
            let left: Vec<usize> = (0..kinds.len()).filter(|host| all[kinds[*host]].price > 0.0).collect();
            // Of a few the one with the fewest servers: there is the least to find places for.
            let drawn = (0..HOSTS_DRAWN).map(|_| left[self.random.random_range(0..left.len())]);
            let host = drawn.min_by_key(|host| servers[*host].len()).expect("some are drawn");
            money += all[kinds.remove(host)].price;
            pending.append(&mut servers.remove(host));
        }
        let wanted = self.random.random_range(0..all.len());
        let used = kinds.iter().filter(|kind| **kind == wanted).count();
        let there = all[wanted].count.map_or(most, |count| count.saturating_sub(used).min(most));
        for _ in 0..there {
            money -= all[wanted].price;
            if money <= 0.0 {
                break;
            }
            kinds.push(wanted);
            servers.push(Vec::new());
        }
        Some(pending)
    }

    /// Whether all pending servers have found a place, by way of hosts that are asked for too much.
    fn anneal(&mut self, attempt: &mut Attempt) -> bool {
        let problem = self.problem;
        let Some(columns) = self.shared.columns.get_or_init(|| Columns::of(problem)) else { return false };
        let hosts: Vec<Packed> = attempt.loads.iter().map(packed).collect();
        let Some(mut annealing) = Annealing::new(problem, columns, &hosts, &attempt.pending) else {
            return false;
        };
        let (shared, enough, stop, goal) = (self.shared, self.enough, self.stop, attempt.goal);
        let mut is_over = || {
            let turns = shared.turns.fetch_add(1, Ordering::Relaxed);
            let cost = f64::from_bits(shared.cost.load(Ordering::Acquire));
            goal >= cost || cost <= enough || stop(turns, cost)
        };
        annealing.run(&mut self.random, &mut is_over) && {
            attempt.pending.clear();
            attempt.loads =
                annealing.packed().map(|host| loaded(problem, &host, &mut attempt.pending)).collect();
            attempt.pending.is_empty()
        }
    }

    /// Whether all pending servers have found a place.
    fn work(&mut self, attempt: &mut Attempt) -> bool {
        let mut idle = 0;
        let mut fewest = usize::MAX;
        let mut turns = 0;
        while !attempt.pending.is_empty() {
            if turns % TURNS_BLIND == 0 {
                self.shared.turns.fetch_add(turns.min(TURNS_BLIND), Ordering::Relaxed);
                if self.is_over() || attempt.goal >= self.cost() || idle > TURNS_IDLE_MAX {
                    return false;
                }
            }
            self.turn(attempt);
            turns += 1;
            idle += 1;
            if attempt.pending.len() < fewest {
                (fewest, idle) = (attempt.pending.len(), 0);
            }
        }
        true
    }

    fn turn(&mut self, attempt: &mut Attempt) {
        let problem = self.problem;
        let mut kept: Vec<(usize, Load)> = Vec::new();
        let mut queue = attempt.pending.clone();
        for _ in 0..self.random.random_range(1..=HOSTS_RUINED_MAX) {
            if attempt.loads.is_empty() {
                break;
            }
            let host = self.random.random_range(0..attempt.loads.len());
            if kept.iter().any(|(known, _)| *known == host) {
                continue;
            }
            kept.push((host, attempt.loads[host].clone()));
            let load = &mut attempt.loads[host];
            for _ in 0..self.random.random_range(1..=SERVERS_TAKEN_MAX).min(load.servers.len()) {
                let at = self.random.random_range(0..load.servers.len());
                queue.push(load.take(problem, at));
            }
        }
        self.order(attempt, &mut queue);
        let tight = self.random.random_bool(0.5);
        let mut left = Vec::new();
        for server in queue {
            match self.place(attempt, server, tight) {
                Some(host) => {
                    if !kept.iter().any(|(known, _)| *known == host) {
                        kept.push((host, attempt.loads[host].clone()));
                    }
                    attempt.loads[host].add(problem, server);
                }
                None => left.push(server),
            }
        }
        let misses =
            |servers: &[usize]| servers.iter().map(|s| u64::from(attempt.missed[*s]) + 1).sum::<u64>();
        if left.len() < attempt.pending.len() || misses(&left) <= misses(&attempt.pending) {
            attempt.pending = left;
        } else {
            left.iter().for_each(|server| attempt.missed[*server] += 1);
            kept.into_iter().for_each(|(host, load)| attempt.loads[host] = load);
        }
    }

    /// In one of several orders, since each finds what the others overlook.
    fn order(&mut self, attempt: &Attempt, queue: &mut [usize]) {
        let size = |server: &usize| attempt.sizes[*server];
        match self.random.random_range(0..3) {
            0 => shuffle(queue, &mut self.random),
            1 => queue.sort_by(|a, b| size(b).total_cmp(&size(a))),
            _ => queue.sort_by(|a, b| {
                attempt.missed[*b].cmp(&attempt.missed[*a]).then(size(b).total_cmp(&size(a)))
            }),
        }
    }

    /// The host whose moments meet the server's the least, or, where it is to be tight, the most.
    fn place(&mut self, attempt: &Attempt, server: usize, tight: bool) -> Option<usize> {
        let mut best: Option<(f32, usize)> = None;
        for (at, load) in attempt.loads.iter().enumerate() {
            if load.rejects(self.problem, server) || self.random.random_ratio(1, OVERLOOKED) {
                continue;
            }
            let friction = attempt.crowd.friction(self.problem, load, server);
            let friction = if tight { -friction } else { friction };
            if best.is_none_or(|(least, _)| friction < least) && load.takes(self.problem, server) {
                best = Some((friction, at));
            }
        }
        best.map(|(_, at)| at)
    }
}

/// The host with those of its servers that it takes; the others are pending.
fn loaded(problem: &Problem, host: &Packed, pending: &mut Vec<usize>) -> Load {
    let mut load = Load::empty(problem, host.kind);
    for server in &host.servers {
        if load.takes(problem, *server) { load.add(problem, *server) } else { pending.push(*server) }
    }
    load
}

fn shuffle(list: &mut [usize], random: &mut impl Rng) {
    for last in (1..list.len()).rev() {
        list.swap(last, random.random_range(0..=last));
    }
}
