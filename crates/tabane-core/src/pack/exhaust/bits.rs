//! Few servers as the bits of a number.

/// The places of bits, from the lowest.
pub fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = set.trailing_zeros() as usize;
        (set != 0).then(|| {
            set &= set - 1;
            at
        })
    })
}

pub fn count(set: u64) -> usize {
    set.count_ones() as usize
}
