//! What judges say of plans that fill hosts so far. How they count is for [`super::margin()`] to tell.

use std::{iter, ops::Range, slice};

use super::{
    super::{PlanError, setting::Setting},
    DAY_S, Days, Risk, Risks, capacities, is_long_enough, overloaded,
};
use crate::{
    pack::{Demand, Packing, rough_bound},
    parallel,
};

/// Parts of the time line that judge in turn plans of all others.
const FOLDS: usize = 6;
/// Of more servers than this, so many that are drawn at random are judged: hosts of them are filled in the same way.
const SERVERS: usize = 1_000;
/// All hosts together need fewer than each of them.
const ROUNDS: usize = 10;
/// Attempts at better plans: what is judged has to be as tight as what is made.
const TURNS: u64 = 500;

pub(super) struct Judges<'a> {
    setting: Setting<'a>,
    capacities: Vec<Vec<u32>>,
    all: Demand,
    /// Bins that judge plans of all others.
    folds: Vec<Range<usize>>,
    /// Where the later half begins.
    half: usize,
}

/// What plans with a fill are like.
struct Packings {
    of_all: Packing,
    of_earlier_half: Packing,
    without_fold: Vec<Packing>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Judged {
    /// The share of overloaded host-samples by judges that plans were not made from.
    pub unseen: f64,
    /// By all judges.
    pub seen: f64,
    /// The same of a plan of everything by everything as it was: nothing, unless hosts are filled to more than they have.
    pub suited: f64,
    /// Servers that found no host, where the most did not.
    pub unplaced: usize,
    /// Of the folds.
    pub days: Days,
}

impl<'a> Judges<'a> {
    /// `None` if the time line is too short to judge by.
    pub fn new(setting: &Setting<'a>) -> Option<Self> {
        let grid = setting.traces.grid;
        if !is_long_enough(grid) {
            return None;
        }
        let setting = setting.drawn(SERVERS);
        Some(Self {
            capacities: capacities(setting.hosts, &setting.resources),
            all: setting.demand_in_full(),
            folds: parts(grid.bins, grid.step_s as usize),
            half: grid.bins / 2,
            setting,
        })
    }

    /// Of plans that fill hosts so far.
    pub fn judge(&self, fill: f64) -> Result<Judged, PlanError> {
        let Packings { of_all, of_earlier_half, without_fold } = self.packings(fill)?;
        let mut days = Days::default();
        let mut near = 0.0;
        for (packing, fold) in without_fold.iter().zip(&self.folds) {
            let (share, of_fold) = self.judged_by(fold, packing);
            near += share / self.folds.len() as f64;
            days.add(&of_fold);
        }
        let (far, _) = self.judged_by(&(self.half..self.setting.traces.grid.bins), &of_earlier_half);
        let unseen = near.midpoint(far);
        let risks = Risks::new(&self.setting, &self.all).expect("the time line is long enough to judge by");
        let known = risks.by_rounds(&of_all, ROUNDS);
        Ok(Judged {
            unseen,
            seen: seen(unseen, &known),
            suited: mean(&known, |risk| risk.suited),
            unplaced: without_fold
                .iter()
                .chain([&of_all, &of_earlier_half])
                .map(|packing| packing.unplaced.len())
                .max()
                .unwrap_or_default(),
            days,
        })
    }

    fn judged_by(&self, bins: &Range<usize>, packing: &Packing) -> (f64, Days) {
        let demand = self.setting.demand(slice::from_ref(bins));
        overloaded(&demand, packing, &self.capacities, self.setting.traces.grid.step_s)
    }

    /// As many at once as there are processors.
    fn packings(&self, fill: f64) -> Result<Packings, PlanError> {
        let bins = self.setting.traces.grid.bins;
        let later_half = self.half..bins;
        let judging: Vec<_> = iter::once(&later_half).chain(&self.folds).collect();
        let demand = |at: usize| match at {
            0 => self.all.clone(),
            _ => self.setting.demand(&[0..judging[at - 1].start, judging[at - 1].end..bins]),
        };
        let mut packings = parallel::map(1 + judging.len(), |at| self.packed(demand(at), fill)).into_iter();
        let mut next = || packings.next().expect("each was packed");
        Ok(Packings {
            of_all: next()?,
            of_earlier_half: next()?,
            without_fold: self.folds.iter().map(|_| next()).collect::<Result<_, _>>()?,
        })
    }

    fn packed(&self, demand: Demand, fill: f64) -> Result<Packing, PlanError> {
        let problem = self.setting.problem(demand, self.setting.policy.objective, fill)?;
        self.setting.pack(&problem, fill, 1, rough_bound, &|turns, _| turns >= TURNS)
    }
}

/// The share of overloaded host-samples: the mean of what plans were not made from, and of what is known of their hosts; or what
/// comes of drifting, if that is more.
pub(super) fn seen(unseen: f64, known: &[Risk]) -> f64 {
    let [shifted, suited] = [mean(known, |risk| risk.shifted), mean(known, |risk| risk.suited)];
    ((unseen + shifted + suited) / 3.0).max(mean(known, |risk| risk.drifted))
}

fn mean(risks: &[Risk], of: impl Fn(&Risk) -> f64) -> f64 {
    risks.iter().map(of).sum::<f64>() / risks.len().max(1) as f64
}

/// Whole days, about as many in each.
fn parts(bins: usize, step_s: usize) -> Vec<Range<usize>> {
    let days = bins * step_s / DAY_S;
    let folds = days.min(FOLDS);
    let begin =
        |fold: usize| if fold == folds { bins } else { (days * fold / folds * DAY_S).div_ceil(step_s) };
    (0..folds).map(|fold| begin(fold)..begin(fold + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bin_is_of_one_part_and_parts_are_whole_days() {
        for (bins, step_s) in [(4 * 288, 300), (15 * 288 + 7, 300), (31 * 1_440, 60), (90, 7_000)] {
            let parts = parts(bins, step_s);
            assert!(parts.len() >= 4 && parts.len() <= FOLDS, "{parts:?}");
            assert_eq!((parts[0].start, parts[parts.len() - 1].end), (0, bins));
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start), "{parts:?}");
            let day = DAY_S.div_ceil(step_s);
            assert!(parts.iter().all(|part| part.len() + 1 >= day), "{parts:?}");
        }
    }
}
