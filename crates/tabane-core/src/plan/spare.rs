//! Hosts that stand by.

use crate::pack::{Packing, Problem};

/// Kinds of `count` hosts, each of which can take over everything of any host of the packing; `Err` with the host that no
/// kind can take over, or for which there are not enough.
///
/// One spare host for each failure is enough then, whichever hosts fail.
pub(super) fn spare_hosts(problem: &Problem, packing: &Packing, count: usize) -> Result<Vec<usize>, usize> {
    let mut order: Vec<usize> = (0..problem.kinds().len()).collect();
    order.sort_by(|a, b| problem.kinds()[*a].price.total_cmp(&problem.kinds()[*b].price));
    let left = |kind: usize| {
        let used = packing.hosts.iter().filter(|host| host.kind == kind).count();
        problem.kinds()[kind].count.map_or(count, |all| all.saturating_sub(used))
    };
    let mut spare = Vec::new();
    for kind in order {
        if (0..packing.hosts.len()).all(|host| takes_over(problem, packing, host, kind)) {
            spare.extend(std::iter::repeat_n(kind, left(kind).min(count - spare.len())));
        }
    }
    if spare.len() == count {
        return Ok(spare);
    }
    let hard = (0..packing.hosts.len()).find(|host| {
        !(0..problem.kinds().len()).any(|kind| left(kind) > 0 && takes_over(problem, packing, *host, kind))
    });
    Err(hard.unwrap_or(0))
}

/// Whether a host of this kind can take over everything of a host.
pub(super) fn takes_over(problem: &Problem, packing: &Packing, host: usize, kind: usize) -> bool {
    let servers = &packing.hosts[host].servers;
    let demand = problem.demand();
    servers.iter().all(|server| problem.may(*server, kind))
        && problem.kinds()[kind].capacity.iter().enumerate().all(|(dimension, most)| {
            demand.sum(servers.iter().copied(), dimension).into_iter().all(|sum| sum <= u64::from(*most))
        })
}
