//! How often a host will have less than its servers ask for.
//!
//! Two questions. *Is the margin right?* Four judges are asked, and their mean is what is expected of a plan:
//!
//! ```text
//!   a plan of the earlier half, by the later half            ──┐
//!   a plan of the earlier two thirds, by the last third        │
//!   a plan of everything, by days that are shifted at random   ├─► mean
//!   a plan of everything, by everything as it was            ──┘
//! ```
//!
//! The first two see what they were not made from, and know less than the plan that is made in the end: they say too much.
//! The third knows everything, and not that loads rise together; the last was made to suit: they say too little. That a mixture
//! of errors on what was known and on what was not is nearer than either is an old finding (Efron, "Estimating the error rate of
//! a prediction rule", 1983). The fill is lowered until the mean keeps the accepted share, and so does what was measured.
//!
//! That nothing was seen does not mean that nothing will come: of `n` days of hosts that were judged one more could have been
//! overloaded (Laplace's rule of succession, "Essai philosophique sur les probabilités", 1814). So what is expected is the mean
//! and a part `1 / (n + 2)` of what an overloaded day of a host is like. Little history is a risk of its own.
//!
//! *How likely is each host to be short?* Servers of a host meet in the same way never again, so their days are shifted against
//! each other at random, many times, and the moments are counted at which the sum is more than the host has: a block
//! bootstrap (Künsch, "The jackknife and the bootstrap for general stationary observations", 1989) that keeps each server's
//! own days and what time of day they are busy at.

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tabane_model::{Grid, HostType, PlanNote};

use super::{PlanError, needs::Resource, setting::Setting};
use crate::pack::{Demand, Packed, Packing};

/// Less than this is no history to judge by.
pub(super) const DAYS_MIN: usize = 4;
const DAY_S: usize = 86_400;
/// Fills that are tried, as parts of the policy's own, or of a whole host where that is less.
const FILLS: [f64; 9] = [1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5];
/// From one fill above a whole host to the next.
const FILL_STEP: f64 = 0.1;
/// Of a day on which a host is overloaded, where none was seen: an hour.
const DAY_OVERLOADED: f64 = 1.0 / 24.0;
/// For each host.
const ROUNDS: usize = 40;
/// All hosts together need fewer than each of them.
const ROUNDS_OF_JUDGE: usize = 10;
/// Attempts at better plans: what is judged has to be as tight as what is made.
const TURNS: u64 = 4_000;

/// A fill, and what is known of plans with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Margin {
    pub fill: f64,
    /// The share of overloaded host-samples, the mean of all judges.
    pub seen: f64,
    /// The same with what may come that was never seen.
    pub expected: f64,
    /// The same of a plan of everything by everything as it was: nothing, unless hosts are filled to more than they have.
    suited: f64,
}

impl Margin {
    fn keeps(&self, accepted: f64) -> bool {
        self.seen <= accepted && self.suited <= accepted
    }
}

/// The largest fill that keeps the accepted share by what was measured; the smallest one if none does. `None` if the traces
/// are too short to say.
pub(super) fn margin(setting: &Setting<'_>) -> Result<Option<Margin>, PlanError> {
    let Some(judges) = Judges::new(setting) else { return Ok(None) };
    let policy = setting.policy;
    // The least full with an overloaded one tell what such a day is like.
    let mut overloaded = Days::default();
    let (mut last, mut left_out): (Option<Margin>, Option<usize>) = (None, None);
    for fill in fills(policy.fill_max) {
        let judged = match judges.judge(fill, policy.overload_share) {
            // What stays together fits no host that is filled so little: the last margin has to do.
            Err(PlanError::Clash(_)) if last.is_some() => break,
            judged => judged?,
        };
        if judged.days.overloaded > 0 {
            overloaded = judged.days;
        }
        // Nor may a margin push out who fits otherwise.
        let most = *left_out.get_or_insert(judged.unplaced);
        if judged.unplaced > most {
            break;
        }
        let margin = judged.margin(fill, &overloaded);
        last = Some(margin);
        if margin.keeps(policy.overload_share) {
            return Ok(last);
        }
    }
    // Of a fill that was given up early not everything was asked.
    let Some(Margin { fill, .. }) = last else { return Ok(None) };
    at(&judges, fill).map(Some)
}

/// What is known of plans with this fill. `None` if the traces are too short to say.
pub(super) fn margin_of(setting: &Setting<'_>, fill: f64) -> Result<Option<Margin>, PlanError> {
    Judges::new(setting).map(|judges| at(&judges, fill)).transpose()
}

fn at(judges: &Judges<'_>, fill: f64) -> Result<Margin, PlanError> {
    let judged = judges.judge(fill, f64::INFINITY)?;
    Ok(judged.margin(fill, &judged.days))
}

/// Fills that are tried, the largest first.
fn fills(most: f64) -> Vec<f64> {
    // A step that is only there because tenths are no binary numbers is none.
    let steps = ((most - 1.0) / FILL_STEP - 1e-6).ceil().max(0.0) as usize;
    let above = (0..steps).map(|step| most - step as f64 * FILL_STEP);
    above.chain(FILLS.map(|part| part * most.min(1.0))).collect()
}

struct Judges<'a> {
    setting: &'a Setting<'a>,
    capacities: Vec<Vec<u32>>,
    all: Demand,
    /// What plans are made from, and what they are judged by.
    parts: [(Demand, Demand); 2],
}

#[derive(Default)]
struct Judged {
    seen: f64,
    suited: f64,
    unplaced: usize,
    days: Days,
}

impl Judged {
    /// `overloaded` tells what an overloaded day is like.
    fn margin(&self, fill: f64, overloaded: &Days) -> Margin {
        let expected = self.seen + overloaded.unseen(self.days.all);
        Margin { fill, seen: self.seen, expected, suited: self.suited }
    }
}

/// Days of hosts that were judged by what a plan was not made from.
#[derive(Clone, Copy, Default)]
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

    /// The share of overloaded host-samples that may come, after so many days of hosts, without having been seen.
    fn unseen(&self, days: usize) -> f64 {
        let of_a_day = match self.overloaded {
            0 => DAY_OVERLOADED,
            overloaded => self.shares / overloaded as f64,
        };
        of_a_day / (days + 2) as f64
    }
}

impl<'a> Judges<'a> {
    fn new(setting: &'a Setting<'a>) -> Option<Self> {
        let bins = setting.traces.grid.bins;
        let part = |until: usize| (setting.demand(0..until), setting.demand(until..bins));
        is_long_enough(setting.traces.grid).then(|| Self {
            setting,
            capacities: capacities(setting.hosts, &setting.resources),
            all: setting.demand(0..bins),
            parts: [part(bins / 2), part(bins * 2 / 3)],
        })
    }

    /// If it is more than `enough`, not all judges are asked, and it is only so much that it is more.
    fn judge(&self, fill: f64, enough: f64) -> Result<Judged, PlanError> {
        const JUDGES: f64 = 4.0;
        let step_s = self.setting.traces.grid.step_s;
        let mut judged = Judged::default();
        for (earlier, later) in &self.parts {
            let packing = self.packed(earlier, fill)?;
            judged.unplaced = judged.unplaced.max(packing.unplaced.len());
            let (share, days) = overloaded(later, &packing, &self.capacities, step_s);
            judged.days.add(&days);
            judged.seen += share / JUDGES;
            if judged.seen > enough {
                return Ok(judged);
            }
        }
        let packing = self.packed(&self.all, fill)?;
        judged.suited = overloaded_share(&self.all, &packing, &self.capacities);
        judged.seen += judged.suited / JUDGES;
        if judged.seen.max(judged.suited) > enough {
            return Ok(judged);
        }
        let seed = self.setting.policy.seed;
        let shifted = |host| shifted(&self.all, host, &self.capacities, step_s, seed, ROUNDS_OF_JUDGE);
        let hosts = packing.hosts.iter().enumerate().map(|host| shifted(host).unwrap_or_default());
        judged.seen += hosts.sum::<f64>() / packing.hosts.len().max(1) as f64 / JUDGES;
        Ok(judged)
    }

    fn packed(&self, demand: &Demand, fill: f64) -> Result<Packing, PlanError> {
        let problem = self.setting.problem(demand.clone(), self.setting.policy.objective, fill)?;
        self.setting.pack(&problem, fill, 1, &|turns, _| turns >= TURNS)
    }
}

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

/// Marks the moments at which the servers together need more than there is. `shift` is by how many bins the time line of a
/// server, by its place in the list, is moved.
fn mark(
    demand: &Demand,
    servers: &[usize],
    capacity: &[u32],
    over: &mut [bool],
    shift: impl Fn(usize) -> usize,
) {
    for (dimension, most) in capacity.iter().enumerate() {
        let bins = demand.bins(dimension);
        let mut sums = vec![0u64; bins];
        for (place, server) in servers.iter().enumerate() {
            let values = demand.of(*server, dimension);
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

/// For each host the probability that at some moment it has less than its servers ask for. `None` if the traces are too
/// short to say.
pub(super) fn probabilities(
    demand: &Demand,
    packing: &Packing,
    capacities: &[Vec<u32>],
    step_s: u32,
    seed: u64,
) -> Option<Vec<f64>> {
    let hosts = packing.hosts.iter().enumerate();
    hosts.map(|host| probability(demand, host, capacities, step_s, seed)).collect()
}

/// The same of one host, which has this place in its plan. By days that are shifted, or by days as they were if that is more:
/// where loads rise together.
pub(super) fn probability(
    demand: &Demand,
    (at, host): (usize, &Packed),
    capacities: &[Vec<u32>],
    step_s: u32,
    seed: u64,
) -> Option<f64> {
    let shifted = shifted(demand, (at, host), capacities, step_s, seed, ROUNDS)?;
    let alone = Packing { hosts: vec![host.clone()], unplaced: Vec::new() };
    Some(shifted.max(overloaded_share(demand, &alone, capacities)))
}

/// By days that are shifted against each other: of a host's servers alone, in whatever order they are named, so that it can be
/// found again.
fn shifted(
    demand: &Demand,
    (at, host): (usize, &Packed),
    capacities: &[Vec<u32>],
    step_s: u32,
    seed: u64,
    rounds: usize,
) -> Option<f64> {
    let moments = moments(demand);
    let step_s = step_s as usize;
    let days = moments * step_s / DAY_S;
    if days < DAYS_MIN {
        return None;
    }
    let mut random = SmallRng::seed_from_u64(seed.wrapping_add(at as u64));
    let mut servers = host.servers.clone();
    servers.sort_unstable();
    let mut count = 0;
    for _ in 0..rounds {
        let shifts: Vec<usize> =
            servers.iter().map(|_| random.random_range(0..days) * DAY_S / step_s).collect();
        let mut over = vec![false; moments];
        mark(demand, &servers, &capacities[host.kind], &mut over, |place| shifts[place]);
        count += over.into_iter().filter(|over| *over).count();
    }
    Some(count as f64 / (rounds * moments) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_fall_from_the_policys_own_by_tenths_to_a_whole_host_and_from_there_by_less() {
        let falls = |most: f64| {
            let fills = fills(most);
            assert!(fills.windows(2).all(|pair| pair[0] > pair[1] + 0.01), "{fills:?}");
            assert_eq!(fills.first(), Some(&most));
            fills.len() - FILLS.len()
        };
        assert_eq!([2.0, 1.3, 1.1, 1.05, 1.0, 0.9].map(falls), [10, 3, 1, 1, 0, 0]);
    }
}
