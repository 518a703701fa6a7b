//! Makes a plan.

use jiff::Timestamp;
use tabane_model::{
    Assumptions, DataQuality, HostTypes, LowerBound, NO_SAMPLE, Objective, PLAN_VERSION, Plan, PlanPolicy,
    PlanResource, PlannedHost, Proof, Traces, UnplacedServer,
};

use super::{
    PlanError,
    needs::{self, Resource},
    risk, spare,
};
use crate::pack::{Bound, Certificate, Packing, Problem, Step, construct, improve, lower_bound};

/// Makes a plan. `stop` is asked often whether better plans should still be looked for, with the turns so far and the
/// present cost in the unit of the policy's objective; the plan that there is then is returned.
pub fn make(
    traces: &Traces,
    hosts: &HostTypes,
    policy: &PlanPolicy,
    now: Timestamp,
    workers: usize,
    stop: &(dyn Fn(u64, f64) -> bool + Sync),
) -> Result<Plan, PlanError> {
    let kinds = &hosts.host_type;
    let servers: Vec<usize> =
        (0..traces.servers.len()).filter(|server| traces.is_measured(*server)).collect();
    if servers.is_empty() {
        return Err(PlanError::NoServer);
    }
    let resources = needs::resources(traces, kinds, policy)?;
    let margin = risk::margin(traces, &servers, &resources, kinds, policy)?;
    let fill = margin.map_or(policy.fill_max, |margin| margin.fill);
    let demand = needs::demand(traces, &servers, &resources, policy.gaps, 0..traces.grid.bins);
    let mut problem = needs::problem(demand, kinds, &resources, policy.objective, fill)?;

    let first = construct(&problem);
    let enough = lower_bound(&problem, &placed(&first)).cost;
    let packing = improve(&problem, first, enough, policy.seed, workers, stop).packing;
    // Whatever was looked for, the plan's costs are money.
    problem.set_prices(&needs::prices(kinds, Objective::Cost));
    let bound = lower_bound(&problem, &placed(&packing));

    let mut notes = vec![
        "No hypervisor is on every vendor's list: look each product's support for QEMU/KVM up before it is moved."
            .to_owned(),
    ];
    match margin {
        None => notes.push("The traces are shorter than four days: how often hosts will be overloaded is not known.".into()),
        Some(margin) if margin.held_out > policy.overload_share => notes.push(format!(
            "No margin that was tried keeps the accepted share: on the later half of the traces {:.4} % of host-samples were overloaded.",
            margin.held_out * 100.0
        )),
        Some(_) => {}
    }
    let names: Vec<&str> = servers.iter().map(|server| traces.servers[*server].name.as_str()).collect();
    let probabilities = risk::probabilities(
        problem.demand(),
        &packing,
        &risk::capacities(kinds, &resources),
        traces.grid.step_s,
        policy.seed,
    );
    let mut planned = planned_hosts(&problem, &packing, &resources, hosts, &names, probabilities);
    let spares = spare::spare_hosts(&problem, &packing, policy.spare_hosts as usize).unwrap_or_else(|host| {
        notes.push(format!(
            "There are not {} spare hosts that could take over {}: its failure is not absorbed.",
            policy.spare_hosts,
            planned.get(host).map_or("every host", |host| host.id.as_str())
        ));
        Vec::new()
    });
    let failures_absorbed = spares.len() as u32;
    planned.extend(spares.into_iter().enumerate().map(|(at, kind)| PlannedHost {
        id: format!("spare-{:03}", at + 1),
        host_type: kinds[kind].name.clone(),
        servers: Vec::new(),
        overload_probability: None,
        spare: true,
        peaks: Vec::new(),
    }));
    let price = |host: &PlannedHost| {
        kinds.iter().find(|kind| kind.name == host.host_type).map_or(0.0, |kind| kind.price)
    };
    Ok(Plan {
        version: PLAN_VERSION,
        made_at: now,
        cost: planned.iter().map(price).sum(),
        hosts: planned,
        failures_absorbed,
        unplaced: unplaced(traces, &problem, &packing, &servers),
        lower_bound: told_bound(&bound, &resources),
        predicted_overload_share: margin.map(|margin| margin.held_out),
        assumptions: Assumptions {
            host_types: kinds.clone(),
            policy: policy.clone(),
            fill,
            resources: resources.iter().map(|resource| resource.name.to_owned()).collect(),
            notes,
        },
        data_quality: quality(traces, &servers),
    })
}

pub(super) fn placed(packing: &Packing) -> Vec<usize> {
    let mut placed: Vec<usize> = packing.hosts.iter().flat_map(|host| host.servers.clone()).collect();
    placed.sort_unstable();
    placed
}

fn planned_hosts(
    problem: &Problem,
    packing: &Packing,
    resources: &[Resource],
    hosts: &HostTypes,
    names: &[&str],
    probabilities: Option<Vec<f64>>,
) -> Vec<PlannedHost> {
    let of = |(at, host): (usize, &crate::pack::Packed)| {
        let kind = &hosts.host_type[host.kind];
        let peak = |(dimension, resource): (usize, &Resource)| {
            let sums = problem.demand().sum(host.servers.iter().copied(), dimension);
            let most = sums.into_iter().max().unwrap_or(0) as f64;
            PlanResource {
                resource: resource.name.into(),
                share: most / f64::from(resource.capacity(kind).max(1)),
            }
        };
        let mut servers: Vec<String> = host.servers.iter().map(|server| names[*server].to_owned()).collect();
        servers.sort();
        PlannedHost {
            id: format!("host-{:03}", at + 1),
            host_type: kind.name.clone(),
            servers,
            overload_probability: probabilities.as_ref().map(|all| all[at]),
            spare: false,
            peaks: resources.iter().enumerate().map(peak).collect(),
        }
    };
    packing.hosts.iter().enumerate().map(of).collect()
}

fn unplaced(traces: &Traces, problem: &Problem, packing: &Packing, servers: &[usize]) -> Vec<UnplacedServer> {
    let unmeasured = (0..traces.servers.len()).filter(|server| !traces.is_measured(*server));
    let mut list: Vec<UnplacedServer> = unmeasured
        .map(|server| UnplacedServer {
            server: traces.servers[server].name.clone(),
            reason: "nothing was measured of it".into(),
        })
        .collect();
    list.extend(packing.unplaced.iter().map(|server| {
        let reason = if problem.fits_any(*server) {
            "there are not enough hosts of the kinds it fits"
        } else {
            "it is larger than any host"
        };
        UnplacedServer { server: traces.servers[servers[*server]].name.clone(), reason: reason.into() }
    }));
    list
}

fn told_bound(bound: &Bound, resources: &[Resource]) -> LowerBound {
    let (kind, certificate) = match bound.hosts_by {
        Certificate::Nothing => ("nothing", None),
        Certificate::Apart { .. } => ("apart", None),
        Certificate::Moment { dimension, bin, step } => {
            let (function, parameter) = match step {
                Step::Volume => ("volume", None),
                Step::Parts(parts) => ("parts", Some(parts)),
                Step::Fringe(fringe) => ("fringe", Some(fringe)),
            };
            let resource = resources[dimension].name.to_owned();
            ("moment", Some(Proof { resource, bin, function: function.into(), parameter }))
        }
    };
    let cost_certificate = bound.cost_by.map(|(dimension, bin)| Proof {
        resource: resources[dimension].name.into(),
        bin,
        function: "mixture".into(),
        parameter: None,
    });
    LowerBound {
        hosts: bound.hosts as u32,
        cost: bound.cost,
        kind: kind.into(),
        certificate,
        cost_certificate,
    }
}

fn quality(traces: &Traces, measured: &[usize]) -> DataQuality {
    let (mut missing, mut all) = (0usize, 0usize);
    for metric in traces.series.keys() {
        for row in measured.iter().filter_map(|server| traces.of(*server, *metric)) {
            missing += row.iter().filter(|value| **value == NO_SAMPLE).count();
            all += row.len();
        }
    }
    DataQuality {
        first_bin_unix: traces.grid.first_bin_unix,
        step_s: traces.grid.step_s,
        bins: traces.grid.bins,
        servers: traces.servers.len(),
        servers_measured: measured.len(),
        missing_share: missing as f64 / all.max(1) as f64,
        findings: traces.findings.iter().map(ToString::to_string).collect(),
    }
}
