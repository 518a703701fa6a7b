//! Demand at the moments that matter, as small numbers side by side: they are looked at by the billion.

use std::collections::HashSet;

use super::{Packed, Problem, demand::BLOCK, sums::SEGMENT};

/// All servers together stay below this at each moment, so that sums over a segment fit 32 bits.
const TOTAL_BITS: u32 = 25;
/// Moments that are looked at from the beginning, and the blocks that they are chosen from.
const FIRST: usize = 256;
const BLOCKS_FIRST: usize = 64;

/// A moment of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    dimension: usize,
    /// In a row of the demand.
    at: usize,
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
    /// What the largest host has of what is the scarcest.
    pub host: f64,
}

impl Columns {
    /// The moments at which so many hosts are the most likely to be asked for too much by these servers, the scarcest first.
    pub fn of(problem: &Problem, servers: &[usize], hosts: usize) -> Self {
        let demand = problem.demand();
        let mut sums = Sums::of(demand.row_blocks());
        servers.iter().for_each(|server| sums.add(demand.row_peaks(*server)));
        let (mut ratio, mut scarce) = (1, Vec::new());
        for dimension in 0..demand.dimensions() {
            let (least, most) = sizes(problem, dimension);
            for block in demand.blocks(dimension) {
                ratio = ratio.max(sums.all[block] / most.max(1) + 1);
                // All servers together fit one host otherwise.
                if sums.all[block] > least {
                    scarce.push((sums.scarcity(block, hosts, most), dimension, block));
                }
            }
        }
        scarce.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.cmp(&b.2)));
        scarce.truncate(BLOCKS_FIRST);
        let bins = scarce.into_iter().flat_map(|(_, dimension, block)| {
            let (_, most) = sizes(problem, dimension);
            let mut sums = Sums::of(BLOCK);
            servers.iter().for_each(|server| sums.add(values(problem, *server, block)));
            let scarcity = move |at: usize| sums.scarcity(at, hosts, most);
            (0..BLOCK).map(move |at| (scarcity(at), Place { dimension, at: block * BLOCK + at }))
        });
        let mut bins: Vec<(f64, Place)> = bins.collect();
        bins.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let places: Vec<Place> = bins.into_iter().take(FIRST).map(|(_, place)| place).collect();
        // Needs are rounded up: one unit for each server comes on top.
        let spare = (ratio + servers.len() as u64 / (1 << 12)).ilog2() + 1;
        let bits = TOTAL_BITS.saturating_sub(spare + 1) as i32;
        let shift =
            |dimension: usize| bits - (u64::BITS - sizes(problem, dimension).1.leading_zeros()) as i32;
        let shifts: Vec<i32> = (0..demand.dimensions()).map(shift).collect();
        let empty = vec![Vec::new(); problem.kinds().len()];
        let mut columns = Self { places: Vec::new(), shifts, width: 0, rows: Vec::new(), empty, host: 1.0 };
        columns.add(problem, servers, &places);
        let largest = columns.empty.iter().filter_map(|row| row.first()).map(|free| -free).max();
        columns.host = f64::from(largest.unwrap_or(1).max(1));
        columns
    }

    /// Looks at further moments, too. `false` if all of them are known.
    pub fn add(&mut self, problem: &Problem, servers: &[usize], more: &[Place]) -> bool {
        let known = self.places.len();
        let mut seen: HashSet<Place> = self.places.iter().copied().collect();
        self.places.extend(more.iter().filter(|place| seen.insert(**place)));
        let new = &self.places[known..];
        let width = self.places.len().next_multiple_of(SEGMENT);
        let mut rows = Vec::with_capacity(width * servers.len());
        for (at, server) in servers.iter().enumerate() {
            let needs = problem.demand().row(*server);
            rows.extend_from_slice(&self.row(at)[..known]);
            rows.extend(new.iter().map(|place| shifted(needs[place.at], self.shifts[place.dimension], true)));
            rows.resize((at + 1) * width, 0);
        }
        for (kind, row) in problem.kinds().iter().zip(&mut self.empty) {
            row.truncate(known);
            let size =
                |place: &Place| shifted(kind.capacity[place.dimension], self.shifts[place.dimension], false);
            row.extend(new.iter().map(|place| -size(place)));
            row.resize(width, 0);
        }
        let is_more = !new.is_empty();
        (self.rows, self.width) = (rows, width);
        is_more
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

/// What servers need together at some moments, and the squares of what each needs.
struct Sums {
    all: Vec<u64>,
    squares: Vec<f64>,
}

impl Sums {
    fn of(moments: usize) -> Self {
        Self { all: vec![0; moments], squares: vec![0.0; moments] }
    }

    fn add(&mut self, needs: &[u32]) {
        self.all.iter_mut().zip(needs).for_each(|(sum, need)| *sum += u64::from(*need));
        // No need is more than what fits this, of which numbers with fractions are made several at once.
        let square = |need: u32| f64::from(need.cast_signed()).powi(2);
        self.squares.iter_mut().zip(needs).for_each(|(sum, need)| *sum += square(*need));
    }

    /// Mean and standard deviation of a host's load, if servers were dealt out blindly, as a share of what a host has.
    fn scarcity(&self, at: usize, hosts: usize, host: u64) -> f64 {
        let hosts = hosts.max(1) as f64;
        (self.all[at] as f64 / hosts + (self.squares[at] / hosts).sqrt()) / host.max(1) as f64
    }
}

/// What the smallest and the largest kind of host has.
fn sizes(problem: &Problem, dimension: usize) -> (u64, u64) {
    let capacities = problem.kinds().iter().map(|kind| u64::from(kind.capacity[dimension]));
    capacities.fold((u64::MAX, 0), |(least, most), size| (least.min(size), most.max(size)))
}

fn values(problem: &Problem, server: usize, block: usize) -> &[u32] {
    &problem.demand().row(server)[block * BLOCK..(block + 1) * BLOCK]
}

/// The moments of a block at which all of this together is more than there is; nothing of it is more than 32 bits if `short`.
fn above<'a>(values: impl Iterator<Item = &'a [u32]>, most: u64, short: bool) -> impl Iterator<Item = usize> {
    let mut sums = [0u64; BLOCK];
    if short {
        // Twice as many at once.
        let mut shorter = [0u32; BLOCK];
        values.for_each(|row| shorter.iter_mut().zip(row).for_each(|(sum, value)| *sum += *value));
        sums = shorter.map(u64::from);
    } else {
        values.for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += u64::from(*value)));
    }
    (0..BLOCK).filter(move |at| sums[*at] > most)
}

/// The moments at which a host is asked for more than it has.
pub(super) fn overloads(problem: &Problem, host: &Packed) -> Vec<Place> {
    let demand = problem.demand();
    let mut peaks = vec![0u64; demand.row_blocks()];
    for server in &host.servers {
        peaks.iter_mut().zip(demand.row_peaks(*server)).for_each(|(sum, peak)| *sum += u64::from(*peak));
    }
    let mut found = Vec::new();
    for dimension in 0..demand.dimensions() {
        let most = u64::from(problem.kinds()[host.kind].capacity[dimension]);
        let blocks = demand.blocks(dimension);
        // The sum of peaks is never less than the peak of the sum.
        for block in blocks.clone().filter(|block| peaks[*block] > most) {
            let values = host.servers.iter().map(|server| values(problem, *server, block));
            let over = above(values, most, u32::try_from(peaks[block]).is_ok());
            found.extend(over.map(|at| Place { dimension, at: block * BLOCK + at }));
        }
    }
    found
}
