//! A plan's hosts and bound, in the terms of the packing problem.

use std::collections::{BTreeSet, HashMap};

use tabane_model::{Plan, Proof, Traces};

use super::Fault;
use crate::{
    pack::{Bound, Certificate, Packed, Packing, Step},
    plan::setting::Setting,
};

/// Hosts with servers as a packing, and the kinds of the spare ones.
pub(super) fn hosts(
    plan: &Plan,
    traces: &Traces,
    names: &HashMap<&str, usize>,
    faults: &mut Vec<Fault>,
) -> (Packing, Vec<usize>) {
    let (mut packing, mut spares) = (Packing::default(), Vec::new());
    let mut ids = BTreeSet::new();
    for host in &plan.hosts {
        if !ids.insert(&host.id) {
            faults.push(Fault::Breach(format!("there are two hosts called {}", host.id)));
        }
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
                None if traces.servers.iter().any(|known| known.name == *server) => {
                    faults.push(Fault::Breach(format!(
                        "{server} is not to be planned for, and on {}",
                        host.id
                    )));
                }
                None => faults.push(Fault::UnknownServer(server.clone())),
            }
        }
        if host.spare && !servers.is_empty() {
            faults.push(Fault::Breach(format!("{} stands by, and has servers", host.id)));
        }
        if !host.spare && host.servers.is_empty() {
            faults.push(Fault::Breach(format!("{} is in use, and has no servers", host.id)));
        }
        if host.spare { spares.push(kind) } else { packing.hosts.push(Packed { kind, servers }) }
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

pub(super) fn bound(plan: &Plan, setting: &Setting<'_>) -> Result<Bound, String> {
    let moment = |proof: &Proof| {
        let found = setting.resources.iter().position(|resource| resource.name == proof.resource);
        found.map(|dimension| (dimension, proof.bin)).ok_or_else(|| format!("no resource {}", proof.resource))
    };
    let said = &plan.lower_bound;
    let hosts_by = match &said.certificate {
        None => Certificate::Nothing,
        Some(proof) if proof.function == "apart" => {
            let group = setting.rules.apart.iter().position(|(name, _)| *name == proof.resource);
            let group = group.ok_or_else(|| format!("no group {}", proof.resource))? as u32;
            Certificate::Apart { group }
        }
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
