//! Sums over columns, by the widest instructions that the processor has.

use multiversion::multiversion;

/// Columns that are summed before somebody asks whether that is enough. Rows are whole segments.
pub(super) const SEGMENT: usize = 32;

/// All that would be above zero if a row were added and another one taken away; `None` if that is more than the limit. Sums
/// over a segment have to fit 32 bits.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn above_zero(
    over: &[i32],
    comes: Option<&[i32]>,
    goes: Option<&[i32]>,
    limit: i64,
) -> Option<i64> {
    let mut sum = 0;
    for at in (0..over.len()).step_by(SEGMENT) {
        let over = segment(over, at);
        let above = match (comes.map(|row| segment(row, at)), goes.map(|row| segment(row, at))) {
            (None, None) => total(|at| over[at]),
            (Some(a), None) => total(|at| over[at].wrapping_add(a[at])),
            (None, Some(b)) => total(|at| over[at].wrapping_sub(b[at])),
            (Some(a), Some(b)) => total(|at| over[at].wrapping_add(a[at]).wrapping_sub(b[at])),
        };
        sum += i64::from(above);
        if sum > limit {
            return None;
        }
    }
    Some(sum)
}

/// Adds a row and takes away another one.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn change(over: &mut [i32], comes: Option<&[i32]>, goes: Option<&[i32]>) {
    match (comes, goes) {
        (None, None) => {}
        (Some(a), None) => over.iter_mut().zip(a).for_each(|(over, a)| *over = over.wrapping_add(*a)),
        (None, Some(b)) => over.iter_mut().zip(b).for_each(|(over, b)| *over = over.wrapping_sub(*b)),
        (Some(a), Some(b)) => {
            let rows = over.iter_mut().zip(a).zip(b);
            rows.for_each(|((over, a), b)| *over = over.wrapping_add(*a).wrapping_sub(*b));
        }
    }
}

#[inline(always)]
fn segment(row: &[i32], at: usize) -> &[i32; SEGMENT] {
    row[at..at + SEGMENT].try_into().expect("rows are whole segments")
}

#[inline(always)]
fn total(over: impl Fn(usize) -> i32) -> i32 {
    (0..SEGMENT).fold(0, |sum: i32, at| sum.wrapping_add(over(at).max(0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = [Vec<i32>; 3]> {
        let row = || proptest::collection::vec(-1_000_000..1_000_000, 3 * SEGMENT);
        [row(), row(), row()]
    }

    proptest! {
        #[test]
        fn what_is_above_zero_is_what_is_seen_one_by_one([over, a, b] in rows(), limit in 0i64..40_000_000) {
            for (comes, goes) in [(None, None), (Some(&a), None), (None, Some(&b)), (Some(&a), Some(&b))] {
                let one = |row: Option<&Vec<i32>>, at: usize| row.map_or(0, |row| row[at]);
                let after: Vec<i32> =
                    (0..over.len()).map(|at| over[at] + one(comes, at) - one(goes, at)).collect();
                let sum: i64 = after.iter().map(|value| i64::from((*value).max(0))).sum();
                let (comes, goes) = (comes.map(Vec::as_slice), goes.map(Vec::as_slice));
                prop_assert_eq!(above_zero(&over, comes, goes, i64::MAX), Some(sum));
                prop_assert_eq!(above_zero(&over, comes, goes, limit), (sum <= limit).then_some(sum));
                let mut changed = over.clone();
                change(&mut changed, comes, goes);
                prop_assert_eq!(changed, after);
            }
        }
    }
}
