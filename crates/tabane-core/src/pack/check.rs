//! Whether a packing keeps what it promises, and whether a bound is one. Nothing of what made them is used here, only the
//! problem itself: sums are made anew, in wider numbers, by the shortest way.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{Bound, Certificate, Packing, Problem, Step, bound};

/// What is wrong with a packing or a bound.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum Breach {
    #[error("server {server} is named {times} times")]
    NotOnce { server: usize, times: usize },
    #[error("there is no server {server}")]
    UnknownServer { server: usize },
    #[error("host {host} is of the unknown kind {kind}")]
    UnknownKind { host: usize, kind: usize },
    #[error("there are {used} hosts of kind {kind}, of {count}")]
    TooMany { kind: usize, used: usize, count: usize },
    #[error("server {server} must not be on a host of kind {kind}")]
    Forbidden { server: usize, kind: usize },
    #[error("servers {one} and {other} must not share host {host}")]
    Together { host: usize, one: usize, other: usize },
    #[error("host {host} has to carry {load} of {capacity} of resource {dimension} in bin {bin}")]
    Overload { host: usize, dimension: usize, bin: usize, load: u64, capacity: u32 },
    #[error("server {server} has no place, though it fits a host of kind {kind}, of which there is one left")]
    LeftOut { server: usize, kind: usize },
    #[error("{claimed} hosts are claimed as bound, {proved} are proved")]
    HostsNotProved { claimed: usize, proved: usize },
    #[error("a cost of {claimed} is claimed as bound, {proved} is proved")]
    CostNotProved { claimed: f64, proved: f64 },
}

/// Everything that is wrong with a packing.
pub fn check_packing(problem: &Problem, packing: &Packing) -> Vec<Breach> {
    let mut breaches = Vec::new();
    once_each(problem, packing, &mut breaches);
    let mut used = vec![0; problem.kinds().len()];
    for (at, host) in packing.hosts.iter().enumerate() {
        let Some(count) = used.get_mut(host.kind) else {
            breaches.push(Breach::UnknownKind { host: at, kind: host.kind });
            continue;
        };
        *count += 1;
        breaches.extend(check_host(problem, at, host));
    }
    for (kind, used) in used.iter().copied().enumerate() {
        if let Some(count) = problem.kinds()[kind].count.filter(|count| used > *count) {
            breaches.push(Breach::TooMany { kind, used, count });
        }
    }
    for server in packing.unplaced.iter().copied().filter(|server| *server < problem.demand().servers()) {
        let left = |kind: &usize| problem.kinds()[*kind].count.is_none_or(|count| used[*kind] < count);
        let fits = (0..used.len()).filter(left).find(|kind| problem.fits_alone(server, *kind));
        if let Some(kind) = fits {
            breaches.push(Breach::LeftOut { server, kind });
        }
    }
    breaches
}

/// What is wrong with one host, whatever the others carry. `at` is what it is called.
pub fn check_host(problem: &Problem, at: usize, host: &super::Packed) -> Vec<Breach> {
    let mut breaches = Vec::new();
    if host.servers.iter().all(|server| *server < problem.demand().servers()) {
        neighbours(problem, at, host, &mut breaches);
        overloads(problem, at, host, &mut breaches);
    }
    breaches
}

fn once_each(problem: &Problem, packing: &Packing, breaches: &mut Vec<Breach>) {
    let mut times = vec![0; problem.demand().servers()];
    for server in packing.hosts.iter().flat_map(|host| &host.servers).chain(&packing.unplaced) {
        match times.get_mut(*server) {
            Some(times) => *times += 1,
            None => breaches.push(Breach::UnknownServer { server: *server }),
        }
    }
    let wrong = times.into_iter().enumerate().filter(|(_, times)| *times != 1);
    breaches.extend(wrong.map(|(server, times)| Breach::NotOnce { server, times }));
}

/// One of each group may be here; whoever comes second is told, once for each group.
fn neighbours(problem: &Problem, at: usize, host: &super::Packed, breaches: &mut Vec<Breach>) {
    let mut first: BTreeMap<u32, (usize, bool)> = BTreeMap::new();
    for server in host.servers.iter().copied() {
        if !problem.may(server, host.kind) {
            breaches.push(Breach::Forbidden { server, kind: host.kind });
        }
        for group in problem.apart(server) {
            let (one, is_told) = first.entry(*group).or_insert((server, false));
            if *one != server && !std::mem::replace(is_told, true) {
                breaches.push(Breach::Together { host: at, one: *one, other: server });
            }
        }
    }
}

fn overloads(problem: &Problem, at: usize, host: &super::Packed, breaches: &mut Vec<Breach>) {
    for dimension in 0..problem.demand().dimensions() {
        let capacity = problem.kinds()[host.kind].capacity[dimension];
        let mut sums = vec![0u64; problem.demand().bins(dimension)];
        for server in &host.servers {
            let values = problem.demand().of(*server, dimension);
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += u64::from(*value));
        }
        let over = sums.into_iter().enumerate().find(|(_, load)| *load > u64::from(capacity));
        breaches.extend(over.map(|(bin, load)| Breach::Overload {
            host: at,
            dimension,
            bin,
            load,
            capacity,
        }));
    }
}

/// Whether the certificate of a bound proves what the bound claims, for the servers that are `placed`.
pub fn check_bound(problem: &Problem, placed: &[usize], claimed: &Bound) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let proved = match claimed.hosts_by {
        Certificate::Nothing => 0,
        Certificate::Apart { group } => placed.iter().filter(|s| problem.apart(**s).contains(&group)).count(),
        Certificate::Moment { dimension, bin, step } if is_proof(problem, dimension, bin, step) => {
            let capacity = bound::largest_capacity(problem, dimension);
            let sizes = placed.iter().map(|server| problem.demand().of(*server, dimension)[bin]);
            let count: u64 = sizes.map(|size| step.count(size, capacity)).sum();
            count.div_ceil(step.whole(capacity)) as usize
        }
        Certificate::Moment { .. } => 0,
    };
    if proved < claimed.hosts {
        breaches.push(Breach::HostsNotProved { claimed: claimed.hosts, proved });
    }
    let cheapest = bound::cheapest(problem, proved);
    let proved = match claimed.cost_by {
        Some((dimension, bin)) if is_moment(problem, dimension, bin) => {
            let sum: u64 = placed.iter().map(|s| u64::from(problem.demand().of(*s, dimension)[bin])).sum();
            bound::cheapest_mixture(problem, dimension, sum as f64).max(cheapest)
        }
        _ => cheapest,
    };
    // Both are sums of the same numbers in the same order; what was written and read may differ in its last digit.
    if proved < claimed.cost * (1.0 - 1e-12) {
        breaches.push(Breach::CostNotProved { claimed: claimed.cost, proved });
    }
    breaches
}

fn is_moment(problem: &Problem, dimension: usize, bin: usize) -> bool {
    dimension < problem.demand().dimensions() && bin < problem.demand().bins(dimension)
}

/// Whether there is such a moment, and the function is dual feasible for hosts of this size.
fn is_proof(problem: &Problem, dimension: usize, bin: usize, step: Step) -> bool {
    is_moment(problem, dimension, bin) && {
        let capacity = bound::largest_capacity(problem, dimension);
        match step {
            Step::Volume => capacity > 0,
            Step::Parts(k) => capacity > 0 && (1..=1_000).contains(&k),
            Step::Fringe(fringe) => fringe >= 1 && fringe <= capacity / 2,
        }
    }
}
