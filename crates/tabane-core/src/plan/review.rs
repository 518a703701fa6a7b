//! Compares what was planned with what was measured after a wave.
//!
//! Planned loads are those of the traces that the plan was made from, grown and with overhead, of the servers that have
//! moved; measured are those of the same servers since, as they are. Both are added up on the hosts of the plan.

use std::collections::{BTreeMap, BTreeSet};

use tabane_model::{
    Gaps, HostTypes, JudgedGate, MemoryBasis, Metric, NO_SAMPLE, Plan, PlanPolicy, Review, ReviewedHost,
    ReviewedPeak, Source, Traces, Verdict,
};

use super::{PlanError, cpus, needs, peaks::peaks, phases, risk};
use crate::pack::{Packed, Packing};

const DAY_S: f64 = 86_400.0;
/// What a review measures itself. Everything else that gates ask for comes from whoever reviews.
const MEASURED: [&str; 4] =
    ["days_watched", "host_overloaded_share", "cpu_peak_over_planned", "memory_peak_over_planned"];

/// Reviews a wave. `facts` has what traces do not tell, by the metrics of the plan's gates.
pub fn review(
    plan: &Plan,
    wave: &str,
    planned: &Traces,
    measured: &Traces,
    facts: &BTreeMap<String, f64>,
) -> Result<Review, PlanError> {
    let types = HostTypes { host_type: plan.assumptions.host_types.clone() };
    if let Some(fault) = types.faults().0.into_iter().chain(plan.assumptions.policy.faults().0).next() {
        return Err(PlanError::Assumption(format!("{}: {}", fault.field, fault.message)));
    }
    let last = plan.waves.iter().position(|known| known.name == wave);
    let last = last.ok_or_else(|| PlanError::UnknownWave {
        wave: wave.into(),
        there: plan.waves.iter().map(|wave| wave.name.as_str()).collect::<Vec<_>>().join(", "),
    })?;
    // One list of facts does for plans that promise a saving and for others.
    let is_asked = |fact: &str| fact == phases::SAVING || plan.gates.iter().any(|gate| gate.metric == fact);
    if let Some(unknown) = facts.keys().find(|fact| MEASURED.contains(&fact.as_str()) || !is_asked(fact)) {
        return Err(PlanError::UnknownFact(unknown.clone()));
    }
    let moved: BTreeSet<&str> =
        plan.waves[..=last].iter().flat_map(|wave| &wave.servers).map(String::as_str).collect();
    if let Some(unknown) = moved.iter().find(|name| place(planned, name).is_none()) {
        return Err(PlanError::NotInTraces((*unknown).to_owned()));
    }
    let active = plan.assumptions.policy.memory == MemoryBasis::Active;
    let needed: &[Metric] = if active { &[Metric::CpuMhz, Metric::MemMib] } else { &[Metric::CpuMhz] };
    let has = |at: usize, metric: &Metric| {
        measured.of(at, *metric).is_some_and(|row| row.iter().any(|value| *value != NO_SAMPLE))
    };
    let unmeasured: Vec<String> = moved
        .iter()
        .filter(|name| place(measured, name).is_none_or(|at| !needed.iter().all(|metric| has(at, metric))))
        .map(|name| (*name).to_owned())
        .collect();
    let as_measured = PlanPolicy {
        growth: Default::default(),
        overhead: Vec::new(),
        // Whoever was not heard of was not idle.
        gaps: Gaps::P95,
        ..plan.assumptions.policy.clone()
    };
    let on = cpus::on_hosts(plan);
    let before = |server: &Source| plan.assumptions.policy.cpu_of_server(server).index();
    let now = |server: &Source| on.get(server.name.as_str()).copied().unwrap_or(1.0);
    let then = Loads::new(plan, &moved, planned, &plan.assumptions.policy, &before)?;
    let since = Loads::new(plan, &moved, measured, &as_measured, &now)?;
    let hosts: Vec<ReviewedHost> = then
        .peaks
        .iter()
        .map(|(host, (servers, peaks))| ReviewedHost {
            host: host.clone(),
            servers: *servers,
            peaks: peaks
                .iter()
                .filter_map(|(resource, planned)| {
                    let measured = *since.peaks.get(host)?.1.get(resource)?;
                    Some(ReviewedPeak { resource: resource.clone(), planned: *planned, measured })
                })
                .collect(),
        })
        .collect();
    let mut values = facts.clone();
    values.insert("days_watched".into(), days(measured, &moved));
    if unmeasured.is_empty() && then.resources == since.resources {
        values.insert("host_overloaded_share".into(), since.overloaded_share);
        for (metric, resource) in
            [("cpu_peak_over_planned", "cpu_mhz"), ("memory_peak_over_planned", "memory_mib")]
        {
            let ratios = hosts.iter().flat_map(|host| &host.peaks).filter(|peak| peak.resource == resource);
            let most = ratios.filter(|peak| peak.planned > 0.0).map(|peak| peak.measured / peak.planned);
            values.insert(metric.into(), most.fold(0.0, f64::max));
        }
    }
    let gates: Vec<JudgedGate> = plan.gates.iter().map(|gate| JudgedGate::new(gate, &values)).collect();
    Ok(Review { wave: wave.into(), verdict: Verdict::of(&gates), hosts, unmeasured, gates })
}

fn place(traces: &Traces, name: &str) -> Option<usize> {
    traces.servers.iter().position(|server| server.name == name)
}

/// Days in which all of them have samples.
fn days(traces: &Traces, moved: &BTreeSet<&str>) -> f64 {
    let of = |name: &&str| {
        let row = place(traces, name).and_then(|at| traces.of(at, Metric::CpuMhz)).unwrap_or_default();
        let there = row.iter().filter(|value| **value != NO_SAMPLE).count();
        there as f64 * f64::from(traces.grid.step_s) / DAY_S
    };
    let least = moved.iter().map(of).fold(f64::INFINITY, f64::min);
    // An hour is lost at the ends of a survey more often than not.
    let whole = least.round();
    match least {
        least if !least.is_finite() => 0.0,
        least if whole > least && whole - least <= 1.0 / 24.0 => whole,
        least => least,
    }
}

/// What hosts carry, by their names.
struct Loads {
    peaks: BTreeMap<String, (u32, BTreeMap<String, f64>)>,
    overloaded_share: f64,
    resources: Vec<&'static str>,
}

impl Loads {
    fn new(
        plan: &Plan,
        moved: &BTreeSet<&str>,
        traces: &Traces,
        policy: &PlanPolicy,
        cpu_index: &dyn Fn(&Source) -> f64,
    ) -> Result<Self, PlanError> {
        let kinds = &plan.assumptions.host_types;
        let mut resources = needs::resources(traces, kinds, policy)?;
        // What never changes needs no review, and need not be known of what was measured since.
        resources.retain(|resource| resource.name != needs::DISK_SPACE);
        let mut servers = Vec::new();
        let mut packing = Packing::default();
        let mut names = Vec::new();
        for host in &plan.hosts {
            let kind = kinds.iter().position(|kind| kind.name == host.host_type);
            let kind = kind.ok_or_else(|| PlanError::UnknownType {
                field: host.id.clone(),
                name: host.host_type.clone(),
            })?;
            let mut here = Vec::new();
            for server in host.servers.iter().filter(|name| moved.contains(name.as_str())) {
                if let Some(at) = place(traces, server) {
                    here.push(servers.len());
                    servers.push(at);
                }
            }
            if !here.is_empty() {
                packing.hosts.push(Packed { kind, servers: here });
                names.push(host.id.clone());
            }
        }
        let bins = 0..traces.grid.bins;
        let demand =
            needs::demand_on(traces, &servers, &resources, policy, std::slice::from_ref(&bins), cpu_index);
        let of = |(host, name): (&Packed, &String)| {
            let told = peaks(&demand, host, &kinds[host.kind], &resources).0;
            let told = told.into_iter().map(|peak| (peak.resource, peak.share)).collect();
            (name.clone(), (host.servers.len() as u32, told))
        };
        Ok(Self {
            peaks: packing.hosts.iter().zip(&names).map(of).collect(),
            resources: resources.iter().map(|resource| resource.name).collect(),
            overloaded_share: risk::overloaded_share(&demand, &packing, &risk::capacities(kinds, &resources)),
        })
    }
}
