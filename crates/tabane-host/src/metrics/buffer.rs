//! Samples on their way to the server.
//!
//! ```text
//!   push ──► [ said once more after a reconnect │ to be said … ] ──► peek ──► report ──► acknowledge
//! ```
//!
//! Invariant: a sample leaves when the server has said that it has it, or when it is too old or one of too many. The
//! last ones that were acknowledged stay: a server that has begun anew needs them to make rates of the next.

use std::collections::VecDeque;

use tabane_model::Sample;

/// Longer than a server should be away; the oldest go first.
const AGE_MS_MAX: i64 = 30 * 60_000;
/// Some 10 MB.
const SAMPLES_MAX: usize = 50_000;

#[derive(Default)]
pub struct Buffer {
    samples: VecDeque<Sample>,
    /// How many at the front the server has.
    acknowledged: usize,
    /// How many were dropped at the front since the beginning, so that a place has a number that stays.
    dropped: u64,
}

impl Buffer {
    /// One round of samples, all of about the same time.
    pub fn push(&mut self, round: Vec<Sample>) {
        let Some(now_ms) = round.first().map(|sample| sample.at_ms) else { return };
        self.samples.extend(round);
        let too_many = self.samples.len().saturating_sub(SAMPLES_MAX);
        let too_old = self.samples.iter().take_while(|s| s.at_ms < now_ms - AGE_MS_MAX).count();
        // Of those that the server has, the last two rounds stay, however long it is away after them.
        let last_said = self.acknowledged.checked_sub(1).and_then(|i| self.samples.get(i)).map(|s| s.at_ms);
        let said = self.samples.iter().take(self.acknowledged);
        let not_needed = said.take_while(|s| last_said.is_some_and(|last| s.at_ms < last - 15_000)).count();
        self.drop_front(too_many.max(too_old).max(not_needed));
    }

    fn drop_front(&mut self, count: usize) {
        self.samples.drain(..count);
        self.acknowledged = self.acknowledged.saturating_sub(count);
        self.dropped += count as u64;
    }

    /// The next samples to be said, and what to acknowledge when they were.
    pub fn peek(&self, most: usize) -> (Vec<Sample>, u64) {
        let next: Vec<Sample> = self.samples.iter().skip(self.acknowledged).take(most).cloned().collect();
        let upto = self.dropped + (self.acknowledged + next.len()) as u64;
        (next, upto)
    }

    pub fn acknowledge(&mut self, upto: u64) {
        let count = upto.saturating_sub(self.dropped) as usize;
        self.acknowledged = self.acknowledged.max(count.min(self.samples.len()));
    }

    /// Another server, or the same one again: the last ones are said once more.
    pub fn rewind(&mut self) {
        self.acknowledged = 0;
    }
}

#[cfg(test)]
mod tests {
    use tabane_model::{Kind, Uid};

    use super::*;

    fn round(second: i64, vms: usize) -> Vec<Sample> {
        let sample =
            |i| Sample::new(Kind::Vm, "a".parse().unwrap(), Uid::from_u128(i as u128), second * 1000, 1, 1);
        (0..vms).map(sample).collect()
    }

    fn seconds(buffer: &Buffer) -> Vec<i64> {
        let mut seconds: Vec<i64> = buffer.peek(usize::MAX).0.iter().map(|s| s.at_ms / 1000).collect();
        seconds.dedup();
        seconds
    }

    #[test]
    fn what_was_not_acknowledged_is_said_again() {
        let mut buffer = Buffer::default();
        for i in 0..6 {
            buffer.push(round(i * 10, 3));
        }
        let (first, upto) = buffer.peek(9);
        assert_eq!(first.len(), 9);
        // The answer was lost; meanwhile another round came.
        buffer.push(round(60, 3));
        assert_eq!(buffer.peek(9).0, first);
        buffer.acknowledge(upto);
        assert_eq!(seconds(&buffer), [30, 40, 50, 60]);
        // After a reconnect, those that are kept are said once more.
        buffer.rewind();
        assert_eq!(seconds(&buffer), [0, 10, 20, 30, 40, 50, 60]);
        let (_, upto) = buffer.peek(usize::MAX);
        buffer.acknowledge(upto);
        // The server is away for long, and comes back knowing nothing.
        for i in 7..60 {
            buffer.push(round(i * 10, 3));
        }
        assert_eq!(seconds(&buffer)[..3], [70, 80, 90]);
        buffer.rewind();
        assert_eq!(seconds(&buffer)[..3], [50, 60, 70], "the last rounds that it had are said once more");
        // In good times, no more than these are kept.
        for i in 60..100 {
            let (_, upto) = buffer.peek(usize::MAX);
            buffer.acknowledge(upto);
            buffer.push(round(i * 10, 3));
        }
        assert_eq!((seconds(&buffer), buffer.samples.len()), (vec![990], 9));
    }

    #[test]
    fn a_long_outage_is_bounded() {
        let mut buffer = Buffer::default();
        let (_, early) = buffer.peek(10);
        for i in 0..1000 {
            buffer.push(round(i * 10, 100));
        }
        assert!(buffer.samples.len() <= 18_100);
        assert_eq!(seconds(&buffer)[0], 9990 - 1800);
        buffer.acknowledge(early);
        assert_eq!(seconds(&buffer)[0], 9990 - 1800, "an answer to what was dropped long ago");
        for i in 1000..1010 {
            buffer.push(round(i * 10, 10_000));
        }
        assert_eq!(buffer.samples.len(), SAMPLES_MAX);
    }
}
