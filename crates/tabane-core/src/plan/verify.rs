//! Judges a plan by what it says and by the traces.

use std::collections::HashMap;

use tabane_model::{HostTypes, Objective, PLAN_VERSION, Plan, Proof, Traces};
use thiserror::Error;

use super::{PlanError, make::placed, needs, spare};
use crate::pack::{Bound, Breach, Certificate, Packed, Packing, Step, check_bound, check_packing};

/// What is wrong with a plan.
#[derive(Debug, Error)]
pub enum Fault {
    #[error("the plan is of version {0}; this program knows {PLAN_VERSION}")]
    Version(u32),
    #[error("{0}")]
    Assumption(String),
    #[error(transparent)]
    Traces(#[from] PlanError),
    #[error("{host} is of the unknown type {host_type}")]
    UnknownType { host: String, host_type: String },
    #[error("there is no trace of {0}")]
    UnknownServer(String),
    #[error("{0}")]
    Breach(String),
    #[error("the certificate of the lower bound cannot be read: {0}")]
    Certificate(String),
    #[error(
        "the failure of {promised} hosts is said to be absorbed; {found} spare hosts can take over any of them"
    )]
    Spare { promised: u32, found: usize },
    #[error("the plan says that it costs {said}; its hosts cost {is}")]
    Cost { said: f64, is: f64 },
}

/// Everything that is wrong with a plan; nothing, if it keeps what it promises and its bound is proved.
pub fn verify(plan: &Plan, traces: &Traces) -> Vec<Fault> {
    if plan.version != PLAN_VERSION {
        return vec![Fault::Version(plan.version)];
    }
    let assumed = &plan.assumptions;
    let types = HostTypes { host_type: assumed.host_types.clone() };
    let mut faults: Vec<Fault> = types
        .faults()
        .0
        .into_iter()
        .chain(assumed.policy.faults().0)
        .map(|fault| Fault::Assumption(format!("{}: {}", fault.field, fault.message)))
        .collect();
    if !(assumed.fill > 0.0 && assumed.fill <= assumed.policy.fill_max) {
        faults.push(Fault::Assumption(format!("a fill of {} is more than the policy's", assumed.fill)));
    }
    if !faults.is_empty() {
        return faults;
    }
    let servers: Vec<usize> =
        (0..traces.servers.len()).filter(|server| traces.is_measured(*server)).collect();
    let made = needs::resources(traces, &types.host_type, &assumed.policy).and_then(|resources| {
        let demand = needs::demand(traces, &servers, &resources, assumed.policy.gaps, 0..traces.grid.bins);
        let problem = needs::problem(demand, &types.host_type, &resources, Objective::Cost, assumed.fill)?;
        Ok((resources, problem))
    });
    let (resources, problem) = match made {
        Ok(made) => made,
        Err(error) => return vec![error.into()],
    };
    let names: HashMap<&str, usize> =
        servers.iter().enumerate().map(|(at, server)| (traces.servers[*server].name.as_str(), at)).collect();
    let (packing, spares) = read_hosts(plan, traces, &names, &mut faults);
    let told = |breach: Breach| {
        let name = |server: usize| servers.get(server).map_or("?", |at| traces.servers[*at].name.as_str());
        let host =
            |at: usize| plan.hosts.iter().filter(|host| !host.spare).nth(at).map_or("?", |host| &host.id);
        Fault::Breach(match breach {
            Breach::NotOnce { server, times } => format!("{} is named {times} times", name(server)),
            Breach::Overload { host: at, dimension, bin, load, capacity } => format!(
                "{} would have to carry {load} of {capacity} {} in bin {bin}",
                host(at),
                resources[dimension].name
            ),
            Breach::LeftOut { server, .. } => {
                format!("{} has no host, though there is one for it", name(server))
            }
            other => other.to_string(),
        })
    };
    faults.extend(check_packing(&problem, &packing).into_iter().map(told));
    let able = spares.iter().filter(|kind| {
        (0..packing.hosts.len()).all(|host| spare::takes_over(&problem, &packing, host, **kind))
    });
    let (promised, found) = (plan.failures_absorbed, able.count());
    if found < promised as usize {
        faults.push(Fault::Spare { promised, found });
    }
    match read_bound(plan, &resources.iter().map(|r| r.name).collect::<Vec<_>>()) {
        Ok(bound) => faults.extend(check_bound(&problem, &placed(&packing), &bound).into_iter().map(told)),
        Err(what) => faults.push(Fault::Certificate(what)),
    }
    let price = |host: &tabane_model::PlannedHost| {
        types.host_type.iter().find(|kind| kind.name == host.host_type).map_or(0.0, |kind| kind.price)
    };
    let is: f64 = plan.hosts.iter().map(price).sum();
    if (is - plan.cost).abs() > 1e-6 * is.abs().max(1.0) {
        faults.push(Fault::Cost { said: plan.cost, is });
    }
    faults
}

/// Hosts with servers as a packing, and the kinds of the spare ones.
fn read_hosts(
    plan: &Plan,
    traces: &Traces,
    names: &HashMap<&str, usize>,
    faults: &mut Vec<Fault>,
) -> (Packing, Vec<usize>) {
    let (mut packing, mut spares) = (Packing::default(), Vec::new());
    for host in &plan.hosts {
        let types = &plan.assumptions.host_types;
        let Some(kind) = types.iter().position(|kind| kind.name == host.host_type) else {
            let (host, host_type) = (host.id.clone(), host.host_type.clone());
            faults.push(Fault::UnknownType { host, host_type });
            continue;
        };
        let mut servers = Vec::new();
        for server in &host.servers {
            match names.get(server.as_str()) {
                Some(at) => servers.push(*at),
                None => faults.push(Fault::UnknownServer(server.clone())),
            }
        }
        if host.spare && servers.is_empty() {
            spares.push(kind)
        } else {
            packing.hosts.push(Packed { kind, servers })
        }
    }
    for unplaced in &plan.unplaced {
        match names.get(unplaced.server.as_str()) {
            Some(at) => packing.unplaced.push(*at),
            None if traces.servers.iter().any(|server| server.name == unplaced.server) => {}
            None => faults.push(Fault::UnknownServer(unplaced.server.clone())),
        }
    }
    (packing, spares)
}

fn read_bound(plan: &Plan, resources: &[&str]) -> Result<Bound, String> {
    let moment = |proof: &Proof| {
        let found = resources.iter().position(|name| *name == proof.resource);
        found.map(|dimension| (dimension, proof.bin)).ok_or_else(|| format!("no resource {}", proof.resource))
    };
    let said = &plan.lower_bound;
    let hosts_by = match &said.certificate {
        None => Certificate::Nothing,
        Some(proof) => {
            let step = match (proof.function.as_str(), proof.parameter) {
                ("volume", None) => Step::Volume,
                ("parts", Some(parts)) => Step::Parts(parts),
                ("fringe", Some(fringe)) => Step::Fringe(fringe),
                (other, _) => return Err(format!("no function {other}")),
            };
            let (dimension, bin) = moment(proof)?;
            Certificate::Moment { dimension, bin, step }
        }
    };
    let cost_by = said.cost_certificate.as_ref().map(moment).transpose()?;
    Ok(Bound { hosts: said.hosts as usize, hosts_by, cost: said.cost, cost_by })
}
