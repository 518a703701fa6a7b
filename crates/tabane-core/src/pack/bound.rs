//! What no packing can do without: a lower bound on hosts and on cost, with what proves it.
//!
//! At each moment the hosts together have to carry what all servers need of a resource. A dual feasible function makes
//! more of that: it changes sizes such that whatever fits a host still fits it, so the changed sizes, too, have to be
//! carried. Sizes just above a third, for example, count as a half or a third. The certificate names moment and function;
//! whoever doubts it adds up again.

use super::Problem;

/// Rounding functions that are tried, by the number of parts of a host.
const PARTS_MAX: u32 = 30;
/// Moments times servers at which functions are tried: those moments with the most volume.
const SIZES_MAX: usize = 4_000_000;
const SIZES_ROUGH: usize = 200_000;

/// A dual feasible function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Sizes as they are.
    Volume,
    /// Of Fekete and Schepers, u(k): sizes in units of a k-th, rounded down in units of a (k+1)-th.
    Parts(u32),
    /// Of Martello and Toth: who leaves less than this takes a whole host, who is smaller counts nothing.
    Fringe(u32),
}

impl Step {
    /// What a size counts, where a host counts as [`Step::whole`].
    pub fn count(self, size: u32, capacity: u32) -> u64 {
        let (size, capacity) = (u64::from(size), u64::from(capacity));
        match self {
            Self::Volume => size,
            Self::Parts(k) => {
                let k = u64::from(k);
                let (parts, rest) = (size * (k + 1) / capacity, size * (k + 1) % capacity);
                if rest == 0 { parts * k } else { parts * (k + 1) }
            }
            Self::Fringe(fringe) => match u64::from(fringe) {
                fringe if size > capacity - fringe => capacity,
                fringe if size < fringe => 0,
                _ => size,
            },
        }
    }

    pub fn whole(self, capacity: u32) -> u64 {
        match self {
            Self::Volume | Self::Fringe(_) => u64::from(capacity),
            Self::Parts(k) => u64::from(k) * (u64::from(k) + 1),
        }
    }
}

/// What proves a bound on the number of hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// At this moment, of this resource, by this function.
    Moment { dimension: usize, bin: usize, step: Step },
    /// The servers of this group all stay apart.
    Apart { group: u32 },
    /// There is nothing to place.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    pub hosts: usize,
    pub hosts_by: Certificate,
    pub cost: f64,
    /// The moment and resource at which the cheapest mixture of hosts costs that much; `None` where it is the cheapest
    /// choice of as many hosts as it takes.
    pub cost_by: Option<(usize, usize)>,
}

/// The best bound that is found, for the servers that are `placed` (those that fit no host are not counted).
pub fn lower_bound(problem: &Problem, placed: &[usize]) -> Bound {
    bound(problem, placed, SIZES_MAX)
}

/// The same, sooner: of many servers at fewer moments.
pub fn rough_bound(problem: &Problem, placed: &[usize]) -> Bound {
    bound(problem, placed, SIZES_ROUGH)
}

fn bound(problem: &Problem, placed: &[usize], sizes_max: usize) -> Bound {
    let mut best = (0, Certificate::Nothing);
    if !placed.is_empty() {
        best = larger(by_groups(problem, placed), by_moments(problem, placed, sizes_max));
    }
    let (hosts, hosts_by) = best;
    let cheapest = cheapest(problem, hosts);
    let mixture = dearest_moment(problem, placed);
    match mixture {
        Some((cost, dimension, bin)) if cost > cheapest => {
            Bound { hosts, hosts_by, cost, cost_by: Some((dimension, bin)) }
        }
        _ => Bound { hosts, hosts_by, cost: cheapest, cost_by: None },
    }
}

/// The one with more hosts; of equals the first.
fn larger(one: (usize, Certificate), other: (usize, Certificate)) -> (usize, Certificate) {
    if other.0 > one.0 { other } else { one }
}

/// The largest of all kinds, with which as few hosts are needed as can be.
pub(super) fn largest_capacity(problem: &Problem, dimension: usize) -> u32 {
    problem.kinds().iter().map(|kind| kind.capacity[dimension]).max().unwrap_or(0)
}

fn by_moments(problem: &Problem, placed: &[usize], sizes_max: usize) -> (usize, Certificate) {
    let mut moments: Vec<(f64, usize, usize)> = Vec::new();
    for dimension in 0..problem.demand().dimensions() {
        let capacity = largest_capacity(problem, dimension);
        if capacity == 0 {
            continue;
        }
        let totals = problem.demand().sum(placed.iter().copied(), dimension);
        let shares = totals.iter().map(|total| *total as f64 / f64::from(capacity)).enumerate();
        moments.extend(shares.map(|(bin, share)| (share, dimension, bin)));
    }
    moments.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut best = (0, Certificate::Nothing);
    for (share, dimension, bin) in moments.into_iter().take((sizes_max / placed.len()).max(1)) {
        // A function that makes more than twice of it is not looked for.
        if share * 2.0 < best.0 as f64 {
            break;
        }
        let capacity = largest_capacity(problem, dimension);
        let sizes: Vec<u32> = placed.iter().map(|s| problem.demand().of(*s, dimension)[bin]).collect();
        let shares = shares(&sizes, capacity);
        let known = best.0;
        let parts = (1..=PARTS_MAX).filter(|k| most_by_parts(&shares, *k) > known).map(Step::Parts);
        for step in std::iter::once(Step::Volume).chain(parts).chain(fringes(&sizes, capacity)) {
            let hosts = hosts_of(&sizes, step, capacity);
            best = larger(best, (hosts, Certificate::Moment { dimension, bin, step }));
        }
    }
    best
}

/// Fringes that may matter: what large servers leave.
fn fringes(sizes: &[u32], capacity: u32) -> impl Iterator<Item = Step> {
    let mut left: Vec<u32> =
        sizes.iter().filter(|s| **s > capacity / 2 && **s < capacity).map(|s| capacity - s + 1).collect();
    left.sort_unstable();
    left.dedup();
    let every = left.len().div_ceil(PARTS_MAX as usize).max(1);
    left.into_iter().filter(move |fringe| *fringe <= capacity / 2).step_by(every).map(Step::Fringe)
}

/// Sizes as parts of a host in units of a 2³¹th, rounded up.
fn shares(sizes: &[u32], capacity: u32) -> Vec<u32> {
    let share = |size: &u32| (u64::from(*size) << 31).div_ceil(capacity.into());
    sizes.iter().map(|size| u32::try_from(share(size)).unwrap_or(u32::MAX)).collect()
}

/// No fewer hosts than u(k) makes of it, found without a division for each size: most functions make nothing of it.
fn most_by_parts(shares: &[u32], k: u32) -> usize {
    let parts: u64 = shares.iter().map(|share| (u64::from(*share) * u64::from(k + 1)) >> 31).sum();
    parts.div_ceil(k.into()) as usize
}

fn hosts_of(sizes: &[u32], step: Step, capacity: u32) -> usize {
    let count: u64 = sizes.iter().map(|size| step.count(*size, capacity)).sum();
    count.div_ceil(step.whole(capacity)) as usize
}

fn by_groups(problem: &Problem, placed: &[usize]) -> (usize, Certificate) {
    let mut members = vec![0; problem.groups()];
    for server in placed {
        problem.apart(*server).iter().for_each(|group| members[*group as usize] += 1);
    }
    let most = members.iter().enumerate().max_by_key(|(_, count)| **count);
    most.map_or((0, Certificate::Nothing), |(group, count)| {
        (*count, Certificate::Apart { group: group as u32 })
    })
}

/// What so many hosts cost at least.
pub(super) fn cheapest(problem: &Problem, hosts: usize) -> f64 {
    let mut kinds: Vec<_> = problem.kinds().iter().collect();
    kinds.sort_by(|a, b| a.price.total_cmp(&b.price));
    let (mut left, mut cost) = (hosts, 0.0);
    for kind in kinds {
        let taken = left.min(kind.count.unwrap_or(usize::MAX));
        cost += taken as f64 * kind.price;
        left -= taken;
    }
    cost
}

/// What it costs at least to have so much of a resource, if hosts could be had in parts.
pub(super) fn cheapest_mixture(problem: &Problem, dimension: usize, amount: f64) -> f64 {
    let mut kinds: Vec<_> = problem.kinds().iter().filter(|kind| kind.capacity[dimension] > 0).collect();
    let unit = |kind: &super::Kind| kind.price / f64::from(kind.capacity[dimension]);
    kinds.sort_by(|a, b| unit(a).total_cmp(&unit(b)));
    let (mut left, mut cost) = (amount, 0.0);
    for kind in kinds {
        let most =
            kind.count.map_or(f64::INFINITY, |count| count as f64 * f64::from(kind.capacity[dimension]));
        let taken = left.min(most);
        cost += taken * unit(kind);
        left -= taken;
    }
    cost
}

fn dearest_moment(problem: &Problem, placed: &[usize]) -> Option<(f64, usize, usize)> {
    let mut dearest: Option<(f64, usize, usize)> = None;
    for dimension in 0..problem.demand().dimensions() {
        let totals = problem.demand().sum(placed.iter().copied(), dimension);
        // Cost grows with the amount, so the moment with the most is the dearest.
        let Some((bin, most)) = totals.iter().enumerate().max_by_key(|(_, total)| **total) else { continue };
        let cost = cheapest_mixture(problem, dimension, *most as f64);
        if dearest.is_none_or(|(known, ..)| cost > known) {
            dearest = Some((cost, dimension, bin));
        }
    }
    dearest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever fits a host still fits it after each function: that is what the bound stands on.
        #[test]
        fn functions_are_dual_feasible(
            cuts in proptest::collection::vec(1u32..1_000, 1..12), capacity in 1u32..1_000, k in 1u32..=PARTS_MAX,
            part in 1u32..=500,
        ) {
            // Sizes that fill a host at most.
            let mut left = capacity;
            let sizes: Vec<u32> = cuts.iter().map(|cut| { let size = *cut.min(&left); left -= size; size }).collect();
            let fringe = part.min(capacity / 2);
            for step in [Step::Volume, Step::Parts(k), Step::Fringe(fringe)] {
                let count: u64 = sizes.iter().map(|size| step.count(*size, capacity)).sum();
                prop_assert!(count <= step.whole(capacity), "{step:?} {sizes:?} {capacity}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_not_looked_at_would_not_be_more(
            sizes in proptest::collection::vec(1u32..=360, 1..40), k in 1u32..=PARTS_MAX, scale in 1u32..=5_000_000,
        ) {
            let (capacity, sizes) = (360 * scale, sizes.iter().map(|size| size * scale).collect::<Vec<_>>());
            prop_assert!(most_by_parts(&shares(&sizes, capacity), k) >= hosts_of(&sizes, Step::Parts(k), capacity));
        }
    }

    #[test]
    fn sizes_above_a_third_are_two_to_a_host() {
        let sizes = [34; 6];
        assert_eq!(hosts_of(&sizes, Step::Volume, 100), 3);
        assert_eq!(hosts_of(&sizes, Step::Parts(2), 100), 3);
        assert_eq!(hosts_of(&[51; 6], Step::Parts(1), 100), 6);
        assert_eq!(hosts_of(&[40, 40, 70, 70, 70], Step::Fringe(31), 100), 4);
    }
}
