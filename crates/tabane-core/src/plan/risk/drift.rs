//! How far what does not wait may drift: memory in use rises and falls for days and does not come back, so that days of the
//! past, however they are shifted, tell too little of it.
//!
//! For as long again as was measured the level of each server, the mean of a day, goes on from its last day as that of another
//! one of about its size did from its first, drawn at random (Efron, "Bootstrap methods: another look at the jackknife", 1979,
//! of whole paths). Paths begin on the same day, so what all do at once is kept; so is what each does within its own days.

use rand::{RngExt, rngs::SmallRng};

use super::super::{needs, setting::Setting};
use super::DAY_S;
use crate::pack::{Demand, Packed};

/// Those nearest by size that a server may go on as, of which it is one itself.
const ALIKE: usize = 17;
/// How much a path grows with the size of the server at most.
const LARGER_MAX: f64 = 2.0;
/// For each host.
const ROUNDS: usize = 10;

pub(super) struct Drift {
    dimension: usize,
    /// Bins of one.
    day: usize,
    servers: Vec<Past>,
    /// Servers by size, and of each its place among them.
    sized: Vec<usize>,
    ranks: Vec<usize>,
}

struct Past {
    mean: f64,
    /// The level of each day; what is left in the end is of the last one.
    days: Vec<f64>,
    /// It never needs more than this.
    ceiling: f64,
}

impl Drift {
    /// `None` if nothing of that kind is measured.
    pub fn new(setting: &Setting<'_>, demand: &Demand) -> Option<Self> {
        let dimension = setting.resources.iter().position(needs::Resource::drifts)?;
        let day = (DAY_S / setting.traces.grid.step_s as usize).clamp(1, demand.bins(dimension));
        let servers: Vec<Past> = (0..demand.servers())
            .map(|server| {
                let values = demand.of(server, dimension);
                Past {
                    mean: mean(values),
                    days: values.chunks_exact(day).map(mean).collect(),
                    ceiling: setting.memory_ceiling(server).max(demand.peak(server, dimension)).into(),
                }
            })
            .collect();
        let mut sized: Vec<usize> = (0..servers.len()).collect();
        sized.sort_by(|a, b| servers[*a].mean.total_cmp(&servers[*b].mean));
        let mut ranks = vec![0; servers.len()];
        sized.iter().enumerate().for_each(|(rank, server)| ranks[*server] = rank);
        Some(Self { dimension, day, servers, sized, ranks })
    }

    /// The share of moments to come at which the servers of a host need more than there is, whatever order they are named in.
    pub fn share(&self, demand: &Demand, host: &Packed, capacity: &[u32], random: &mut SmallRng) -> f64 {
        let most = f64::from(capacity[self.dimension]);
        let mut servers = host.servers.clone();
        servers.sort_unstable();
        let bins = demand.bins(self.dimension);
        let mut count = 0;
        for _ in 0..ROUNDS {
            let mut sums = vec![0.0; bins];
            for server in &servers {
                let other = self.alike(*server, random);
                self.add(*server, other, demand.of(*server, self.dimension), &mut sums);
            }
            count += sums.into_iter().filter(|sum| *sum > most).count();
        }
        count as f64 / (ROUNDS * bins) as f64
    }

    fn alike(&self, server: usize, random: &mut SmallRng) -> usize {
        let count = ALIKE.min(self.sized.len());
        let from = self.ranks[server].saturating_sub(count / 2).min(self.sized.len() - count);
        self.sized[random.random_range(from..from + count)]
    }

    /// The server with the level of another one.
    fn add(&self, server: usize, other: usize, values: &[u32], sums: &mut [f64]) {
        let (server, other) = (&self.servers[server], &self.servers[other]);
        let larger = if other.mean > 0.0 { (server.mean / other.mean).min(LARGER_MAX) } else { 0.0 };
        let last = server.days.len() - 1;
        let days = values.chunks(self.day).zip(sums.chunks_mut(self.day));
        for (day, (values, sums)) in days.enumerate() {
            let day = day.min(last);
            let drifted = larger * (other.days[day] - other.days[0]);
            let change = server.days[last] + drifted - server.days[day];
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += (f64::from(*value) + change).clamp(0.0, server.ceiling);
            }
        }
    }
}

fn mean(values: &[u32]) -> f64 {
    values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len().max(1) as f64
}
