//! How often a host will have less than its servers ask for.
//!
//! Two questions, two answers. *Is the margin right?* The plan is made of the earlier half of the time line and judged on
//! the later half, which it has not seen; the fill is lowered until that keeps the accepted share. *How likely is each
//! host to be short?* Servers of a host meet in the same way never again, so their days are shifted against each other at
//! random, many times, and the moments are counted at which the sum is more than the host has: a block bootstrap
//! (Künsch, "The jackknife and the bootstrap for general stationary observations", 1989) that keeps each server's own days
//! and what time of day they are busy at.

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tabane_model::{Grid, HostType};

use super::{PlanError, needs::Resource, setting::Setting};
use crate::pack::{Demand, Packing};

/// Less than this is no history to judge by.
pub(super) const DAYS_MIN: usize = 4;
const DAY_S: usize = 86_400;
/// Fills that are tried, as parts of the policy's own.
const FILLS: [f64; 9] = [1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5];
const ROUNDS: usize = 40;
/// Attempts at better plans: what is judged has to be as tight as what is made.
const TURNS: u64 = 4_000;

/// A fill, and the share of overloaded host-samples that it had on loads it was not made from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Margin {
    pub fill: f64,
    pub held_out: f64,
}

/// The largest fill that keeps the accepted share on the later half; the smallest one if none does. `None` if the traces
/// are too short to say.
pub(super) fn margin(setting: &Setting<'_>) -> Result<Option<Margin>, PlanError> {
    let grid = setting.traces.grid;
    if !is_long_enough(grid) {
        return Ok(None);
    }
    let (earlier, later) = (setting.demand(0..grid.bins / 2), setting.demand(grid.bins / 2..grid.bins));
    let policy = setting.policy;
    let (mut last, mut left_out): (Option<Margin>, Option<usize>) = (None, None);
    for part in FILLS {
        let fill = policy.fill_max * part;
        let problem = setting.problem(earlier.clone(), policy.objective, fill)?;
        let packing = match setting.pack(&problem, fill, 1, &|turns, _| turns >= TURNS) {
            // What stays together fits no host that is filled so little: the last margin has to do.
            Err(PlanError::Clash(_)) if last.is_some() => break,
            packing => packing?,
        };
        // Nor may a margin push out who fits otherwise.
        let most = *left_out.get_or_insert(packing.unplaced.len());
        if packing.unplaced.len() > most {
            break;
        }
        let held_out = overloaded_share(&later, &packing, &capacities(setting.hosts, &setting.resources));
        last = Some(Margin { fill, held_out });
        if held_out <= policy.overload_share {
            break;
        }
    }
    Ok(last)
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
    let moments = moments(demand);
    let over = |host: &crate::pack::Packed| {
        let mut over = vec![false; moments];
        mark(demand, &host.servers, &capacities[host.kind], &mut over, |_| 0);
        over.into_iter().filter(|over| *over).count()
    };
    let all = packing.hosts.len() * moments;
    if all == 0 { 0.0 } else { packing.hosts.iter().map(over).sum::<usize>() as f64 / all as f64 }
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
    let moments = moments(demand);
    let day = DAY_S / step_s as usize;
    let days = moments.checked_div(day)?;
    if days < DAYS_MIN {
        return None;
    }
    let mut random = SmallRng::seed_from_u64(seed);
    let of = |host: &crate::pack::Packed| {
        let mut count = 0;
        for _ in 0..ROUNDS {
            let shifts: Vec<usize> =
                host.servers.iter().map(|_| random.random_range(0..days) * day).collect();
            let mut over = vec![false; moments];
            mark(demand, &host.servers, &capacities[host.kind], &mut over, |place| shifts[place]);
            count += over.into_iter().filter(|over| *over).count();
        }
        count as f64 / (ROUNDS * moments) as f64
    };
    Some(packing.hosts.iter().map(of).collect())
}
