//! Which archive answers a question about a stretch of time, and how its steps become the steps of the answer.

use std::collections::BTreeMap;

use tabane_model::{Metrics, SAMPLE_STEP_S, Series, Statistic};

use super::slot::{LEVELS, Level, Slot, merge};

/// Most steps of an answer.
pub const STEPS_MAX: u32 = 1000;
/// Nothing is kept for longer, with some to spare.
pub const SPAN_S_MAX: i64 = 3 * 366 * 86_400;

/// A stretch of one archive, and how many of its steps make one of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    pub level: usize,
    /// Where it begins, a whole step of the answer.
    pub tick: u32,
    /// Steps of the archive.
    pub steps: u32,
    /// Steps of the archive in each step of the answer.
    pub by: u32,
}

impl Window {
    /// The finest archive that reaches back to `from_s`, in steps of `step_s` or as fine as fits. Times are seconds
    /// since 1970. `Err`: what is wrong.
    pub fn new(from_s: i64, to_s: i64, step_s: Option<u32>, now_s: i64) -> Result<Self, &'static str> {
        if from_s < 0 || to_s <= from_s {
            return Err("`from` is not before `to`");
        }
        if to_s - from_s > SPAN_S_MAX {
            return Err("it is longer than the three years that can be asked for at once");
        }
        let ticks =
            |seconds: i64| u32::try_from(seconds / SAMPLE_STEP_S).map_err(|_| "it is too far in the future");
        let (from, to) = (ticks(from_s)?, ticks(to_s + SAMPLE_STEP_S - 1)?);
        let reach = u32::try_from((now_s - from_s).max(0) / SAMPLE_STEP_S).unwrap_or(u32::MAX);
        let wanted = step_s.map_or(1, |s| s.div_ceil(SAMPLE_STEP_S as u32)).max(1);
        let covers = |level: &Level| u64::from(level.ticks) * u64::from(level.slots) >= u64::from(reach);
        let level = LEVELS.iter().position(covers).unwrap_or(LEVELS.len() - 1);
        // A coarse answer is made from an archive as coarse, as long as that divides the steps well.
        let coarser = LEVELS.iter().rposition(|l| wanted.is_multiple_of(l.ticks)).unwrap_or(0);
        let level = level.max(coarser);
        let ticks = LEVELS[level].ticks;
        let fits = (to - from).div_ceil(ticks).div_ceil(STEPS_MAX - 1).max(1);
        let by = wanted.div_ceil(ticks).max(fits);
        let answer = by.saturating_mul(ticks);
        let begin = from - from % answer;
        let count = (to - begin).div_ceil(answer);
        Ok(Self { level, tick: begin, steps: count.saturating_mul(by), by })
    }

    pub fn step_s(&self) -> u32 {
        self.by * LEVELS[self.level].ticks * SAMPLE_STEP_S as u32
    }

    pub fn answer(&self, slots: &[Option<Slot>], statistic: Statistic) -> Metrics {
        let mut series: BTreeMap<String, Vec<Option<f32>>> =
            Series::WORDS.iter().map(|word| ((*word).to_owned(), Vec::new())).collect();
        let mut times = Vec::new();
        for (i, part) in (0..).zip(slots.chunks(self.by as usize)) {
            times.push(i64::from(self.tick) * SAMPLE_STEP_S + i * i64::from(self.step_s()));
            let slot = merge(0, part.iter().flatten().copied());
            let values = if statistic == Statistic::Max { slot.max } else { slot.mean };
            for of in Series::ALL {
                let value = values[of as usize];
                let list = series.get_mut(of.as_str()).expect("every series has its list");
                list.push(Some(value).filter(|v| v.is_finite()));
            }
        }
        Metrics { step_s: self.step_s(), times, series }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_800_000_000;
    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;

    fn shape(from: i64, step_s: Option<u32>) -> (usize, u32) {
        let window = Window::new(NOW - from, NOW, step_s, NOW).unwrap();
        (window.level, window.step_s())
    }

    #[test]
    fn the_finest_archive_that_reaches_and_fits() {
        assert_eq!(shape(HOUR, None), (0, 10));
        assert_eq!(shape(6 * HOUR, None), (0, 30));
        assert_eq!(shape(DAY, None), (1, 120));
        assert_eq!(shape(7 * DAY, None), (2, 1200));
        assert_eq!(shape(365 * DAY, None), (3, 9 * 3600));
        assert_eq!(shape(700 * DAY, None), (3, 17 * 3600));
        assert_eq!(shape(HOUR, Some(60)), (1, 60));
        assert_eq!(shape(HOUR, Some(15)), (0, 20));
        assert_eq!(shape(DAY, Some(60)), (1, 120), "no more than a thousand");
        assert_eq!(shape(DAY, Some(3600)), (3, 3600));
    }

    #[test]
    fn nonsense_is_refused() {
        for (from, to) in [(10, 10), (20, 10), (-5, 10), (0, i64::MAX), (i64::MAX - 1, i64::MAX), (0, NOW)] {
            assert!(Window::new(from, to, None, NOW).is_err(), "{from} {to}");
        }
    }

    proptest! {
        #[test]
        fn every_answer_covers_its_question_in_bounds(
            from in 0i64..2_000_000_000, span in 1i64..SPAN_S_MAX, step in prop::option::of(any::<u32>()), ago in -100_000i64..100_000_000
        ) {
            let to = from + span;
            let window = Window::new(from, to, step, to + ago).unwrap();
            let step_s = i64::from(window.by) * i64::from(LEVELS[window.level].ticks) * 10;
            let begin = i64::from(window.tick) * 10;
            let count = i64::from(window.steps / window.by);
            prop_assert!(begin <= from && begin % step_s == 0);
            prop_assert!(begin + count * step_s >= to && begin + (count - 1) * step_s < to + 10);
            prop_assert!(count <= 1000);
            prop_assert!(step.is_none_or(|s| step_s >= i64::from(s)));
        }
    }
}
