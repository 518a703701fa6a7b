//! What servers need over time.

use std::{collections::BTreeMap, sync::Arc};

/// The most that a server may need of anything: two of them can be added without overflow.
pub const AMOUNT_MAX: u32 = u32::MAX / 2;

/// Bins of which the largest value is kept beside the values, to decide most questions without looking at each.
pub(super) const BLOCK: usize = 16;

/// Servers × dimensions × bins. A dimension is one resource over time, with the same bins for all servers; what never
/// changes (disk space, configured memory) has one bin.
///
/// The values of a server lie one after the other, each dimension filled up with zeros to whole blocks.
#[derive(Debug, Clone)]
pub struct Demand {
    bins: Vec<usize>,
    /// Where each dimension begins, in blocks; and the end of the last.
    starts: Vec<usize>,
    servers: usize,
    /// Large, and never changed: all problems of the same servers share them.
    values: Arc<Vec<u32>>,
    peaks: Arc<Vec<u32>>,
}

impl Demand {
    pub fn servers(&self) -> usize {
        self.servers
    }

    pub fn dimensions(&self) -> usize {
        self.bins.len()
    }

    pub fn bins(&self, dimension: usize) -> usize {
        self.bins[dimension]
    }

    /// The need of a server in a dimension, for each bin.
    pub fn of(&self, server: usize, dimension: usize) -> &[u32] {
        let begin = self.starts[dimension] * BLOCK;
        &self.row(server)[begin..begin + self.bins[dimension]]
    }

    pub fn peak(&self, server: usize, dimension: usize) -> u32 {
        self.row_peaks(server)[self.blocks(dimension)].iter().copied().max().unwrap_or(0)
    }

    /// The sum of all servers, for each bin of a dimension.
    pub fn total(&self, dimension: usize) -> Vec<u64> {
        self.sum(0..self.servers, dimension)
    }

    /// The sum of these servers, for each bin of a dimension.
    pub fn sum(&self, servers: impl IntoIterator<Item = usize>, dimension: usize) -> Vec<u64> {
        let mut sums = vec![0; self.bins[dimension]];
        for server in servers {
            for (sum, value) in sums.iter_mut().zip(self.of(server, dimension)) {
                *sum += u64::from(*value);
            }
        }
        sums
    }

    /// The same, of some servers no more than this of each dimension.
    pub(super) fn capped(&self, most: &BTreeMap<usize, Vec<u32>>) -> Self {
        let mut capped = self.clone();
        let (values, peaks) = (Arc::make_mut(&mut capped.values), Arc::make_mut(&mut capped.peaks));
        for (server, most) in most {
            for (dimension, most) in most.iter().enumerate() {
                let blocks = self.blocks(dimension);
                let begin = server * self.width();
                let part = begin + blocks.start * BLOCK..begin + blocks.end * BLOCK;
                values[part].iter_mut().for_each(|value| *value = (*value).min(*most));
                let begin = server * self.row_blocks();
                let part = begin + blocks.start..begin + blocks.end;
                peaks[part].iter_mut().for_each(|peak| *peak = (*peak).min(*most));
            }
        }
        capped
    }

    pub(super) fn row(&self, server: usize) -> &[u32] {
        &self.values[server * self.width()..(server + 1) * self.width()]
    }

    /// The largest value of each block.
    pub(super) fn row_peaks(&self, server: usize) -> &[u32] {
        &self.peaks[server * self.row_blocks()..(server + 1) * self.row_blocks()]
    }

    /// Values of a row.
    pub(super) fn width(&self) -> usize {
        self.row_blocks() * BLOCK
    }

    pub(super) fn row_blocks(&self) -> usize {
        self.starts[self.bins.len()]
    }

    /// The blocks of a dimension.
    pub(super) fn blocks(&self, dimension: usize) -> std::ops::Range<usize> {
        self.starts[dimension]..self.starts[dimension + 1]
    }
}

/// Takes servers one after the other.
#[derive(Debug)]
pub struct DemandBuilder {
    demand: Demand,
    values: Vec<u32>,
    peaks: Vec<u32>,
}

impl DemandBuilder {
    /// `bins` of each dimension; `servers` is how many are expected.
    pub fn new(bins: &[usize], servers: usize) -> Self {
        let mut starts = vec![0];
        for count in bins {
            starts.push(starts[starts.len() - 1] + count.div_ceil(BLOCK));
        }
        let blocks = starts[bins.len()];
        let (values, peaks) = Default::default();
        Self {
            demand: Demand { bins: bins.to_vec(), starts, servers: 0, values, peaks },
            values: Vec::with_capacity(servers * blocks * BLOCK),
            peaks: Vec::with_capacity(servers * blocks),
        }
    }

    /// Adds a server by its values of each dimension; what is more than [`AMOUNT_MAX`] counts as that.
    ///
    /// Panics if a dimension has another number of bins than was said.
    pub fn push(&mut self, values: &[&[u32]]) {
        let demand = &mut self.demand;
        assert_eq!(values.len(), demand.bins.len(), "all dimensions are given");
        for (dimension, given) in values.iter().enumerate() {
            assert_eq!(given.len(), demand.bins[dimension], "all bins are given");
            self.values.extend(given.iter().map(|value| (*value).min(AMOUNT_MAX)));
            let padded = self.values.len().next_multiple_of(BLOCK);
            self.values.resize(padded, 0);
        }
        demand.servers += 1;
        let width = demand.width();
        let row = &self.values[self.values.len() - width..];
        self.peaks.extend(row.chunks_exact(BLOCK).map(largest));
    }

    pub fn finish(self) -> Demand {
        Demand { values: Arc::new(self.values), peaks: Arc::new(self.peaks), ..self.demand }
    }
}

pub(super) fn largest(block: &[u32]) -> u32 {
    block.iter().copied().fold(0, u32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_may_have_different_bins() {
        let mut builder = DemandBuilder::new(&[17, 1], 2);
        let mut busy = vec![1; 17];
        busy[16] = 9;
        builder.push(&[&busy, &[5]]);
        builder.push(&[&[2; 17], &[u32::MAX]]);
        let demand = builder.finish();
        assert_eq!((demand.servers(), demand.dimensions(), demand.bins(0)), (2, 2, 17));
        assert_eq!(demand.of(0, 0), busy);
        assert_eq!(demand.of(1, 1), [AMOUNT_MAX]);
        assert_eq!((demand.peak(0, 0), demand.peak(0, 1)), (9, 5));
        assert_eq!(demand.row_peaks(0), [1, 9, 5]);
        assert_eq!(demand.total(0)[16], 11);
    }

    #[test]
    fn what_is_capped_is_capped_in_values_and_peaks_and_nowhere_else() {
        let mut builder = DemandBuilder::new(&[17, 1], 2);
        let busy: Vec<u32> = (0..17).collect();
        builder.push(&[&busy, &[5]]);
        builder.push(&[&busy, &[7]]);
        let demand = builder.finish();
        let capped = demand.capped(&BTreeMap::from([(1, vec![10, 6])]));
        assert_eq!((capped.of(0, 0), capped.of(0, 1)), (demand.of(0, 0), demand.of(0, 1)));
        assert_eq!((capped.peak(0, 0), capped.peak(1, 0), capped.of(1, 1)), (16, 10, &[6][..]));
        assert_eq!((capped.row_peaks(1), &capped.of(1, 0)[9..12]), (&[10, 10, 6][..], &[9, 10, 10][..]));
        assert_eq!(demand.peak(1, 0), 16);
    }
}
