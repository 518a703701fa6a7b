//! How full hosts may be.
//!
//! Four judges are asked, and their mean is what is expected of a plan:
//!
//! ```text
//!   a plan of the earlier half, by the later half            ──┐
//!   a plan of the earlier two thirds, by the last third        │
//!   a plan of everything, by days that are shifted at random   ├─► mean
//!   a plan of everything, by everything as it was            ──┘
//! ```
//!
//! The first two see what they were not made from, and know less than the plan that is made in the end: they say too much.
//! The third knows everything, and not that loads rise together; the last was made to suit: they say too little. That a mixture
//! of errors on what was known and on what was not is nearer than either is an old finding (Efron, "Estimating the error rate of
//! a prediction rule", 1983). The fill is lowered until the mean keeps the accepted share, and so does what was measured.
//!
//! That nothing was seen does not mean that nothing will come: of `n` days of hosts that were judged one more could have been
//! overloaded (Laplace's rule of succession, "Essai philosophique sur les probabilités", 1814). So what is expected is the mean
//! and a part `1 / (n + 2)` of what an overloaded day of a host is like. Little history is a risk of its own.

use super::{
    super::{PlanError, setting::Setting},
    Days, capacities, is_long_enough, overloaded, overloaded_share, shifted,
};
use crate::pack::{Demand, Packing};

/// Fills that are tried, as parts of the policy's own, or of a whole host where that is less.
const FILLS: [f64; 9] = [1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5];
/// From one fill above a whole host to the next.
const FILL_STEP: f64 = 0.1;
/// All hosts together need fewer than each of them.
const ROUNDS_OF_JUDGE: usize = 10;
/// Attempts at better plans: what is judged has to be as tight as what is made.
const TURNS: u64 = 4_000;

/// A fill, and what is known of plans with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::plan) struct Margin {
    pub fill: f64,
    /// The share of overloaded host-samples, the mean of all judges.
    pub seen: f64,
    /// The same with what may come that was never seen.
    pub expected: f64,
    /// The same of a plan of everything by everything as it was: nothing, unless hosts are filled to more than they have.
    suited: f64,
}

impl Margin {
    fn keeps(&self, accepted: f64) -> bool {
        self.seen <= accepted && self.suited <= accepted
    }
}

/// The largest fill that keeps the accepted share by what was measured; the smallest one if none does. `None` if the traces
/// are too short to say.
pub(in crate::plan) fn margin(setting: &Setting<'_>) -> Result<Option<Margin>, PlanError> {
    let Some(judges) = Judges::new(setting) else { return Ok(None) };
    let policy = setting.policy;
    // The least full with an overloaded one tell what such a day is like.
    let mut overloaded = Days::default();
    let (mut last, mut left_out): (Option<Margin>, Option<usize>) = (None, None);
    for fill in fills(policy.fill_max) {
        let judged = match judges.judge(fill, policy.overload_share) {
            // What stays together fits no host that is filled so little: the last margin has to do.
            Err(PlanError::Clash(_)) if last.is_some() => break,
            judged => judged?,
        };
        if judged.days.overloaded > 0 {
            overloaded = judged.days;
        }
        // Nor may a margin push out who fits otherwise.
        let most = *left_out.get_or_insert(judged.unplaced);
        if judged.unplaced > most {
            break;
        }
        let margin = judged.margin(fill, &overloaded);
        last = Some(margin);
        if margin.keeps(policy.overload_share) {
            return Ok(last);
        }
    }
    // Of a fill that was given up early not everything was asked.
    let Some(Margin { fill, .. }) = last else { return Ok(None) };
    at(&judges, fill).map(Some)
}

/// What is known of plans with this fill. `None` if the traces are too short to say.
pub(in crate::plan) fn margin_of(setting: &Setting<'_>, fill: f64) -> Result<Option<Margin>, PlanError> {
    Judges::new(setting).map(|judges| at(&judges, fill)).transpose()
}

fn at(judges: &Judges<'_>, fill: f64) -> Result<Margin, PlanError> {
    let judged = judges.judge(fill, f64::INFINITY)?;
    Ok(judged.margin(fill, &judged.days))
}

/// Fills that are tried, the largest first.
fn fills(most: f64) -> Vec<f64> {
    // A step that is only there because tenths are no binary numbers is none.
    let steps = ((most - 1.0) / FILL_STEP - 1e-6).ceil().max(0.0) as usize;
    let above = (0..steps).map(|step| most - step as f64 * FILL_STEP);
    above.chain(FILLS.map(|part| part * most.min(1.0))).collect()
}

struct Judges<'a> {
    setting: &'a Setting<'a>,
    capacities: Vec<Vec<u32>>,
    all: Demand,
    /// What plans are made from, and what they are judged by.
    parts: [(Demand, Demand); 2],
}

#[derive(Default)]
struct Judged {
    seen: f64,
    suited: f64,
    unplaced: usize,
    days: Days,
}

impl Judged {
    /// `overloaded` tells what an overloaded day is like.
    fn margin(&self, fill: f64, overloaded: &Days) -> Margin {
        let expected = self.seen + overloaded.unseen(self.days.all);
        Margin { fill, seen: self.seen, expected, suited: self.suited }
    }
}

impl<'a> Judges<'a> {
    fn new(setting: &'a Setting<'a>) -> Option<Self> {
        let bins = setting.traces.grid.bins;
        let part = |until: usize| (setting.demand(0..until), setting.demand(until..bins));
        is_long_enough(setting.traces.grid).then(|| Self {
            setting,
            capacities: capacities(setting.hosts, &setting.resources),
            all: setting.demand(0..bins),
            parts: [part(bins / 2), part(bins * 2 / 3)],
        })
    }

    /// If it is more than `enough`, not all judges are asked, and it is only so much that it is more.
    fn judge(&self, fill: f64, enough: f64) -> Result<Judged, PlanError> {
        const JUDGES: f64 = 4.0;
        let step_s = self.setting.traces.grid.step_s;
        let mut judged = Judged::default();
        for (earlier, later) in &self.parts {
            let packing = self.packed(earlier, fill)?;
            judged.unplaced = judged.unplaced.max(packing.unplaced.len());
            let (share, days) = overloaded(later, &packing, &self.capacities, step_s);
            judged.days.add(&days);
            judged.seen += share / JUDGES;
            if judged.seen > enough {
                return Ok(judged);
            }
        }
        let packing = self.packed(&self.all, fill)?;
        judged.suited = overloaded_share(&self.all, &packing, &self.capacities);
        judged.seen += judged.suited / JUDGES;
        if judged.seen.max(judged.suited) > enough {
            return Ok(judged);
        }
        let seed = self.setting.policy.seed;
        let shifted = |host| shifted(&self.all, host, &self.capacities, step_s, seed, ROUNDS_OF_JUDGE);
        let hosts = packing.hosts.iter().enumerate().map(|host| shifted(host).unwrap_or_default());
        judged.seen += hosts.sum::<f64>() / packing.hosts.len().max(1) as f64 / JUDGES;
        Ok(judged)
    }

    fn packed(&self, demand: &Demand, fill: f64) -> Result<Packing, PlanError> {
        let problem = self.setting.problem(demand.clone(), self.setting.policy.objective, fill)?;
        self.setting.pack(&problem, fill, 1, &|turns, _| turns >= TURNS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
