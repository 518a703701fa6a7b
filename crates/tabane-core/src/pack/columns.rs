//! Demand without the moments at which nothing can be too much: what is left is looked at millions of times.

use super::Problem;

/// Columns that are summed before somebody asks whether that is enough.
const SEGMENT: usize = 128;
/// All servers together stay below this at each moment, so that sums over a segment fit 32 bits.
const TOTAL_BITS: u32 = 24;
/// A larger table than that is not made: 256 MiB.
const CELLS_MAX: usize = 64 << 20;

/// Columns of one dimension that lie side by side.
pub(super) struct Segment {
    pub range: std::ops::Range<usize>,
    pub dimension: usize,
}

/// The servers' needs at moments at which all of them together do not fit one host. Numbers that are too large are cut short
/// by powers of two, needs up and capacities down: what fits here fits.
pub(super) struct Columns {
    width: usize,
    values: Vec<i32>,
    /// Of each dimension the bits that are cut off.
    shifts: Vec<u32>,
    /// The scarcest first.
    pub segments: Vec<Segment>,
}

impl Columns {
    /// `None` if there would be too many.
    pub fn of(problem: &Problem) -> Option<Self> {
        let demand = problem.demand();
        let mut shifts = Vec::new();
        let mut chosen: Vec<(f64, usize, Vec<usize>)> = Vec::new();
        for dimension in 0..demand.dimensions() {
            let totals = demand.total(dimension);
            let least = problem.kinds().iter().map(|kind| kind.capacity[dimension]).min().unwrap_or(0);
            // Needs are rounded up: one unit for each server comes on top.
            let most = totals.iter().copied().max().unwrap_or(0);
            let servers = demand.servers() as u64;
            shifts.push((0..32).find(|bits| (most >> bits) + servers < 1 << TOTAL_BITS).unwrap_or(32));
            let mut bins: Vec<usize> = (0..totals.len()).filter(|bin| totals[*bin] > least.into()).collect();
            bins.sort_by_key(|bin| std::cmp::Reverse(totals[*bin]));
            let scarcity = |bin: usize| totals[bin] as f64 / f64::from(least.max(1));
            chosen.extend(bins.chunks(SEGMENT).map(|bins| (scarcity(bins[0]), dimension, bins.to_vec())));
        }
        chosen.sort_by(|a, b| b.0.total_cmp(&a.0));
        let width: usize = chosen.iter().map(|(_, _, bins)| bins.len()).sum();
        if width.checked_mul(demand.servers()).is_none_or(|cells| cells > CELLS_MAX) {
            return None;
        }
        let mut values = Vec::with_capacity(width * demand.servers());
        for server in 0..demand.servers() {
            for (_, dimension, bins) in &chosen {
                let (row, bits) = (demand.of(server, *dimension), shifts[*dimension]);
                values.extend(bins.iter().map(|bin| (u64::from(row[*bin])).div_ceil(1 << bits) as i32));
            }
        }
        let mut segments = Vec::new();
        for (_, dimension, bins) in chosen {
            let start = segments.last().map_or(0, |last: &Segment| last.range.end);
            segments.push(Segment { range: start..start + bins.len(), dimension });
        }
        Some(Self { width, values, shifts, segments })
    }

    pub fn row(&self, server: usize) -> &[i32] {
        &self.values[server * self.width..(server + 1) * self.width]
    }

    /// What an empty host of this kind has too much of, column by column: less than nothing.
    pub fn empty(&self, problem: &Problem, kind: usize) -> Vec<i32> {
        let mut over = vec![0; self.width];
        for segment in &self.segments {
            let capacity =
                problem.kinds()[kind].capacity[segment.dimension] >> self.shifts[segment.dimension];
            // More than all servers need is as good as that.
            let capacity = capacity.min(1 << TOTAL_BITS) as i32;
            over[segment.range.clone()].fill(-capacity);
        }
        over
    }

    /// What one unit too much of a dimension is of a host of this kind.
    pub fn unit(&self, problem: &Problem, kind: usize, dimension: usize) -> f64 {
        f64::from(1u32 << self.shifts[dimension].min(31))
            / f64::from(problem.kinds()[kind].capacity[dimension].max(1))
    }
}
