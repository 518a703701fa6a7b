//! What judges say of plans that fill hosts so far. How they count is for [`super::margin()`] to tell.

use std::{iter, ops::Range, slice};

use super::{
    super::{PlanError, setting::Setting},
    DAY_S, Days, Risk, Risks, capacities, is_long_enough, overloaded, parts,
};
use crate::{
    pack::{Demand, Packed, Packing, Problem, rough_bound},
    parallel,
};

/// Parts of the time line that judge in turn plans of all others.
const FOLDS: usize = 6;
/// So many servers are all judged; of more so many that are drawn at random, on hosts that are filled in the same way.
const SERVERS: usize = 1_000;
const DRAWN: usize = 500;
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
    is_drawn: bool,
}

/// What plans with a fill are like.
struct Packings {
    of_all: Filled,
    of_earlier_half: Filled,
    without_fold: Vec<Filled>,
}

struct Filled {
    packing: Packing,
    /// What hosts count as having of what they have.
    part: f64,
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
        let all = setting.servers.len();
        Self::of_some(setting, if all > SERVERS { DRAWN } else { all })
    }

    fn of_some(setting: &Setting<'a>, servers_max: usize) -> Option<Self> {
        let grid = setting.traces.grid;
        if !is_long_enough(grid) {
            return None;
        }
        let all = setting.servers.len();
        let setting = setting.drawn(servers_max);
        Some(Self {
            is_drawn: setting.servers.len() < all,
            capacities: capacities(setting.hosts, &setting.resources),
            all: setting.demand_in_full(),
            folds: folds(grid.bins, grid.step_s as usize),
            half: grid.bins / 2,
            setting,
        })
    }

    /// Of plans that fill hosts so far.
    pub fn judge(&self, fill: f64) -> Result<Judged, PlanError> {
        let Packings { of_all, of_earlier_half, without_fold } = self.packings(fill)?;
        let mut days = Days::default();
        let mut near = 0.0;
        for (filled, fold) in without_fold.iter().zip(&self.folds) {
            let (share, of_fold) = self.judged_by(fold, filled);
            near += share / self.folds.len() as f64;
            days.add(&of_fold);
        }
        let (far, _) = self.judged_by(&(self.half..self.setting.traces.grid.bins), &of_earlier_half);
        let unseen = near.midpoint(far);
        let risks = Risks::new(&self.setting, &self.all).expect("the time line is long enough to judge by");
        let known = risks.of_part(of_all.part).by_rounds(&of_all.packing, ROUNDS);
        Ok(Judged {
            unseen,
            seen: seen(unseen, &known),
            suited: mean(&known, |risk| risk.suited),
            unplaced: without_fold
                .iter()
                .chain([&of_all, &of_earlier_half])
                .map(|filled| filled.packing.unplaced.len())
                .max()
                .unwrap_or_default(),
            days,
        })
    }

    fn judged_by(&self, bins: &Range<usize>, filled: &Filled) -> (f64, Days) {
        let demand = self.setting.demand(slice::from_ref(bins));
        let capacities = parts(&self.capacities, filled.part);
        overloaded(&demand, &filled.packing, &capacities, self.setting.traces.grid.step_s)
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

    fn packed(&self, demand: Demand, fill: f64) -> Result<Filled, PlanError> {
        let problem = self.setting.problem(demand, self.setting.policy.objective, fill)?;
        let packing = self.setting.pack(&problem, fill, 1, rough_bound, &|turns, _| turns >= TURNS)?;
        // There is no half a host, which leaves more room on few than on many: all servers will fill theirs as far as they may.
        let part = if self.is_drawn { fullness(&problem, &packing) } else { 1.0 };
        Ok(Filled { packing, part })
    }
}

/// The part of what may be used that the servers of a host need of it at the fullest moment, for the median host.
fn fullness(problem: &Problem, packing: &Packing) -> f64 {
    let of = |host: &Packed| {
        let capacity = problem.kinds()[host.kind].capacity.iter().enumerate();
        let of = |(dimension, most): (usize, &u32)| {
            let sums = problem.demand().sum(host.servers.iter().copied(), dimension);
            sums.into_iter().max().unwrap_or(0) as f64 / f64::from((*most).max(1))
        };
        capacity.map(of).fold(0.0, f64::max).min(1.0)
    };
    let mut all: Vec<f64> = packing.hosts.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(1.0)
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
fn folds(bins: usize, step_s: usize) -> Vec<Range<usize>> {
    let days = bins * step_s / DAY_S;
    let count = days.min(FOLDS);
    let begin =
        |fold: usize| if fold == count { bins } else { (days * fold / count * DAY_S).div_ceil(step_s) };
    (0..count).map(|fold| begin(fold)..begin(fold + 1)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::{RngExt, SeedableRng, rngs::SmallRng};
    use tabane_model::{Grid, HostTypes, MemoryBasis, Metric, PlanPolicy, Source, Traces};

    use super::*;

    /// Servers that are busy now and then, each by itself.
    fn busy_now_and_then(servers: usize) -> Traces {
        let grid = Grid { first_bin_unix: 0, step_s: 3_600, bins: 12 * 24 };
        let source = |at: usize| Source {
            name: format!("s{at}"),
            cores: 4,
            cpu_cap_mhz: 8_000,
            mem_cap_mib: 4_096,
            labels: Vec::new(),
        };
        let mut random = SmallRng::seed_from_u64(7);
        let cpu = (0..servers * grid.bins).map(|_| match random.random_bool(0.1) {
            true => random.random_range(500..3_000),
            false => random.random_range(50..300),
        });
        let series = BTreeMap::from([
            (Metric::CpuMhz, cpu.collect()),
            (Metric::MemMib, vec![100; servers * grid.bins]),
        ]);
        Traces { grid, servers: (0..servers).map(source).collect(), series, findings: Vec::new() }
    }

    #[test]
    fn some_that_are_drawn_tell_of_all() {
        let traces = busy_now_and_then(240);
        let host = "[[host_type]]\nname = 'h'\ncpu_cores = 8\ncpu_mhz = 8000\nmemory_mib = 65536\nprice = 1";
        let hosts: HostTypes = toml::from_str(host).unwrap();
        let of = |seed: u64, servers_max: usize| {
            let policy = PlanPolicy { memory: MemoryBasis::Active, seed, ..PlanPolicy::default() };
            let setting = Setting::new(&traces, &hosts.host_type, &policy, &[], &[]).unwrap();
            Judges::of_some(&setting, servers_max).unwrap().judge(0.9).unwrap().seen
        };
        let all = of(1, 240);
        let drawn: Vec<f64> = (1..=4).map(|seed| of(seed, 60)).collect();
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        // Half of it or less where there is half a host to spare.
        assert!(mean < all * 1.75 && mean > all / 1.75, "{drawn:?} for {all}");
    }

    #[test]
    fn each_bin_is_of_one_part_and_parts_are_whole_days() {
        for (bins, step_s) in [(4 * 288, 300), (15 * 288 + 7, 300), (31 * 1_440, 60), (90, 7_000)] {
            let parts = folds(bins, step_s);
            assert!(parts.len() >= 4 && parts.len() <= FOLDS, "{parts:?}");
            assert_eq!((parts[0].start, parts[parts.len() - 1].end), (0, bins));
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start), "{parts:?}");
            let day = DAY_S.div_ceil(step_s);
            assert!(parts.iter().all(|part| part.len() + 1 >= day), "{parts:?}");
        }
    }
}
