//! What a host carries while a packing is made.

use super::{
    Problem,
    demand::{BLOCK, largest},
};

/// A moment of a resource.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub dimension: usize,
    /// In a row of the demand.
    place: usize,
}

impl Moment {
    /// For each resource the moments at which these servers need the most of it.
    pub fn fullest(problem: &Problem, servers: &[usize], most: usize) -> Vec<Self> {
        let demand = problem.demand();
        let of = |dimension: usize| {
            let totals = demand.sum(servers.iter().copied(), dimension);
            let mut bins: Vec<usize> = (0..totals.len()).collect();
            bins.sort_by_key(|bin| std::cmp::Reverse(totals[*bin]));
            let start = demand.blocks(dimension).start * BLOCK;
            bins.into_iter().take(most).map(move |bin| Self { dimension, place: start + bin })
        };
        (0..demand.dimensions()).flat_map(of).collect()
    }

    pub fn of(&self, problem: &Problem, server: usize) -> u32 {
        problem.demand().row(server)[self.place]
    }
}

#[derive(Debug, Clone)]
pub(super) struct Load {
    pub kind: usize,
    pub servers: Vec<u32>,
    /// The sum of its servers, as a row of the demand.
    sum: Vec<u32>,
    /// The largest value of each block.
    pub peaks: Vec<u32>,
    /// Of each dimension the moment with the most, as a place in a row, and what is left of the host then.
    tightest: Vec<(usize, u32)>,
    /// For each group of servers that stay apart, whether one of it is here.
    groups: Vec<bool>,
}

impl Load {
    pub fn empty(problem: &Problem, kind: usize) -> Self {
        let demand = problem.demand();
        let mut load = Self {
            kind,
            servers: Vec::new(),
            sum: vec![0; demand.width()],
            peaks: vec![0; demand.row_blocks()],
            tightest: Vec::new(),
            groups: vec![false; problem.groups()],
        };
        load.tighten(problem);
        load
    }

    pub fn add(&mut self, problem: &Problem, server: usize) {
        self.change(problem.demand().row(server), |sum, value| *sum += value);
        self.servers.push(server as u32);
        problem.apart(server).iter().for_each(|group| self.groups[*group as usize] = true);
        self.tighten(problem);
    }

    /// Takes away the server at this place of the list.
    pub fn take(&mut self, problem: &Problem, at: usize) -> usize {
        let server = self.servers.swap_remove(at) as usize;
        self.change(problem.demand().row(server), |sum, value| *sum -= value);
        problem.apart(server).iter().for_each(|group| self.groups[*group as usize] = false);
        self.tighten(problem);
        server
    }

    fn change(&mut self, row: &[u32], by: impl Fn(&mut u32, u32)) {
        let blocks = self.sum.chunks_exact_mut(BLOCK).zip(row.chunks_exact(BLOCK));
        for (peak, (sums, values)) in self.peaks.iter_mut().zip(blocks) {
            sums.iter_mut().zip(values).for_each(|(sum, value)| by(sum, *value));
            *peak = largest(sums);
        }
    }

    fn tighten(&mut self, problem: &Problem) {
        self.tightest.clear();
        for (dimension, most) in problem.kinds()[self.kind].capacity.iter().enumerate() {
            let blocks = problem.demand().blocks(dimension);
            let Some(block) = blocks.max_by_key(|block| self.peaks[*block]) else { continue };
            let peak = self.peaks[block];
            let bins = block * BLOCK..(block + 1) * BLOCK;
            let bin = bins.clone().find(|bin| self.sum[*bin] == peak).unwrap_or(bins.start);
            self.tightest.push((bin, most.saturating_sub(peak)));
        }
    }

    /// What is left of the host at a moment.
    pub fn left(&self, problem: &Problem, moment: &Moment) -> u32 {
        let most = problem.kinds()[self.kind].capacity[moment.dimension];
        most.saturating_sub(self.sum[moment.place])
    }

    /// Whether a look at the fullest moments is enough to say that the server does not fit.
    pub fn rejects(&self, problem: &Problem, server: usize) -> bool {
        let values = problem.demand().row(server);
        self.tightest.iter().any(|(bin, left)| values[*bin] > *left)
    }

    /// Whether the server may come, and fits at every moment.
    pub fn takes(&self, problem: &Problem, server: usize) -> bool {
        problem.may(server, self.kind)
            && problem.apart(server).iter().all(|group| !self.groups[*group as usize])
            && !self.rejects(problem, server)
            && self.fits(problem, server)
    }

    /// The sum of peaks of a block is never less than the peak of the sum, so most blocks are decided by it alone.
    fn fits(&self, problem: &Problem, server: usize) -> bool {
        let demand = problem.demand();
        let (values, peaks) = (demand.row(server), demand.row_peaks(server));
        let capacity = &problem.kinds()[self.kind].capacity;
        capacity.iter().enumerate().all(|(dimension, most)| {
            let blocks = demand.blocks(dimension);
            let pairs = peaks[blocks.clone()].iter().zip(&self.peaks[blocks.clone()]);
            if pairs.map(|(a, b)| a + b).fold(0, u32::max) <= *most {
                return true;
            }
            blocks.into_iter().filter(|block| peaks[*block] + self.peaks[*block] > *most).all(|block| {
                let range = block * BLOCK..(block + 1) * BLOCK;
                let pairs = values[range.clone()].iter().zip(&self.sum[range]);
                pairs.map(|(a, b)| a + b).fold(0, u32::max) <= *most
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::{DemandBuilder, Kind};

    #[test]
    fn servers_that_are_busy_at_different_times_share_a_host() {
        let mut builder = DemandBuilder::new(&[32], 3);
        let busy = |from: usize, to: usize| -> Vec<u32> {
            (0..32).map(|bin| if (from..to).contains(&bin) { 8 } else { 1 }).collect()
        };
        for (from, to) in [(0, 3), (3, 6), (5, 7)] {
            builder.push(&[&busy(from, to)]);
        }
        let kind = Kind { capacity: vec![9], price: 1.0, count: None };
        let problem = Problem::new(builder.finish(), vec![kind]).unwrap();
        let mut load = Load::empty(&problem, 0);
        load.add(&problem, 0);
        assert!(load.takes(&problem, 1), "their peaks are in one block and never meet");
        assert!(!load.rejects(&problem, 2), "one is left, and it needs no more when the other is busy");
        load.add(&problem, 1);
        assert!(!load.takes(&problem, 2), "three of them are 10 at one moment");
        assert!(load.rejects(&problem, 2), "nothing is left at the fullest moment");
        assert_eq!(load.take(&problem, 1), 1);
        assert!(load.takes(&problem, 2));
        let mut fresh = Load::empty(&problem, 0);
        fresh.add(&problem, 0);
        assert_eq!((load.sum, load.peaks), (fresh.sum, fresh.peaks));
    }
}
