//! Loads of a server in bins. Only what has samples takes room: a clock that was wrong once costs one chunk, not years of
//! bins.

use std::collections::BTreeMap;

use tabane_model::NO_SAMPLE;

const CHUNK: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Row {
    chunks: BTreeMap<i64, Box<[u32; CHUNK]>>,
}

impl Row {
    pub const CHUNK: usize = CHUNK;

    /// The most of a bin counts. Whether this took room.
    pub fn take(&mut self, bin: i64, value: u32) -> bool {
        let (chunk, at) = (bin.div_euclid(CHUNK as i64), bin.rem_euclid(CHUNK as i64) as usize);
        let before = self.chunks.len();
        let cell = &mut self.chunks.entry(chunk).or_insert_with(|| Box::new([NO_SAMPLE; CHUNK]))[at];
        *cell = if *cell == NO_SAMPLE { value } else { value.max(*cell) };
        self.chunks.len() > before
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The bins from the first on.
    pub fn write(&self, first: i64, bins: &mut [u32]) {
        bins.fill(NO_SAMPLE);
        for (chunk, values) in &self.chunks {
            for (at, value) in values.iter().enumerate() {
                let bin = chunk * CHUNK as i64 + at as i64 - first;
                if let Some(cell) = usize::try_from(bin).ok().and_then(|bin| bins.get_mut(bin)) {
                    *cell = *value;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_of_a_bin_counts_on_both_sides_of_zero() {
        let mut row = Row::default();
        assert!(row.take(-1, 5));
        assert!(!row.take(-1, 3));
        assert!(row.take(1_000_000, 0));
        assert!(row.take(1, 7));
        let mut bins = [9; 4];
        row.write(-2, &mut bins);
        assert_eq!(bins, [NO_SAMPLE, 5, NO_SAMPLE, 7]);
    }
}
