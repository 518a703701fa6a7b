//! Who takes over what failed hosts carried, by what the others have left.
//!
//! One failure is absorbed by the other hosts, each server with a place that was found beforehand. For each further failure a
//! host stands by that is at least as large as any, in each resource: it becomes the failed one, and the rest is as before.

use tabane_model::{Failover, HostType, Objective, PlannedHost, Takeover};

use super::{PlanError, needs::Resource, setting::Setting};
use crate::pack::{Packed, Packing, Problem, evacuations};

/// Servers, each with the host that takes it over.
pub(super) type Moves = Vec<(usize, usize)>;

pub(super) struct Shared {
    /// Hosts that stand by, by type.
    pub spares: Vec<usize>,
    /// For each host of the packing, its servers with the hosts that take them over: those of the packing, then the spares.
    pub moves: Vec<Moves>,
}

/// A reserve for so many failures; `Err` with a host whose failure cannot be absorbed, as far as was looked for until `stop`.
pub(super) fn shared(
    setting: &Setting<'_>,
    problem: &Problem,
    crowded: &Problem,
    packing: &Packing,
    failures: usize,
    stop: &dyn Fn() -> bool,
) -> Result<Shared, usize> {
    let used = |kind: usize, hosts: &[Packed]| hosts.iter().filter(|host| host.kind == kind).count();
    let left = |kind: usize, hosts: &[Packed]| {
        setting.hosts[kind].count.is_none_or(|count| used(kind, hosts) < count as usize)
    };
    let mut order: Vec<usize> = (0..setting.hosts.len()).collect();
    order.sort_by(|a, b| setting.hosts[*a].price.total_cmp(&setting.hosts[*b].price));
    // First without a further host, then with one of each type, the cheapest first.
    let mut hosts = packing.clone();
    let mut found = evacuated(setting, crowded, &hosts, stop);
    for kind in order.iter().copied() {
        if found.is_some() {
            break;
        }
        hosts.hosts.truncate(packing.hosts.len());
        if left(kind, &hosts.hosts) {
            hosts.hosts.push(Packed { kind, servers: Vec::new() });
            found = evacuated(setting, crowded, &hosts, stop);
        }
    }
    let Some(mut moves) = found else { return Err(0) };
    let mut spares: Vec<usize> = hosts.hosts[packing.hosts.len()..].iter().map(|host| host.kind).collect();
    for _ in 1..failures {
        let fit = order.iter().copied().find(|kind| {
            left(*kind, &hosts.hosts) && stands_in(problem, packing, setting.hosts, &setting.resources, *kind)
        });
        let Some(kind) = fit else { return Err(0) };
        hosts.hosts.push(Packed { kind, servers: Vec::new() });
        spares.push(kind);
    }
    moves.truncate(packing.hosts.len());
    Ok(Shared { spares, moves })
}

/// What hosts carry while one of them has failed, as a problem of units.
pub(super) fn crowded(setting: &Setting<'_>, problem: &Problem) -> Result<Problem, PlanError> {
    setting.problem_of_units(problem.measured(), Objective::Cost, setting.policy.fill_failed)
}

/// For each host its servers, with the host that takes each over; `None` if it was not found for every host.
pub(super) fn evacuated(
    setting: &Setting<'_>,
    crowded: &Problem,
    packing: &Packing,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Moves>> {
    let moves = evacuations(crowded, &setting.units().collect(packing), setting.policy.seed, stop);
    let servers_of: Vec<&Vec<usize>> = setting.units().iter().collect();
    let expand = |moves: Moves| {
        let of = |(unit, host): (usize, usize)| servers_of[unit].iter().map(move |server| (*server, host));
        moves.into_iter().flat_map(of).collect()
    };
    moves.into_iter().map(|moves| moves.map(expand)).collect()
}

/// Whether a host of this type can be any host of the packing, and whatever that may have to take over.
pub(super) fn stands_in(
    problem: &Problem,
    packing: &Packing,
    hosts: &[HostType],
    resources: &[Resource],
    kind: usize,
) -> bool {
    packing.hosts.iter().all(|host| {
        let (one, other) = (&hosts[kind], &hosts[host.kind]);
        resources.iter().all(|resource| resource.capacity(one) >= resource.capacity(other))
    }) && packing.hosts.iter().flat_map(|host| &host.servers).all(|server| problem.may(*server, kind))
}

/// Moves as the plan tells them. `hosts` are all of the plan, those of the packing first, then the spares.
pub(super) fn told(moves: &[Moves], hosts: &[PlannedHost], names: &[&str]) -> Vec<Failover> {
    let of = |(at, moves): (usize, &Moves)| {
        let mut takeovers: Vec<Takeover> = Vec::new();
        for (server, to) in moves {
            let (host, server) = (&hosts[*to].id, names[*server].to_owned());
            match takeovers.iter_mut().find(|takeover| takeover.host == *host) {
                Some(takeover) => takeover.servers.push(server),
                None => takeovers.push(Takeover { host: host.clone(), servers: vec![server] }),
            }
        }
        takeovers.iter_mut().for_each(|takeover| takeover.servers.sort());
        takeovers.sort_by(|a, b| a.host.cmp(&b.host));
        Failover { host: hosts[at].id.clone(), takeovers }
    };
    moves.iter().enumerate().map(of).collect()
}
