//! Places for servers that found none, by annealing: hosts may be asked for more than they have, and that is brought to
//! nothing.
//!
//! ```text
//!   pending servers are put where they do the least harm ─► hosts are asked for too much
//!                                                               │  servers move and change places, at first nearly at
//!        ┌─── further moments are looked at, too ◄────────┐     ▼  random, then only for the better
//!        └───────────────────────────────────────────────┴─ nothing is too much at the moments that are looked at,
//!                                                             and at no other one: a packing
//! ```
//!
//! Hosts that are full to the brim cannot exchange anything as long as each step has to fit; here they can. Few moments
//! decide, so only the scarcest are looked at, and others once they turned out to matter.
//!
//! Source: Kirkpatrick, Gelatt, Vecchi, "Optimization by Simulated Annealing" (1983).

use std::ops::ControlFlow;

use rand::{Rng, RngExt};

use super::{
    Packed, Problem,
    columns::{Columns, overloads},
    sums::{above_zero, change},
};

/// What too much is put up with, as a share of a host at one moment: at first, when it is warmed up again, and at the end.
const WARM: f64 = 0.06;
const LUKEWARM: f64 = 0.001;
const COLD: f64 = 0.000_2;
/// Share of the steps that are made again then.
const STEPS_AGAIN: f64 = 0.3;
/// Where no more than this is too much at the end, as a share of a host at one moment, it is warmed up again, so often at most.
const NEARLY: f64 = 0.05;
const AGAIN_MAX: u32 = 4;
/// Steps between two looks at the time and at how warm it is.
pub(super) const STEPS_BLIND: u64 = 1024;
/// Columns by which servers are large or small.
const SCARCEST: usize = 64;
/// Share of the steps that move one server; the others exchange two.
const MOVED: f64 = 0.5;
/// Share of the steps that begin with a host that is asked for too much.
const FROM_OVER: f64 = 0.3;
/// A server is exchanged for one of so many that are the next larger or smaller: a share of all, and at least.
const ALIKE: usize = 20;
const ALIKE_MIN: usize = 8;

pub(super) struct Annealing<'a> {
    problem: &'a Problem,
    /// From here on servers are known by their places in this list.
    servers: Vec<usize>,
    columns: Columns,
    hosts: Vec<Host>,
    /// All that is too much.
    excess: i64,
    /// What the servers of each host need beyond what it has, one host after the other.
    over: Vec<i32>,
    /// Of each server the host, and its place there.
    seats: Vec<(usize, usize)>,
    /// All servers by what they need of what is scarce, and of each its place among them.
    sized: Vec<usize>,
    ranks: Vec<usize>,
}

struct Host {
    kind: usize,
    servers: Vec<usize>,
    /// What is too much here.
    excess: i64,
    /// For each group of servers that stay apart, whether one of it is here.
    groups: Vec<bool>,
}

/// Rows of the server that comes and of the one that goes.
type Change<'a> = (Option<&'a [i32]>, Option<&'a [i32]>);

impl<'a> Annealing<'a> {
    /// `None` if a pending server may be nowhere.
    pub fn new(problem: &'a Problem, hosts: &[Packed], pending: &[usize]) -> Option<Self> {
        let placed = hosts.iter().flat_map(|host| &host.servers);
        let servers: Vec<usize> = placed.chain(pending).copied().collect();
        let columns = Columns::of(problem, &servers, hosts.len());
        let size = |server: &usize| {
            let scarcest = columns.row(*server).iter().take(SCARCEST);
            scarcest.map(|value| i64::from(*value)).sum::<i64>()
        };
        let mut sized: Vec<usize> = (0..servers.len()).collect();
        sized.sort_by_cached_key(size);
        let mut ranks = vec![0; servers.len()];
        sized.iter().enumerate().for_each(|(rank, server)| ranks[*server] = rank);
        let empty = |host: &Packed| Host {
            kind: host.kind,
            servers: Vec::new(),
            excess: 0,
            groups: vec![false; problem.groups()],
        };
        let mut annealing = Self {
            problem,
            hosts: hosts.iter().map(empty).collect(),
            excess: 0,
            over: Vec::new(),
            seats: vec![(0, 0); servers.len()],
            servers,
            columns,
            sized,
            ranks,
        };
        let mut next = 0;
        for (to, host) in hosts.iter().enumerate() {
            for server in next..next + host.servers.len() {
                annealing.sit(server, to);
            }
            next += host.servers.len();
        }
        annealing.measure();
        // The largest first.
        let mut pending: Vec<usize> = (next..annealing.servers.len()).collect();
        pending.sort_by_key(|server| std::cmp::Reverse(annealing.ranks[*server]));
        pending.into_iter().try_for_each(|server| annealing.put(server))?;
        Some(annealing)
    }

    /// Where it does the least harm; among such hosts where the most is left of what is the scarcest.
    fn put(&mut self, server: usize) -> Option<()> {
        let scarcest = |to: usize| {
            let over = self.over[span(&self.columns, to)].iter().take(SCARCEST);
            over.map(|over| i64::from(*over)).sum::<i64>()
        };
        let harm = |to: usize| {
            let after = self.sum(to, i64::MAX, (Some(self.columns.row(server)), None));
            (after.unwrap_or(i64::MAX).saturating_sub(self.hosts[to].excess), scarcest(to))
        };
        let may = (0..self.hosts.len()).filter(|to| self.takes(*to, server, None));
        let to = may.min_by_key(|to| harm(*to))?;
        self.sit(server, to);
        let there = span(&self.columns, to);
        change(&mut self.over[there], Some(self.columns.row(server)), None);
        let after = self.measured(to);
        self.excess += after - self.hosts[to].excess;
        self.hosts[to].excess = after;
        Some(())
    }

    /// Whether nothing is too much any more, in about so many steps, and as warm at first as that share of the warmest.
    /// `stop` is asked every [`STEPS_BLIND`] of them.
    pub fn run(
        &mut self,
        steps: u64,
        warmth: f64,
        random: &mut impl Rng,
        stop: &mut dyn FnMut() -> bool,
    ) -> bool {
        if self.hosts.len() < 2 && self.excess > 0 {
            return false;
        }
        let (mut warm, mut left, mut again) = ((WARM * warmth).clamp(LUKEWARM, WARM), steps, 0);
        while self.cool(warm, left, random, stop).is_continue() {
            if self.excess > 0 {
                again += 1;
                if again > AGAIN_MAX || self.excess as f64 > self.columns.host * NEARLY {
                    return false;
                }
            } else {
                let hosts = self.packed();
                let more: Vec<_> = hosts.flat_map(|host| overloads(self.problem, &host)).collect();
                if more.is_empty() || !self.columns.add(self.problem, &self.servers, &more) {
                    return more.is_empty();
                }
                self.measure();
                again = 0;
            }
            (warm, left) = (LUKEWARM, (steps as f64 * STEPS_AGAIN) as u64);
        }
        false
    }

    pub fn servers(&self) -> usize {
        self.servers.len()
    }

    pub fn packed(&self) -> impl Iterator<Item = Packed> {
        let servers = |host: &Host| host.servers.iter().map(|server| self.servers[*server]).collect();
        self.hosts.iter().map(move |host| Packed { kind: host.kind, servers: servers(host) })
    }

    /// So many steps, or until nothing is too much at the moments that are looked at. Breaks if it was stopped.
    fn cool(
        &mut self,
        warm: f64,
        steps: u64,
        random: &mut impl Rng,
        stop: &mut dyn FnMut() -> bool,
    ) -> ControlFlow<()> {
        for begun in (0..steps).step_by(STEPS_BLIND as usize) {
            let heat = self.columns.host * warm * (COLD / warm).powf(begun as f64 / steps as f64);
            for _ in 0..STEPS_BLIND {
                self.step(heat, random);
                // At the next moment it may be too much again.
                if self.excess == 0 {
                    return ControlFlow::Continue(());
                }
            }
            if stop() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// Tries to move one server, or to exchange two.
    fn step(&mut self, heat: f64, random: &mut impl Rng) {
        let mut from = random.random_range(0..self.hosts.len());
        if random.random_bool(FROM_OVER) {
            let behind = (from..self.hosts.len()).chain(0..from);
            from = behind.into_iter().find(|host| self.hosts[*host].excess > 0).unwrap_or(from);
        }
        let there = &self.hosts[from].servers;
        if there.is_empty() {
            return;
        }
        let given = there[random.random_range(0..there.len())];
        // What is put up with: as in nature, the less the more often.
        let put_up = -heat * random.random::<f64>().max(f64::MIN_POSITIVE).ln();
        let (taken, to) = match random.random_bool(MOVED) {
            true => (None, random.random_range(0..self.hosts.len())),
            false => match self.alike(given, random) {
                Some(taken) => (Some(taken), self.seats[taken].0),
                None => return,
            },
        };
        self.try_step(given, taken, to, put_up as i64);
    }

    /// Another server that is a little larger or smaller.
    fn alike(&self, server: usize, random: &mut impl Rng) -> Option<usize> {
        let most = (self.servers.len() / ALIKE).max(ALIKE_MIN) as i64;
        let far = random.random_range(1..=most);
        let far = if random.random() { far } else { -far };
        self.ranks[server].checked_add_signed(far as isize).and_then(|rank| self.sized.get(rank)).copied()
    }

    /// A server goes elsewhere, and perhaps another one comes from there, unless too much would be too much.
    fn try_step(&mut self, given: usize, taken: Option<usize>, to: usize, put_up: i64) {
        let from = self.seats[given].0;
        if from == to
            || !self.takes(to, given, taken)
            || taken.is_some_and(|taken| !self.takes(from, taken, Some(given)))
        {
            return;
        }
        let limit = self.hosts[from].excess + self.hosts[to].excess + put_up;
        let (comes, goes) = (self.columns.row(given), taken.map(|taken| self.columns.row(taken)));
        let Some(there) = self.sum(to, limit, (Some(comes), goes)) else { return };
        let Some(here) = self.sum(from, limit - there, (goes, Some(comes))) else { return };
        self.rise(given);
        if let Some(taken) = taken {
            self.rise(taken);
            self.sit(taken, from);
        }
        self.sit(given, to);
        let (comes, goes) = (self.columns.row(given), taken.map(|taken| self.columns.row(taken)));
        change(&mut self.over[span(&self.columns, from)], goes, Some(comes));
        change(&mut self.over[span(&self.columns, to)], Some(comes), goes);
        self.excess += here + there - self.hosts[from].excess - self.hosts[to].excess;
        (self.hosts[from].excess, self.hosts[to].excess) = (here, there);
    }

    /// Whether rules let the server be there, once another one has gone.
    fn takes(&self, to: usize, server: usize, without: Option<usize>) -> bool {
        let (problem, host) = (self.problem, &self.hosts[to]);
        let apart = |server: usize| problem.apart(self.servers[server]);
        let goes = |group: &u32| without.is_some_and(|other| apart(other).contains(group));
        problem.may(self.servers[server], host.kind)
            && apart(server).iter().all(|group| !host.groups[*group as usize] || goes(group))
    }

    fn sit(&mut self, server: usize, to: usize) {
        let host = &mut self.hosts[to];
        self.seats[server] = (to, host.servers.len());
        host.servers.push(server);
        self.problem.apart(self.servers[server]).iter().for_each(|group| host.groups[*group as usize] = true);
    }

    fn rise(&mut self, server: usize) {
        let (from, at) = self.seats[server];
        let host = &mut self.hosts[from];
        host.servers.swap_remove(at);
        if let Some(moved) = host.servers.get(at) {
            self.seats[*moved].1 = at;
        }
        self.problem
            .apart(self.servers[server])
            .iter()
            .for_each(|group| host.groups[*group as usize] = false);
    }

    /// Adds up everything anew.
    fn measure(&mut self) {
        self.over.clear();
        for at in 0..self.hosts.len() {
            self.over.extend(self.columns.empty(self.hosts[at].kind));
            for server in &self.hosts[at].servers {
                change(&mut self.over[span(&self.columns, at)], Some(self.columns.row(*server)), None);
            }
            self.hosts[at].excess = self.measured(at);
        }
        self.excess = self.hosts.iter().map(|host| host.excess).sum();
    }

    fn measured(&self, host: usize) -> i64 {
        self.sum(host, i64::MAX, (None, None)).unwrap_or(i64::MAX)
    }

    /// What would be too much on a host if one server came and another went; `None` if that is more than the limit.
    fn sum(&self, host: usize, limit: i64, (comes, goes): Change<'_>) -> Option<i64> {
        above_zero(&self.over[span(&self.columns, host)], comes, goes, limit)
    }
}

/// The columns of a host.
fn span(columns: &Columns, host: usize) -> std::ops::Range<usize> {
    host * columns.width()..(host + 1) * columns.width()
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
        let mut annealing = Annealing::new(problem, hosts, pending)?;
        let mut left = looks;
        let mut stop = || {
            left = left.saturating_sub(1);
            left == 0
        };
        let done =
            annealing.run(u64::from(looks) * STEPS_BLIND, 1.0, &mut SmallRng::seed_from_u64(1), &mut stop);
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
