//! Demand at the moments that matter, as small numbers side by side: they are looked at by the billion.

use super::{Packed, Problem};

/// Columns that are summed before somebody asks whether that is enough.
pub(super) const SEGMENT: usize = 32;
/// All servers together stay below this at each moment, so that sums over a segment fit 32 bits.
const TOTAL_BITS: u32 = 25;
/// Moments that are looked at from the beginning.
const FIRST: usize = 256;

/// A moment of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    dimension: usize,
    bin: usize,
}

/// What some servers need and what kinds of hosts have, at some moments. A host counts the same in each dimension: numbers are
/// shifted, needs rounded up and capacities down, so what fits here fits at these moments.
pub(super) struct Columns {
    places: Vec<Place>,
    /// Of each dimension, by how many bits numbers get larger.
    shifts: Vec<i32>,
    /// Whole segments.
    width: usize,
    rows: Vec<i32>,
    /// For each kind what is free on an empty host, below zero.
    empty: Vec<Vec<i32>>,
    /// What the largest host has, about.
    pub host: f64,
}

impl Columns {
    /// The moments at which so many hosts are the most likely to be asked for too much by these servers, the scarcest first.
    pub fn of(problem: &Problem, servers: &[usize], hosts: usize) -> Self {
        let demand = problem.demand();
        let mut ratio = 1;
        let mut scarce: Vec<(f64, Place)> = Vec::new();
        for dimension in 0..demand.dimensions() {
            let capacities = problem.kinds().iter().map(|kind| u64::from(kind.capacity[dimension]));
            let (least, most) = capacities.fold((u64::MAX, 0), |(a, b), c| (a.min(c), b.max(c)));
            let mut sums = vec![(0u64, 0f64); demand.bins(dimension)];
            for server in servers {
                for (sum, value) in sums.iter_mut().zip(demand.of(*server, dimension)) {
                    sum.0 += u64::from(*value);
                    sum.1 += f64::from(*value).powi(2);
                }
            }
            let full = sums.iter().map(|sum| sum.0).max().unwrap_or(0);
            ratio = ratio.max(full / most.max(1) + 1);
            // Mean and standard deviation of a host's load, if servers were dealt out blindly.
            let scarcity = |sum: &(u64, f64)| {
                let hosts = hosts.max(1) as f64;
                (sum.0 as f64 / hosts + (sum.1 / hosts).sqrt()) / (most.max(1) as f64)
            };
            // All servers together fit one host otherwise.
            let too_much = sums.iter().enumerate().filter(|(_, sum)| sum.0 > least);
            scarce.extend(too_much.map(|(bin, sum)| (scarcity(sum), Place { dimension, bin })));
        }
        scarce.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let places: Vec<Place> = scarce.into_iter().take(FIRST).map(|(_, place)| place).collect();
        // Needs are rounded up: one unit for each server comes on top.
        let spare = (ratio + servers.len() as u64 / (1 << 12)).ilog2() + 1;
        let bits = TOTAL_BITS.saturating_sub(spare + 1) as i32;
        let shift = |dimension: usize| {
            let most = problem.kinds().iter().map(|kind| kind.capacity[dimension]).max().unwrap_or(0);
            bits - (32 - most.leading_zeros() as i32)
        };
        let shifts = (0..demand.dimensions()).map(shift).collect();
        Self::at(problem, servers, places, shifts, f64::from(1u32 << bits))
    }

    fn at(problem: &Problem, servers: &[usize], places: Vec<Place>, shifts: Vec<i32>, host: f64) -> Self {
        let width = places.len().next_multiple_of(SEGMENT);
        let mut rows = Vec::with_capacity(width * servers.len());
        for (at, server) in servers.iter().enumerate() {
            let need = |place: &Place| {
                let value = problem.demand().of(*server, place.dimension)[place.bin];
                shifted(value, shifts[place.dimension], true)
            };
            rows.extend(places.iter().map(need));
            rows.resize((at + 1) * width, 0);
        }
        let empty = |kind: &super::Kind| {
            let free =
                |place: &Place| -shifted(kind.capacity[place.dimension], shifts[place.dimension], false);
            let mut row: Vec<i32> = places.iter().map(free).collect();
            row.resize(width, 0);
            row
        };
        let empty = problem.kinds().iter().map(empty).collect();
        Self { places, shifts, width, rows, empty, host }
    }

    /// The same with further moments. `None` if all of them are known.
    pub fn with(&self, problem: &Problem, servers: &[usize], more: Vec<Place>) -> Option<Self> {
        let mut places = self.places.clone();
        places.extend(more);
        let mut known = std::collections::HashSet::new();
        places.retain(|place| known.insert(*place));
        (places.len() > self.places.len())
            .then(|| Self::at(problem, servers, places, self.shifts.clone(), self.host))
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// What a server needs, by its place in the list.
    pub fn row(&self, server: usize) -> &[i32] {
        &self.rows[server * self.width..(server + 1) * self.width]
    }

    /// What an empty host has too much of, column by column: less than nothing.
    pub fn empty(&self, kind: usize) -> &[i32] {
        &self.empty[kind]
    }
}

/// By so many bits larger, or smaller where that is below zero.
fn shifted(value: u32, bits: i32, up: bool) -> i32 {
    let value = u64::from(value);
    let shifted = match bits {
        0.. => value << bits,
        _ if up => value.div_ceil(1 << -bits),
        _ => value >> -bits,
    };
    i32::try_from(shifted).unwrap_or(i32::MAX >> 4)
}

/// The moments at which a host is asked for more than it has.
pub(super) fn overloads(problem: &Problem, host: &Packed) -> Vec<Place> {
    let demand = problem.demand();
    let mut found = Vec::new();
    for dimension in 0..demand.dimensions() {
        let most = u64::from(problem.kinds()[host.kind].capacity[dimension]);
        let sums = demand.sum(host.servers.iter().copied(), dimension);
        let over = sums.iter().enumerate().filter(|(_, sum)| **sum > most);
        found.extend(over.map(|(bin, _)| Place { dimension, bin }));
    }
    found
}
