//! How often a host will have less than its servers ask for.
//!
//! Servers of a host meet in the same way never again, so their days are shifted against each other at random, many times, and
//! the moments are counted at which the sum is more than the host has: a block bootstrap (Künsch, "The jackknife and the
//! bootstrap for general stationary observations", 1989) that keeps each server's own days and what time of day they are busy
//! at. What does not wait may drift besides, see [`drift`]. How full hosts may be for all that is for [`margin()`] to say.

mod drift;
mod judges;
mod margin;
use drift::Drift;
pub(super) use margin::{Margin, margin, margin_of};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tabane_model::{Grid, HostType, PlanNote};

use super::{needs::Resource, setting::Setting};
use crate::{
    pack::{Demand, Packed, Packing},
    parallel,
};

/// Less than this is no history to judge by.
pub(super) const DAYS_MIN: usize = 4;
const DAY_S: usize = 86_400;
/// Of a day on which a host is overloaded, where none was seen: an hour.
const DAY_OVERLOADED: f64 = 1.0 / 24.0;
/// For each host.
const ROUNDS: usize = 40;

/// What has to be said of a plan that fills hosts to more than they have.
pub(super) fn overcommitted(
    setting: &Setting<'_>,
    demand: &Demand,
    packing: &Packing,
    fill: f64,
) -> Option<PlanNote> {
    (fill > 1.0).then(|| PlanNote::Overcommitted {
        fill,
        measured_share: overloaded_share(demand, packing, &capacities(setting.hosts, &setting.resources)),
        accepted_share: setting.policy.overload_share,
    })
}

/// Whether a time line can be halved into days that plan and days that judge.
pub(super) fn is_long_enough(grid: Grid) -> bool {
    grid.bins * grid.step_s as usize / DAY_S >= DAYS_MIN
}

/// All that hosts of each kind have, without margin.
pub(super) fn capacities(hosts: &[HostType], resources: &[Resource]) -> Vec<Vec<u32>> {
    hosts.iter().map(|host| resources.iter().map(|r| r.capacity(host)).collect()).collect()
}

/// A part of what hosts of each kind have.
fn parts(capacities: &[Vec<u32>], part: f64) -> Vec<Vec<u32>> {
    let of = |most: &u32| (f64::from(*most) * part).round() as u32;
    capacities.iter().map(|kind| kind.iter().map(of).collect()).collect()
}

/// Days of hosts that were judged by what a plan was not made from.
#[derive(Debug, Clone, Copy, Default)]
struct Days {
    all: usize,
    /// At some moment of them a host had too little.
    overloaded: usize,
    /// Shares of these days, added up.
    shares: f64,
}

impl Days {
    fn add(&mut self, more: &Self) {
        self.all += more.all;
        self.overloaded += more.overloaded;
        self.shares += more.shares;
    }

    /// The share of overloaded host-samples that may come without having been seen.
    fn unseen(&self) -> f64 {
        let of_a_day = match self.overloaded {
            0 => DAY_OVERLOADED,
            overloaded => self.shares / overloaded as f64,
        };
        0.5 * of_a_day / (self.all + 1) as f64
    }
}

/// The share of host-samples at which a host has less of something than its servers ask for.
pub(super) fn overloaded_share(demand: &Demand, packing: &Packing, capacities: &[Vec<u32>]) -> f64 {
    overloaded(demand, packing, capacities, DAY_S as u32).0
}

/// The same, and by days.
fn overloaded(demand: &Demand, packing: &Packing, capacities: &[Vec<u32>], step_s: u32) -> (f64, Days) {
    let moments = moments(demand);
    let day = (DAY_S / step_s as usize).max(1);
    let (mut count, mut days) = (0, Days::default());
    for host in &packing.hosts {
        let mut over = vec![false; moments];
        mark(demand, &host.servers, &capacities[host.kind], &mut over, |_| 0);
        for day in over.chunks(day) {
            let overloaded = day.iter().filter(|over| **over).count();
            count += overloaded;
            days.all += 1;
            days.overloaded += usize::from(overloaded > 0);
            days.shares += overloaded as f64 / day.len() as f64;
        }
    }
    let all = packing.hosts.len() * moments;
    (if all == 0 { 0.0 } else { count as f64 / all as f64 }, days)
}

fn moments(demand: &Demand) -> usize {
    (0..demand.dimensions()).map(|dimension| demand.bins(dimension)).max().unwrap_or(0)
}

/// Marks the moments at which the servers together need more than there is, of the first ones of the time line. `shift` is by
/// how many bins of these the time line of a server, by its place in the list, is moved.
fn mark(
    demand: &Demand,
    servers: &[usize],
    capacity: &[u32],
    over: &mut [bool],
    shift: impl Fn(usize) -> usize,
) {
    for (dimension, most) in capacity.iter().enumerate() {
        // However they meet.
        let peaks: u64 = servers.iter().map(|server| u64::from(demand.peak(*server, dimension))).sum();
        if peaks <= u64::from(*most) {
            continue;
        }
        let bins = demand.bins(dimension).min(over.len());
        let mut sums = vec![0u64; bins];
        for (place, server) in servers.iter().enumerate() {
            let values = &demand.of(*server, dimension)[..bins];
            let (front, back) = values.split_at(shift(place) % bins.max(1));
            let (first, last) = sums.split_at_mut(back.len());
            first.iter_mut().zip(back).for_each(|(sum, value)| *sum += u64::from(*value));
            last.iter_mut().zip(front).for_each(|(sum, value)| *sum += u64::from(*value));
        }
        if bins == over.len() {
            over.iter_mut().zip(&sums).for_each(|(over, sum)| *over |= *sum > u64::from(*most));
        } else if sums.iter().any(|sum| *sum > u64::from(*most)) {
            over.fill(true);
        }
    }
}

/// The share of moments at which a host has less than its servers ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Risk {
    /// By days that are shifted.
    shifted: f64,
    /// By days as they were: more than that, where loads rise together.
    suited: f64,
    /// Of what does not wait, as it may drift.
    drifted: f64,
}

impl Risk {
    /// How probable it is at any moment.
    pub fn probability(&self) -> f64 {
        self.shifted.max(self.suited).max(self.drifted)
    }
}

/// How probable it is of hosts of one setting that at some moment they have less than their servers ask for.
pub(super) struct Risks<'a> {
    demand: &'a Demand,
    capacities: Vec<Vec<u32>>,
    drift: Option<Drift>,
    step_s: usize,
    seed: u64,
}

impl<'a> Risks<'a> {
    /// `None` if the traces are too short to say.
    pub fn new(setting: &Setting<'_>, demand: &'a Demand) -> Option<Self> {
        let grid = setting.traces.grid;
        is_long_enough(grid).then(|| Self {
            demand,
            capacities: capacities(setting.hosts, &setting.resources),
            drift: Drift::new(setting, demand),
            step_s: grid.step_s as usize,
            seed: setting.policy.seed,
        })
    }

    /// The same, of hosts that have only this part of what they have.
    fn of_part(self, part: f64) -> Self {
        Self { capacities: parts(&self.capacities, part), ..self }
    }

    /// Of this host, which has this place in its plan.
    pub fn probability(&self, host: (usize, &Packed)) -> f64 {
        self.of_host(host, ROUNDS).probability()
    }

    /// Of each host.
    pub fn of(&self, packing: &Packing) -> Vec<Risk> {
        self.by_rounds(packing, ROUNDS)
    }

    fn by_rounds(&self, packing: &Packing, rounds: usize) -> Vec<Risk> {
        parallel::map(packing.hosts.len(), |at| self.of_host((at, &packing.hosts[at]), rounds))
    }

    /// Of one host, which has this place in its plan; by so many shifts.
    fn of_host(&self, (at, host): (usize, &Packed), rounds: usize) -> Risk {
        let alone = Packing { hosts: vec![host.clone()], unplaced: Vec::new() };
        Risk {
            shifted: self.shifted((at, host), rounds),
            suited: overloaded_share(self.demand, &alone, &self.capacities),
            drifted: self.drifted((at, host)),
        }
    }

    /// By days that are shifted against each other: of a host's servers alone, in whatever order they are named, so that it
    /// can be found again.
    fn shifted(&self, (at, host): (usize, &Packed), rounds: usize) -> f64 {
        let days = moments(self.demand) * self.step_s / DAY_S;
        // Whole days, so that those that come round to the beginning begin at the same time of day.
        let moments = days * DAY_S / self.step_s;
        let mut random = self.random(at);
        let mut servers = host.servers.clone();
        servers.sort_unstable();
        let mut count = 0;
        for _ in 0..rounds {
            let shifts: Vec<usize> =
                servers.iter().map(|_| random.random_range(0..days) * DAY_S / self.step_s).collect();
            let mut over = vec![false; moments];
            mark(self.demand, &servers, &self.capacities[host.kind], &mut over, |place| shifts[place]);
            count += over.into_iter().filter(|over| *over).count();
        }
        count as f64 / (rounds * moments) as f64
    }

    /// Of what does not wait.
    fn drifted(&self, (at, host): (usize, &Packed)) -> f64 {
        let capacity = &self.capacities[host.kind];
        let of = |drift: &Drift| drift.share(self.demand, host, capacity, &mut self.random(at));
        self.drift.as_ref().map_or(0.0, of)
    }

    fn random(&self, at: usize) -> SmallRng {
        SmallRng::seed_from_u64(self.seed.wrapping_add(at as u64))
    }
}
