//! Work that is done by as many threads as there are processors.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// What comes of each number below `count`, in their order.
pub(crate) fn map<T: Send>(count: usize, of: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(count);
    if threads < 2 {
        return (0..count).map(of).collect();
    }
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, T)> = thread::scope(|scope| {
        let work = || {
            let taken = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
            taken.take_while(|at| *at < count).map(|at| (at, of(at))).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let done = threads.into_iter().map(|thread| thread.join());
        done.flat_map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, of)| of).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_is_done_once_and_stays_in_order() {
        for count in [0, 1, 2, 1_000] {
            assert_eq!(super::map(count, |at| at * 2), (0..count).map(|at| at * 2).collect::<Vec<_>>());
        }
    }
}
