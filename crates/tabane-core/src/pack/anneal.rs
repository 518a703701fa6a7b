//! Places for servers that found none, by annealing: hosts may be asked for more than they have, and that is brought to
//! nothing.
//!
//! ```text
//!   pending servers are put where they do the least harm ─► some hosts are asked for too much
//!        ▲                                                        │  a round: those and some others exchange servers,
//!        │                                                        ▼  at first nearly at random, then only for the better
//!        └───────────── a round that made it worse is undone ─── less is too much ─► nothing is: a packing
//! ```
//!
//! Hosts that are full to the brim cannot exchange anything as long as each step has to fit; here they can.
//!
//! Source: Kirkpatrick, Gelatt, Vecchi, "Optimization by Simulated Annealing" (1983).

use rand::{Rng, RngExt};

use super::{
    Packed, Problem,
    columns::{Columns, Segment},
};

/// Hosts of a round.
const HOSTS: std::ops::RangeInclusive<usize> = 4..=12;
/// Of them those that are asked for too much, at most.
const HOSTS_OVER_MAX: usize = 3;
/// Steps of a round for each of its hosts, at least and at most.
const STEPS: std::ops::RangeInclusive<u64> = 50_000..=250_000;
/// What too much is put up with, as a share of a host at one moment: from something below the first down to the second.
const WARM: f64 = 0.03;
const COLD: f64 = 0.000_12;
/// Steps between two looks at the time and at how warm it is.
const STEPS_BLIND: u64 = 256;
/// Rounds without less being too much, after which it is given up.
const ROUNDS_IDLE_MAX: u32 = 40;
/// Share of the steps that move one server; the others exchange two.
const MOVED: f64 = 0.4;
/// Share of the steps that begin with a host that is asked for too much.
const FROM_OVER: f64 = 0.3;

pub(super) struct Annealing<'a> {
    problem: &'a Problem,
    columns: &'a Columns,
    hosts: Vec<Host>,
}

#[derive(Clone)]
struct Host {
    kind: usize,
    servers: Vec<usize>,
    /// What its servers need beyond what it has.
    over: Vec<i32>,
    /// All of that which is above zero, as a share of what it has.
    excess: f64,
    /// For each group of servers that stay apart, whether one of it is here.
    groups: Vec<bool>,
}

/// Rows of the server that comes and of the one that goes.
type Change<'a> = (Option<&'a [i32]>, Option<&'a [i32]>);

impl<'a> Annealing<'a> {
    /// `None` if a pending server may be nowhere.
    pub fn new(
        problem: &'a Problem,
        columns: &'a Columns,
        hosts: &[Packed],
        pending: &[usize],
    ) -> Option<Self> {
        let mut all = Vec::new();
        for packed in hosts {
            let mut host = Host {
                kind: packed.kind,
                servers: Vec::new(),
                over: columns.empty(problem, packed.kind),
                excess: 0.0,
                groups: vec![false; problem.groups()],
            };
            packed.servers.iter().for_each(|server| host.add(problem, columns, *server));
            host.excess = host.measured(problem, columns);
            all.push(host);
        }
        let mut annealing = Self { problem, columns, hosts: all };
        pending.iter().try_for_each(|server| annealing.put(*server))?;
        Some(annealing)
    }

    /// Where it does the least harm; among such hosts where the fewest are.
    fn put(&mut self, server: usize) -> Option<()> {
        let (problem, columns) = (self.problem, self.columns);
        let row = columns.row(server);
        let harm = |host: &Host| {
            let after = host.sum(problem, columns, f64::INFINITY, (Some(row), None));
            after.unwrap_or(f64::INFINITY) - host.excess
        };
        let may = self.hosts.iter_mut().filter(|host| host.takes(problem, server, None));
        let (_, host) = may
            .map(|host| ((harm(host), host.servers.len()), host))
            .min_by(|(a, _), (b, _)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))?;
        host.add(problem, columns, server);
        host.excess = host.measured(problem, columns);
        Some(())
    }

    /// Whether nothing is too much any more. `stop` is asked every [`STEPS_BLIND`] steps.
    pub fn run(&mut self, random: &mut impl Rng, stop: &mut dyn FnMut() -> bool) -> bool {
        let mut idle = 0;
        while !self.is_done() {
            if idle > ROUNDS_IDLE_MAX || self.hosts.len() < 2 {
                return false;
            }
            let before = self.excess();
            if !self.round(random, stop) {
                return false;
            }
            idle = if self.excess() < before { 0 } else { idle + 1 };
        }
        true
    }

    pub fn packed(&self) -> impl Iterator<Item = Packed> {
        self.hosts.iter().map(|host| Packed { kind: host.kind, servers: host.servers.clone() })
    }

    fn is_done(&self) -> bool {
        self.hosts.iter().all(|host| host.excess <= 0.0)
    }

    fn excess(&self) -> f64 {
        self.hosts.iter().map(|host| host.excess).sum()
    }

    /// `false` if it was stopped.
    fn round(&mut self, random: &mut impl Rng, stop: &mut dyn FnMut() -> bool) -> bool {
        let chosen = self.chosen(random);
        let kept: Vec<Host> = chosen.iter().map(|at| self.hosts[*at].clone()).collect();
        let before: f64 = kept.iter().map(|host| host.excess).sum();
        // Few servers have few ways to be placed.
        let servers = kept.iter().map(|host| host.servers.len() as u64).sum::<u64>();
        let steps = (random.random_range(STEPS) * chosen.len() as u64).min(servers * servers * 200);
        let warm = WARM * 0.1f64.powf(random.random());
        let mut heat = warm;
        for step in 0..steps {
            if step % STEPS_BLIND == 0 {
                heat = warm * (COLD / warm).powf(step as f64 / steps as f64);
                if stop() {
                    return false;
                }
                if chosen.iter().all(|at| self.hosts[*at].excess <= 0.0) {
                    break;
                }
            }
            self.step(&chosen, heat, random);
        }
        let after: f64 = chosen.iter().map(|at| self.hosts[*at].excess).sum();
        if after > before {
            chosen.into_iter().zip(kept).for_each(|(at, host)| self.hosts[at] = host);
        }
        true
    }

    /// Some that are asked for too much, and some others.
    fn chosen(&self, random: &mut impl Rng) -> Vec<usize> {
        let count = random.random_range(HOSTS).min(self.hosts.len());
        let (over, others): (Vec<usize>, Vec<usize>) =
            (0..self.hosts.len()).partition(|at| self.hosts[*at].excess > 0.0);
        let mut chosen = Vec::new();
        for (mut from, most) in [(over, HOSTS_OVER_MAX.min(count)), (others, count)] {
            while chosen.len() < most && !from.is_empty() {
                chosen.push(from.swap_remove(random.random_range(0..from.len())));
            }
        }
        chosen
    }

    /// Tries to move one server, or to exchange two.
    fn step(&mut self, chosen: &[usize], heat: f64, random: &mut impl Rng) {
        let any = |random: &mut _| chosen[RngExt::random_range(random, 0..chosen.len())];
        let mut from = any(random);
        if random.random_bool(FROM_OVER)
            && let Some(over) = chosen.iter().find(|at| self.hosts[**at].excess > 0.0)
        {
            from = *over;
        }
        let to = any(random);
        if from == to || self.hosts[from].servers.is_empty() {
            return;
        }
        let given = random.random_range(0..self.hosts[from].servers.len());
        // What is put up with: as in nature, the less the more often.
        let put_up = -heat * random.random::<f64>().max(f64::MIN_POSITIVE).ln();
        let limit = self.hosts[from].excess + self.hosts[to].excess + put_up;
        if self.hosts[to].servers.is_empty() || random.random_bool(MOVED) {
            self.try_move(from, given, to, limit);
        } else {
            let taken = random.random_range(0..self.hosts[to].servers.len());
            self.try_exchange((from, given), (to, taken), limit);
        }
    }

    fn try_move(&mut self, from: usize, given: usize, to: usize, limit: f64) {
        let (problem, columns) = (self.problem, self.columns);
        let server = self.hosts[from].servers[given];
        if !self.hosts[to].takes(problem, server, None) {
            return;
        }
        let row = columns.row(server);
        let Some(there) = self.hosts[to].sum(problem, columns, limit, (Some(row), None)) else {
            return;
        };
        let here = self.hosts[from].sum(problem, columns, limit - there, (None, Some(row)));
        let Some(here) = here else { return };
        self.hosts[from].take(problem, columns, given);
        self.hosts[to].add(problem, columns, server);
        (self.hosts[from].excess, self.hosts[to].excess) = (here, there);
    }

    fn try_exchange(&mut self, (from, given): (usize, usize), (to, taken): (usize, usize), limit: f64) {
        let (problem, columns) = (self.problem, self.columns);
        let (one, other) = (self.hosts[from].servers[given], self.hosts[to].servers[taken]);
        if !self.hosts[to].takes(problem, one, Some(other))
            || !self.hosts[from].takes(problem, other, Some(one))
        {
            return;
        }
        let (a, b) = (columns.row(one), columns.row(other));
        let there = self.hosts[to].sum(problem, columns, limit, (Some(a), Some(b)));
        let Some(there) = there else { return };
        let here = self.hosts[from].sum(problem, columns, limit - there, (Some(b), Some(a)));
        let Some(here) = here else { return };
        self.hosts[from].take(problem, columns, given);
        self.hosts[to].take(problem, columns, taken);
        self.hosts[from].add(problem, columns, other);
        self.hosts[to].add(problem, columns, one);
        (self.hosts[from].excess, self.hosts[to].excess) = (here, there);
    }
}

impl Host {
    /// Whether rules let the server be here, once another one has gone.
    fn takes(&self, problem: &Problem, server: usize, without: Option<usize>) -> bool {
        let goes = |group: &u32| without.is_some_and(|other| problem.apart(other).contains(group));
        problem.may(server, self.kind)
            && problem.apart(server).iter().all(|group| !self.groups[*group as usize] || goes(group))
    }

    fn add(&mut self, problem: &Problem, columns: &Columns, server: usize) {
        self.over.iter_mut().zip(columns.row(server)).for_each(|(over, value)| *over += value);
        problem.apart(server).iter().for_each(|group| self.groups[*group as usize] = true);
        self.servers.push(server);
    }

    fn take(&mut self, problem: &Problem, columns: &Columns, at: usize) {
        let server = self.servers.swap_remove(at);
        self.over.iter_mut().zip(columns.row(server)).for_each(|(over, value)| *over -= value);
        problem.apart(server).iter().for_each(|group| self.groups[*group as usize] = false);
    }

    fn measured(&self, problem: &Problem, columns: &Columns) -> f64 {
        self.sum(problem, columns, f64::INFINITY, (None, None)).unwrap_or(f64::INFINITY)
    }

    /// What would be too much if one server came and another went; `None` if that is more than the limit.
    fn sum(
        &self,
        problem: &Problem,
        columns: &Columns,
        limit: f64,
        (comes, goes): Change<'_>,
    ) -> Option<f64> {
        let mut sum = 0.0;
        for Segment { range, dimension } in &columns.segments {
            let over = &self.over[range.clone()];
            let units = match (comes.map(|row| &row[range.clone()]), goes.map(|row| &row[range.clone()])) {
                (None, None) => total(over.iter().copied()),
                (Some(a), None) => total(over.iter().zip(a).map(|(over, a)| over + a)),
                (None, Some(b)) => total(over.iter().zip(b).map(|(over, b)| over - b)),
                (Some(a), Some(b)) => total(over.iter().zip(a).zip(b).map(|((over, a), b)| over + a - b)),
            };
            if units > 0 {
                sum += f64::from(units) * columns.unit(problem, self.kind, *dimension);
                if sum > limit {
                    return None;
                }
            }
        }
        Some(sum)
    }
}

/// Of a segment, whose sums fit.
#[inline]
fn total(over: impl Iterator<Item = i32>) -> i32 {
    over.map(|over| over.max(0)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;
    use crate::pack::{DemandBuilder, Kind, Packing, check_packing};

    fn problem(sizes: &[u32], capacity: u32) -> Problem {
        let mut builder = DemandBuilder::new(&[1], sizes.len());
        sizes.iter().for_each(|size| builder.push(&[&[*size]]));
        Problem::new(builder.finish(), vec![Kind { capacity: vec![capacity], price: 1.0, count: None }])
            .unwrap()
    }

    /// The packing that comes of it in so many looks at the time.
    fn annealed(problem: &Problem, hosts: &[Packed], pending: &[usize], looks: u32) -> Option<Vec<Packed>> {
        let columns = Columns::of(problem).unwrap();
        let mut annealing = Annealing::new(problem, &columns, hosts, pending)?;
        let mut left = looks;
        let mut stop = || {
            left = left.saturating_sub(1);
            left == 0
        };
        let done = annealing.run(&mut SmallRng::seed_from_u64(1), &mut stop);
        done.then(|| annealing.packed().collect())
    }

    fn host(servers: &[usize]) -> Packed {
        Packed { kind: 0, servers: servers.to_vec() }
    }

    #[test]
    fn servers_that_are_in_the_way_of_each_other_are_exchanged() {
        // 6 + 4 and 5 + 5 fill both to the brim; nothing can be moved as long as each step has to fit.
        let problem = problem(&[6, 5, 4, 5], 10);
        let mut hosts = annealed(&problem, &[host(&[0]), host(&[1, 2])], &[3], 1_000).unwrap();
        hosts.iter_mut().for_each(|host| host.servers.sort_unstable());
        hosts.sort_by(|a, b| a.servers.cmp(&b.servers));
        assert_eq!(hosts, [host(&[0, 2]), host(&[1, 3])]);
        // One more has no place, and that is no packing.
        let problem = self::problem(&[6, 5, 4, 5, 1], 10);
        assert_eq!(annealed(&problem, &[host(&[0]), host(&[1, 2])], &[3, 4], 1_000), None);
    }

    #[test]
    fn a_server_that_may_be_nowhere_stays_pending() {
        let mut problem = problem(&[1, 1], 10);
        problem.keep_apart(&[0, 1]);
        assert_eq!(annealed(&problem, &[host(&[0])], &[1], 100), None);
    }

    proptest! {
        #[test]
        fn what_is_found_fits_and_keeps_the_rules(
            sizes in proptest::collection::vec((1u32..50, 1u32..50, 1u32..50), 4..24),
            apart in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
            pinned in any::<prop::sample::Index>(),
            scale in prop::sample::select(vec![1u32, 1_003, 700_001, 17_000_003]),
            count in 2usize..6,
        ) {
            let mut builder = DemandBuilder::new(&[2, 1], sizes.len());
            for (a, b, c) in &sizes {
                builder.push(&[&[a * scale, b * scale + a % 3], &[*c]]);
            }
            let kind = |cpu: u32| Kind { capacity: vec![cpu, 120], price: 1.0, count: None };
            let mut problem = Problem::new(builder.finish(), vec![kind(101 * scale + 1), kind(120 * scale)]).unwrap();
            let mut group: Vec<usize> = apart.iter().map(|at| at.index(sizes.len())).collect();
            group.sort_unstable();
            group.dedup();
            problem.keep_apart(&group);
            problem.allow(pinned.index(sizes.len()), &[1]);
            let hosts: Vec<Packed> = (0..count).map(|at| Packed { kind: at % 2, servers: Vec::new() }).collect();
            let all: Vec<usize> = (0..sizes.len()).collect();
            if let Some(hosts) = annealed(&problem, &hosts, &all, 200) {
                let packing = Packing { hosts, unplaced: Vec::new() };
                prop_assert_eq!(check_packing(&problem, &packing), []);
            }
        }
    }
}
