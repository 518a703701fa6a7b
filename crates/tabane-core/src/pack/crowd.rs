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

/// The most that servers need of each resource together, block by block.
#[derive(Debug)]
pub(super) struct Needs(Vec<Vec<u64>>);

impl Needs {
    pub fn of(problem: &Problem, servers: &[usize]) -> Self {
        let most = |block: &[u64]| block.iter().copied().max().unwrap_or(0);
        let of = |dimension: usize| {
            let sums = problem.demand().sum(servers.iter().copied(), dimension);
            sums.chunks(BLOCK).map(most).collect()
        };
        Self((0..problem.demand().dimensions()).map(of).collect())
    }

    /// At the fullest moment.
    pub fn most(&self, dimension: usize) -> u64 {
        self.0[dimension].iter().copied().max().unwrap_or(0)
    }
}

impl Crowd {
    pub fn new(problem: &Problem, kinds: &[usize]) -> Self {
        let everybody: Vec<usize> = (0..problem.demand().servers()).collect();
        Self::of(problem, &Needs::of(problem, &everybody), kinds)
    }

    pub fn of(problem: &Problem, needs: &Needs, kinds: &[usize]) -> Self {
        let of_all = |dimension: usize| {
            kinds
                .iter()
                .map(|kind| f64::from(problem.kinds()[*kind].capacity[dimension]))
                .sum::<f64>()
                .max(1.0)
        };
        let (mut unit, mut pair) = (Vec::new(), vec![Vec::new(); problem.kinds().len()]);
        for (dimension, needed) in needs.0.iter().enumerate() {
            let all = of_all(dimension);
            let mean = all / kinds.len().max(1) as f64;
            for needed in needed {
                let weight = (*needed as f64 / all).powi(STEEPNESS) / mean;
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
