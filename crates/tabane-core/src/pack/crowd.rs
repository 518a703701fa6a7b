//! What is scarce: how much each moment of each resource counts when hosts are compared.

use super::{Kind, Load, Problem, demand::BLOCK};

/// How steeply scarcity counts. A moment at which all hosts together are 90 % full then counts six times as much as one
/// at which they are 72 % full, and the many quiet ones count nothing.
const STEEPNESS: i32 = 8;

/// Weights for a problem that is to go into certain hosts.
#[derive(Debug)]
pub(super) struct Crowd {
    /// For each block: the share of all hosts' capacity that is needed, to the power of [`STEEPNESS`], for one unit.
    unit: Vec<f32>,
    /// The same for one unit on one that is a unit full, for each kind.
    pair: Vec<Vec<f32>>,
}

impl Crowd {
    pub fn new(problem: &Problem, kinds: &[usize]) -> Self {
        let demand = problem.demand();
        let of_all = |dimension: usize| {
            kinds
                .iter()
                .map(|kind| f64::from(problem.kinds()[*kind].capacity[dimension]))
                .sum::<f64>()
                .max(1.0)
        };
        let (mut unit, mut pair) = (Vec::new(), vec![Vec::new(); problem.kinds().len()]);
        for dimension in 0..demand.dimensions() {
            let all = of_all(dimension);
            let mean = all / kinds.len().max(1) as f64;
            for block in demand.total(dimension).chunks(BLOCK) {
                let needed = block.iter().copied().max().unwrap_or(0) as f64 / all;
                let weight = needed.powi(STEEPNESS) / mean;
                unit.push(weight as f32);
                for (kind, weights) in problem.kinds().iter().zip(&mut pair) {
                    weights.push((weight / f64::from(kind.capacity[dimension].max(1))) as f32);
                }
            }
        }
        Self { unit, pair }
    }

    /// How much of what is scarce a server needs.
    pub fn size(&self, problem: &Problem, server: usize) -> f32 {
        self.unit
            .iter()
            .zip(problem.demand().row_peaks(server))
            .map(|(weight, peak)| weight * *peak as f32)
            .sum()
    }

    /// How much of what is scarce a host of this kind has.
    pub fn value(&self, problem: &Problem, kind: &Kind) -> f32 {
        let demand = problem.demand();
        let of = |(dimension, capacity): (usize, &u32)| {
            self.unit[demand.blocks(dimension)].iter().sum::<f32>() * *capacity as f32
        };
        kind.capacity.iter().enumerate().map(of).sum()
    }

    /// How much the server is in the way of those that are there: the weighted product of both over time.
    pub fn friction(&self, problem: &Problem, load: &Load, server: usize) -> f32 {
        let weights = &self.pair[load.kind];
        let peaks = problem.demand().row_peaks(server);
        // Four sums, so that they are made side by side.
        let mut sums = [0f32; 4];
        let quads = weights.chunks_exact(4).zip(peaks.chunks_exact(4)).zip(load.peaks.chunks_exact(4));
        for ((w, p), l) in quads {
            for lane in 0..4 {
                sums[lane] += w[lane] * p[lane] as f32 * l[lane] as f32;
            }
        }
        let rest = weights.len() / 4 * 4;
        let last = weights[rest..].iter().zip(&peaks[rest..]).zip(&load.peaks[rest..]);
        sums.iter().sum::<f32>() + last.map(|((w, p), l)| w * *p as f32 * *l as f32).sum::<f32>()
    }
}
