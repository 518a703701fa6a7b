//! Hosts that are about as full as each other.
//!
//! A search for fewer hosts ends as soon as all servers fit, and leaves some hosts full to the brim beside others that are
//! not. Here the same servers are dealt out anew over the same hosts, which are filled less and less, as long as that is
//! found soon: no host more, and more room on the fullest.

use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};

use super::{Kind, Packed, Packing, Problem, anneal::Annealing, improve::HOSTS_TOGETHER};

/// Steps of an annealing for each of its hosts: what is too much is little.
const STEPS: u64 = 2_000;
/// Fills that are nearer to each other than this are not told apart.
const PRECISION: f64 = 0.02;

/// The same servers on as many hosts of each kind. `problem` is what the packing solves with hosts that are filled to `fill`,
/// and `kinds` says what they have with any other fill.
pub fn level(
    problem: &Problem,
    packing: Packing,
    fill: f64,
    kinds: &dyn Fn(f64) -> Vec<Kind>,
    seed: u64,
) -> Packing {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut eased = problem.clone();
    let mut best: Vec<Host> = packing.hosts.into_iter().map(|host| Host::new(problem, host)).collect();
    let (mut few, mut enough) = (fill * least_full(problem, &best), fill);
    while enough - few > PRECISION {
        let tried = few.midpoint(enough);
        eased.set_capacities(kinds(tried));
        match eased_to(&eased, &best, &mut random) {
            Some(hosts) => (best, enough) = (hosts, tried),
            None => few = tried,
        }
    }
    let hosts = best.into_iter().map(|host| host.packed).filter(|host| !host.servers.is_empty());
    Packing { hosts: hosts.collect(), unplaced: packing.unplaced }
}

#[derive(Clone)]
struct Host {
    packed: Packed,
    /// The most that its servers need at once, of each dimension.
    peaks: Vec<u64>,
}

impl Host {
    fn new(problem: &Problem, packed: Packed) -> Self {
        let demand = problem.demand();
        let peak = |dimension| demand.sum(packed.servers.iter().copied(), dimension).into_iter().max();
        let peaks = (0..demand.dimensions()).map(|dimension| peak(dimension).unwrap_or(0)).collect();
        Self { packed, peaks }
    }

    fn fits(&self, problem: &Problem) -> bool {
        let capacity = &problem.kinds()[self.packed.kind].capacity;
        self.peaks.iter().zip(capacity).all(|(peak, most)| *peak <= u64::from(*most))
    }

    /// Whether one of its servers is too much by itself.
    fn is_bound_to_be_full(&self, problem: &Problem) -> bool {
        self.packed.servers.iter().any(|server| !problem.fits_alone(*server, self.packed.kind))
    }
}

/// How full hosts were if each had the same share of all that is needed: of what is the scarcest.
fn least_full(problem: &Problem, hosts: &[Host]) -> f64 {
    let placed = || hosts.iter().flat_map(|host| &host.packed.servers).copied();
    let of = |dimension: usize| {
        let capacity = |host: &Host| u64::from(problem.kinds()[host.packed.kind].capacity[dimension]);
        let there: u64 = hosts.iter().map(capacity).sum();
        let needed = problem.demand().sum(placed(), dimension).into_iter().max().unwrap_or(0);
        needed as f64 / there.max(1) as f64
    };
    (0..problem.demand().dimensions()).map(of).fold(0.0, f64::max).min(1.0)
}

/// Hosts that are bound to be full stay what they are. `None` if the others are too full.
fn eased_to(problem: &Problem, hosts: &[Host], random: &mut SmallRng) -> Option<Vec<Host>> {
    let mut free: Vec<usize> = (0..hosts.len()).collect();
    free.retain(|host| !hosts[*host].is_bound_to_be_full(problem));
    if free.is_empty() {
        return None;
    }
    free.shuffle(random);
    let mut eased = hosts.to_vec();
    for part in free.chunks(HOSTS_TOGETHER).filter(|part| !part.iter().all(|host| hosts[*host].fits(problem)))
    {
        let before: Vec<Packed> = part.iter().map(|host| hosts[*host].packed.clone()).collect();
        let mut annealing = Annealing::new(problem, &before, &[])?;
        if !annealing.run(STEPS * before.len() as u64, 0.0, random, &mut || false) {
            return None;
        }
        part.iter()
            .zip(annealing.packed())
            .for_each(|(host, after)| eased[*host] = Host::new(problem, after));
    }
    Some(eased)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pack::{DemandBuilder, check_packing};

    const CAPACITY: u32 = 1_000;

    fn kinds(fill: f64) -> Vec<Kind> {
        vec![Kind { capacity: vec![(f64::from(CAPACITY) * fill) as u32], price: 1.0, count: None }]
    }

    fn problem(sizes: &[u32], fill: f64) -> Problem {
        let mut builder = DemandBuilder::new(&[1], sizes.len());
        sizes.iter().for_each(|size| builder.push(&[&[*size]]));
        Problem::new(builder.finish(), kinds(fill)).unwrap()
    }

    fn host(servers: &[usize]) -> Packed {
        Packed { kind: 0, servers: servers.to_vec() }
    }

    fn loads(sizes: &[u32], packing: &Packing) -> Vec<u32> {
        let of = |host: &Packed| host.servers.iter().map(|server| sizes[*server]).sum();
        let mut loads: Vec<u32> = packing.hosts.iter().map(of).collect();
        loads.sort_unstable();
        loads
    }

    #[test]
    fn a_full_host_shares_with_one_that_is_not() {
        let sizes = [300, 300, 300, 100, 90, 10];
        let packing = Packing { hosts: vec![host(&[0, 1, 2, 3]), host(&[4, 5])], unplaced: Vec::new() };
        let even = level(&problem(&sizes, 1.0), packing, 1.0, &kinds, 1);
        assert_eq!(loads(&sizes, &even), [500, 600]);
    }

    #[test]
    fn who_fills_a_host_alone_does_not_keep_others_from_it() {
        let sizes = [950, 300, 300, 300, 100, 20];
        let packing =
            Packing { hosts: vec![host(&[0]), host(&[1, 2, 3]), host(&[4, 5])], unplaced: Vec::new() };
        let even = level(&problem(&sizes, 1.0), packing, 1.0, &kinds, 1);
        assert_eq!(loads(&sizes, &even), [420, 600, 950]);
    }

    proptest! {
        #[test]
        fn servers_and_rules_are_kept_and_no_host_is_fuller(
            sizes in proptest::collection::vec(1u32..400, 4..24),
            apart in proptest::collection::vec(any::<prop::sample::Index>(), 2..4),
        ) {
            let mut problem = problem(&sizes, 1.0);
            let mut group: Vec<usize> = apart.iter().map(|at| at.index(sizes.len())).collect();
            group.sort_unstable();
            group.dedup();
            problem.keep_apart(&group);
            let packing = crate::pack::construct(&problem);
            let before = loads(&sizes, &packing);
            let even = level(&problem, packing, 1.0, &kinds, 1);
            prop_assert_eq!(check_packing(&problem, &even), []);
            let after = loads(&sizes, &even);
            prop_assert!(after.last() <= before.last() && after.len() <= before.len());
        }
    }
}
