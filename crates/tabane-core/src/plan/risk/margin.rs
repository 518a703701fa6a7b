//! How full hosts may be.
//!
//! Four judges are asked, of which the first two count as one:
//!
//! ```text
//!   plans of all days but a sixth, by that sixth                ──┐
//!   a plan of the earlier half, by the later half               ──┴─ mean ─┐
//!   a plan of everything, by days that are shifted at random    ───────────┼─► mean
//!   a plan of everything, by everything as it was               ───────────┘
//! ```
//!
//! The first two see what they were not made from, and know less than the plan that is made in the end: they say too much.
//! By sixths (cross-validation: Stone, "Cross-validatory choice and assessment of statistical predictions", 1974) each day judges
//! once, since what comes in some month is seen on few of its days; but days before and after it are known. The later half
//! tells of what grows or drifts for longer. The third knows everything, and not that loads rise together; the last was made to
//! suit: they say too little. That a mixture of errors on what was known and on what was not is nearer than either is an old
//! finding (Efron, "Estimating the error rate of a prediction rule", 1983). What does not wait, memory in use, has a judge of
//! its own, which alone counts where it sees more: how far it drifts in as long again as was measured (see [`super::drift`]).
//! The fill is lowered until all that keeps the accepted share, and so does what was measured.
//!
//! That nothing was seen does not mean that nothing will come: of `n` days of hosts that were judged half a one more could have
//! been overloaded (Jeffreys, "An invariant form for the prior probability in estimation problems", 1946), so that no less than
//! a part `1/2 / (n + 1)` of what an overloaded day of a host is like is expected. Little history is a risk of its own.

use super::{
    super::{PlanError, setting::Setting},
    Risk,
    judges::{self, Judged, Judges},
};

/// Fills that are tried, as parts of the policy's own, or of a whole host where that is less.
const FILLS: [f64; 9] = [1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5];
/// From one fill above a whole host to the next.
const FILL_STEP: f64 = 0.1;

/// A fill, and what is known of plans with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::plan) struct Margin {
    pub fill: f64,
    /// The share of overloaded host-samples, by all judges.
    pub seen: f64,
    /// The same, or more where little was judged.
    pub expected: f64,
    suited: f64,
    /// The share by judges that plans were not made from.
    unseen: f64,
}

impl Margin {
    fn new(fill: f64, judged: &Judged) -> Self {
        let Judged { seen, suited, days, unseen, .. } = *judged;
        Self { fill, seen, expected: seen.max(days.unseen()), suited, unseen }
    }

    /// With what is known of the hosts that there are in the end, which may be fewer and fuller than those that were judged.
    pub fn of(self, hosts: &[Risk]) -> Self {
        let seen = self.seen.max(judges::seen(self.unseen, hosts));
        Self { seen, expected: self.expected.max(seen), ..self }
    }

    fn keeps(&self, accepted: f64) -> bool {
        self.seen <= accepted && self.suited <= accepted
    }
}

/// The largest fill that keeps the accepted share by what was measured; the smallest one if none does. `None` if the traces
/// are too short to say.
pub(in crate::plan) fn margin(setting: &Setting<'_>) -> Result<Option<Margin>, PlanError> {
    let Some(judges) = Judges::new(setting) else { return Ok(None) };
    let policy = setting.policy;
    let (mut last, mut left_out): (Option<Margin>, Option<usize>) = (None, None);
    for fill in fills(policy.fill_max) {
        let judged = match judges.judge(fill) {
            // What stays together fits no host that is filled so little: the last margin has to do.
            Err(PlanError::Clash(_)) if last.is_some() => break,
            judged => judged?,
        };
        // Nor may a margin push out who fits otherwise.
        let most = *left_out.get_or_insert(judged.unplaced);
        if judged.unplaced > most {
            break;
        }
        let margin = Margin::new(fill, &judged);
        last = Some(margin);
        if margin.keeps(policy.overload_share) {
            break;
        }
    }
    Ok(last)
}

/// What is known of plans with this fill. `None` if the traces are too short to say.
pub(in crate::plan) fn margin_of(setting: &Setting<'_>, fill: f64) -> Result<Option<Margin>, PlanError> {
    let judged = Judges::new(setting).map(|judges| judges.judge(fill)).transpose()?;
    Ok(judged.map(|judged| Margin::new(fill, &judged)))
}

/// Fills that are tried, the largest first.
fn fills(most: f64) -> Vec<f64> {
    // A step that is only there because tenths are no binary numbers is none.
    let steps = ((most - 1.0) / FILL_STEP - 1e-6).ceil().max(0.0) as usize;
    let above = (0..steps).map(|step| most - step as f64 * FILL_STEP);
    above.chain(FILLS.map(|part| part * most.min(1.0))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_are_fuller_than_those_that_were_judged_are_expected_to_be_short_more_often() {
        let margin = Margin { fill: 0.9, seen: 0.125, expected: 0.25, suited: 0.0, unseen: 0.375 };
        let of = |shifted: f64, drifted: f64| {
            let hosts = [Risk { shifted, suited: 0.0, drifted }, Risk { shifted: 0.0, suited: 0.0, drifted }];
            let of = margin.of(&hosts);
            (of.seen, of.expected)
        };
        assert_eq!(of(0.0, 0.0), (0.125, 0.25));
        assert_eq!(of(0.75, 0.0), (0.25, 0.25));
        assert_eq!(of(0.0, 0.5), (0.5, 0.5));
    }

    #[test]
    fn fills_fall_from_the_policys_own_by_tenths_to_a_whole_host_and_from_there_by_less() {
        let falls = |most: f64| {
            let fills = fills(most);
            assert!(fills.windows(2).all(|pair| pair[0] > pair[1] + 0.01), "{fills:?}");
            assert_eq!(fills.first(), Some(&most));
            fills.len() - FILLS.len()
        };
        assert_eq!([2.0, 1.3, 1.1, 1.05, 1.0, 0.9].map(falls), [10, 3, 1, 1, 0, 0]);
    }
}
