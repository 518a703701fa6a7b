//! Fewer or cheaper hosts, by ruin and recreate, and by annealing.
//!
//! ```text
//!  best ──► give up hosts, or exchange them for cheaper ones ──► servers are pending
//!   ▲                                                                 │  ruin: take some servers off a few hosts
//!   │                                                                 │  recreate: place them and the pending ones anew
//!   └── none is pending: a better packing ◄───────────────────────────┘  keep it unless more is pending than before
//! ```
//!
//! Places for the pending are found by [`super::anneal`], too. Of many hosts only some are looked at each time. Several
//! workers do it side by side, each with hosts of its own where there are enough, from the best that any of them has found.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};

use super::{Crowd, Load, Packed, Packing, Problem, anneal::Annealing, construct::packed, crowd::Needs};

/// Hosts that are looked at together at most.
const HOSTS_TOGETHER: usize = 48;
/// Steps of an annealing for each of its hosts at first; after each one that found nothing twice as many, up to a number.
const STEPS_FIRST: u64 = 250_000;
const STEPS_MAX: u64 = 16_000_000;
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
    /// Ruins and recreations, and about a thousand steps of annealing each, of all workers.
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
    /// When the best was looked at.
    found: u64,
}

/// A packing of a part that is being made.
struct Attempt {
    crowd: Crowd,
    loads: Vec<Load>,
    pending: Vec<usize>,
    /// How often a server was left over: those come first.
    missed: Vec<u32>,
    sizes: Vec<f32>,
}

impl Worker<'_> {
    /// Both ways in turn: each succeeds where the other does not.
    fn run(mut self) {
        let mut anneals = self.share.0 % 2 == 1;
        while !self.is_over() {
            let Some(mut part) = self.part() else { return };
            let hosts = if anneals { self.anneal(&mut part) } else { self.work(&mut part) };
            if let Some(hosts) = hosts {
                self.publish(&part, hosts);
            }
            anneals = !anneals;
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
        let unplaced: Vec<usize> =
            best.unplaced.iter().copied().filter(|server| problem.fits_any(*server)).collect();
        let (before, others) = self.some(best.hosts);
        let mut after = before.clone();
        let mut pending = unplaced.clone();
        if pending.is_empty() {
            let mut used = vec![0; problem.kinds().len()];
            others.iter().for_each(|host| used[host.kind] += 1);
            pending = self.change(&mut after, &used)?;
        }
        Some(Part { before, unplaced, after, pending, found })
    }

    /// Hosts for a part, and all others: those of which this worker has the first server, as far as there are enough.
    fn some(&mut self, mut hosts: Vec<Packed>) -> (Vec<Packed>, Vec<Packed>) {
        if hosts.len() <= HOSTS_TOGETHER {
            return (hosts, Vec::new());
        }
        shuffle(&mut hosts, &mut self.random);
        let (worker, workers) = self.share;
        let own = |host: &Packed| host.servers.first().is_some_and(|server| server % workers == worker);
        hosts.sort_by_key(|host| !own(host));
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

    /// The hosts with all pending servers, by way of hosts that are asked for too much.
    fn anneal(&mut self, part: &mut Part) -> Option<Vec<Packed>> {
        let mut annealing = Annealing::new(self.problem, &part.after, &part.pending)?;
        let steps = self.steps * part.after.len() as u64;
        let mut random = self.random.clone();
        let mut is_over = || {
            self.shared.turns.fetch_add(1, Ordering::Relaxed);
            self.is_over() || self.is_stale(part)
        };
        let found = annealing.run(steps, &mut random, &mut is_over);
        self.random = random;
        self.steps = if found { STEPS_FIRST } else { (self.steps * 2).min(STEPS_MAX) };
        found.then(|| annealing.packed().collect())
    }

    /// The hosts with all pending servers, by ruin and recreate.
    fn work(&mut self, part: &mut Part) -> Option<Vec<Packed>> {
        let mut attempt = self.attempt(part);
        let mut idle = 0;
        let mut fewest = usize::MAX;
        let mut turns = 0;
        while !attempt.pending.is_empty() {
            if turns % TURNS_BLIND == 0 {
                self.shared.turns.fetch_add(turns.min(TURNS_BLIND), Ordering::Relaxed);
                if self.is_over() || idle > TURNS_IDLE_MAX || self.is_stale(part) {
                    return None;
                }
            }
            self.turn(&mut attempt);
            turns += 1;
            idle += 1;
            if attempt.pending.len() < fewest {
                (fewest, idle) = (attempt.pending.len(), 0);
            }
        }
        Some(attempt.loads.iter().map(packed).collect())
    }

    fn attempt(&self, part: &Part) -> Attempt {
        let problem = self.problem;
        let mut pending = part.pending.clone();
        let placed = part.after.iter().flat_map(|host| &host.servers);
        let servers: Vec<usize> = placed.chain(&pending).copied().collect();
        let kinds: Vec<usize> = part.after.iter().map(|host| host.kind).collect();
        let crowd = Crowd::of(problem, &Needs::of(problem, &servers), &kinds);
        let mut sizes = vec![0.0; problem.demand().servers()];
        servers.iter().for_each(|server| sizes[*server] = crowd.size(problem, *server));
        let loads = part.after.iter().map(|host| loaded(problem, host, &mut pending)).collect();
        let missed = vec![0; problem.demand().servers()];
        Attempt { crowd, loads, pending, missed, sizes }
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

/// Where the part's hosts are in the best, if they all are there as they were, and its servers without a place, too.
fn places(part: &Part, best: &Packing) -> Option<Vec<usize>> {
    let still = part.unplaced.iter().all(|server| best.unplaced.contains(server));
    let place = |host: &Packed| best.hosts.iter().position(|other| other == host);
    part.before.iter().map(place).collect::<Option<Vec<usize>>>().filter(|_| still)
}

/// The host with those of its servers that it takes; the others are pending.
fn loaded(problem: &Problem, host: &Packed, pending: &mut Vec<usize>) -> Load {
    let mut load = Load::empty(problem, host.kind);
    for server in &host.servers {
        if load.takes(problem, *server) { load.add(problem, *server) } else { pending.push(*server) }
    }
    load
}

fn shuffle<T>(list: &mut [T], random: &mut impl Rng) {
    for last in (1..list.len()).rev() {
        list.swap(last, random.random_range(0..=last));
    }
}
