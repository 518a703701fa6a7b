//! A plan that goes on: what has moved stays where it is, and as many others as still fit.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tabane_model::{HostTypes, Plan, Traces};

use super::{
    PlanError,
    make::{Begun, Layout, Request, host_id},
};
use crate::pack::{Packed, Packing, repair};

/// Plans anew after some waves, with newer traces or another policy, by as few moves as were found. Hosts keep their names and
/// the margin stays, since another one would move everybody. The first `done` waves stay as they were; a server of them moves
/// on only if its host has no room for it any more.
///
/// What licences cost is told of the result, and nobody is moved for it. `give_up` is asked as by [`super::make_until`].
pub fn replan(
    plan: &Plan,
    done: usize,
    traces: &Traces,
    request: Request<'_>,
    now: Timestamp,
    give_up: &dyn Fn() -> bool,
) -> Result<Plan, PlanError> {
    let types = HostTypes { host_type: plan.assumptions.host_types.clone() };
    if let Some(fault) = types.faults().0.into_iter().chain(plan.assumptions.policy.faults().0).next() {
        return Err(PlanError::Assumption(format!("{}: {}", fault.field, fault.message)));
    }
    let hosts = request.hosts.rated(request.policy);
    let request = Request { hosts: &hosts, ..request };
    let done = &plan.waves[..done.min(plan.waves.len())];
    let begun = Begun::new(traces, request, Some(plan.assumptions.fill.min(request.policy.fill_max)))?;
    let names = begun.setting.names();
    let place: BTreeMap<&str, usize> = names.iter().enumerate().map(|(at, name)| (*name, at)).collect();
    let mut host_of: Vec<Option<usize>> = vec![None; names.len()];
    let mut has_moved = vec![false; names.len()];
    for server in done.iter().flat_map(|wave| &wave.servers) {
        if let Some(at) = place.get(server.as_str()) {
            has_moved[*at] = true;
        }
    }
    let (mut ids, mut kinds) = (Vec::new(), Vec::new());
    for host in plan.hosts.iter().filter(|host| !host.spare) {
        let kind = request.hosts.host_type.iter().position(|kind| kind.name == host.host_type);
        kinds.push(kind.ok_or_else(|| PlanError::UnknownType {
            field: host.id.clone(),
            name: host.host_type.clone(),
        })?);
        for server in host.servers.iter().filter_map(|server| place.get(server.as_str())) {
            host_of[*server] = Some(ids.len());
        }
        ids.push(host.id.clone());
    }
    let packing = repaired(&begun, &kinds, &host_of, &has_moved)?;
    // Numbers of hosts that are gone are not used again.
    let numbers = ids.iter().filter_map(|id| id.strip_prefix("host-")?.parse::<usize>().ok());
    let mut next = numbers.max().unwrap_or(0);
    while ids.len() < packing.hosts.len() {
        next += 1;
        ids.push(host_id(next));
    }
    let (ids, hosts) =
        ids.into_iter().zip(packing.hosts).filter(|(_, host)| !host.servers.is_empty()).unzip();
    let packing = Packing { hosts, unplaced: packing.unplaced };
    begun.plan(Layout { packing, ids, done, exhausted: None }, now, give_up)
}

/// In units of servers that stay together: one whose members are not together is placed anew.
fn repaired(
    begun: &Begun<'_>,
    kinds: &[usize],
    host_of: &[Option<usize>],
    has_moved: &[bool],
) -> Result<Packing, PlanError> {
    let setting = &begun.setting;
    let problem = setting.problem_of_units(begun.problem.measured(), setting.policy.objective, begun.fill)?;
    setting.fits_somewhere(&begun.problem, &problem)?;
    let mut before: Vec<Packed> =
        kinds.iter().map(|kind| Packed { kind: *kind, servers: Vec::new() }).collect();
    let mut settled = Vec::new();
    for (unit, members) in setting.units().iter().enumerate() {
        let host = host_of[members[0]];
        if let Some(host) = host.filter(|_| members.iter().all(|server| host_of[*server] == host)) {
            before[host].servers.push(unit);
        }
        settled.push(members.iter().any(|server| has_moved[*server]));
    }
    Ok(setting.units().expand(&repair(&problem, &before, &settled)))
}
