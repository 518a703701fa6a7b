//! What servers need of which resources, as a packing problem.

use std::ops::Range;

use tabane_model::{
    Gaps, Growth, HostType, MemoryBasis, Metric, NO_SAMPLE, Objective, PlanPolicy, Source, Traces,
};

use super::PlanError;
use crate::pack::{AMOUNT_MAX, Demand, DemandBuilder, Kind, Problem};

/// A resource of hosts, and the metrics whose sum is needed of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resource {
    pub name: &'static str,
    metrics: &'static [Metric],
    /// What a host has of it; `None`: any amount.
    of_host: fn(&HostType) -> Option<u32>,
    /// What never changes: of the server, in place of metrics.
    constant: Option<fn(&Source) -> u32>,
    /// By how many percent it will be more.
    growth: fn(&Growth) -> f64,
    /// Whether who gets too little of it is only slower for a moment.
    waits: bool,
}

const CPU: Resource = Resource {
    name: "cpu_mhz",
    metrics: &[Metric::CpuMhz],
    of_host: |host| Some(host.cpu_reference_mhz()),
    constant: None,
    growth: |growth| growth.cpu_percent,
    waits: true,
};
const MEMORY: Resource = Resource {
    name: "memory_mib",
    metrics: &[Metric::MemMib],
    of_host: |host| Some(host.memory_mib),
    constant: None,
    growth: |growth| growth.memory_percent,
    waits: false,
};
pub(super) const DISK_SPACE: &str = "disk_gib";
/// What nobody knows counts as none, and is told.
const SPACE: Resource = Resource {
    name: DISK_SPACE,
    metrics: &[],
    of_host: |host| host.disk_gib,
    constant: Some(|source| source.disk_gib().unwrap_or(0)),
    growth: |growth| growth.disk_space_percent,
    waits: false,
};
const OTHERS: [Resource; 4] = [
    Resource {
        name: "disk_kbs",
        metrics: &[Metric::DiskReadKbs, Metric::DiskWriteKbs],
        of_host: |host| host.disk_kbs,
        constant: None,
        growth: |growth| growth.disk_percent,
        waits: true,
    },
    Resource {
        name: "disk_iops",
        metrics: &[Metric::DiskReadIops, Metric::DiskWriteIops],
        of_host: |host| host.disk_iops,
        constant: None,
        growth: |growth| growth.disk_percent,
        waits: true,
    },
    Resource {
        name: "net_rx_kbs",
        metrics: &[Metric::NetRxKbs],
        of_host: |host| host.net_kbs,
        constant: None,
        growth: |growth| growth.net_percent,
        waits: true,
    },
    Resource {
        name: "net_tx_kbs",
        metrics: &[Metric::NetTxKbs],
        of_host: |host| host.net_kbs,
        constant: None,
        growth: |growth| growth.net_percent,
        waits: true,
    },
];

impl Resource {
    /// Whether it is measured over time.
    pub fn is_measured(&self) -> bool {
        self.constant.is_none()
    }

    /// Whether it is measured, and who gets too little of it has lost.
    pub fn drifts(&self) -> bool {
        self.is_measured() && !self.waits
    }

    pub fn capacity(&self, host: &HostType) -> u32 {
        (self.of_host)(host).unwrap_or(AMOUNT_MAX).min(AMOUNT_MAX)
    }

    /// What is planned for. What does not wait is never promised twice.
    fn filled(&self, host: &HostType, fill: f64) -> u32 {
        let fill = if self.waits { fill } else { fill.min(1.0) };
        (f64::from(self.capacity(host)) * fill).min(AMOUNT_MAX.into()) as u32
    }
}

/// Of how many of these servers nobody knows what space they take, where hosts limit it.
pub(super) fn space_unknown(traces: &Traces, servers: &[usize], hosts: &[HostType]) -> u32 {
    if hosts.iter().all(|host| host.disk_gib.is_none()) {
        return 0;
    }
    servers.iter().filter(|server| traces.servers[**server].disk_gib().is_none()).count() as u32
}

/// The resources that matter: CPU and memory always; of the others those that are known and that some host limits.
pub(super) fn resources(
    traces: &Traces,
    hosts: &[HostType],
    policy: &PlanPolicy,
) -> Result<Vec<Resource>, PlanError> {
    let measured = |resource: &Resource| resource.metrics.iter().any(|m| traces.series.contains_key(m));
    if !measured(&CPU) {
        return Err(PlanError::NotMeasured {
            resource: CPU.name,
            wanted_by: "every plan stands on: add cpu_mhz.csv to the traces",
        });
    }
    let configured = policy.memory == MemoryBasis::Configured;
    if !configured && !measured(&MEMORY) {
        let wanted_by = "memory = \"active\" asks for: add mem_mib.csv to the traces, or let the policy say \"configured\"";
        return Err(PlanError::NotMeasured { resource: MEMORY.name, wanted_by });
    }
    let limited = |resource: &Resource| hosts.iter().any(|host| (resource.of_host)(host).is_some());
    let in_full: fn(&Source) -> u32 = |source| source.mem_cap_mib;
    let mut resources = vec![CPU, Resource { constant: configured.then_some(in_full), ..MEMORY }];
    let has_space = |source: &Source| source.disk_gib().is_some();
    if limited(&SPACE) && traces.servers.iter().any(has_space) {
        resources.push(SPACE);
    }
    resources.extend(OTHERS.into_iter().filter(|resource| measured(resource) && limited(resource)));
    Ok(resources)
}

/// The needs of these servers, in these parts of the time line, one after the other, grown and with what the hypervisor
/// takes; CPU in MHz of the reference of the policy's table of CPUs.
pub(super) fn demand(
    traces: &Traces,
    servers: &[usize],
    resources: &[Resource],
    policy: &PlanPolicy,
    bins: &[Range<usize>],
) -> Demand {
    demand_on(traces, servers, resources, policy, bins, &|server| policy.cpu_of_server(server).index())
}

/// The same of servers that have run on CPUs of which `cpu_index` says what they do with a MHz.
pub(super) fn demand_on(
    traces: &Traces,
    servers: &[usize],
    resources: &[Resource],
    policy: &PlanPolicy,
    bins: &[Range<usize>],
    cpu_index: &dyn Fn(&Source) -> f64,
) -> Demand {
    let length = bins.iter().map(Range::len).sum();
    let counts: Vec<usize> = resources.iter().map(|r| if r.is_measured() { length } else { 1 }).collect();
    let mut builder = DemandBuilder::new(&counts, servers.len());
    for server in servers {
        let source = &traces.servers[*server];
        let of = |resource: &Resource| {
            let mut needs = measured(traces, *server, resource, policy.gaps, bins);
            let more = More::of(source, resource, policy, cpu_index);
            needs.iter_mut().for_each(|need| *need = more.than(*need));
            needs
        };
        let rows: Vec<Vec<u32>> = resources.iter().map(of).collect();
        builder.push(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
    builder.finish()
}

/// The most memory that a server can use, counted as its needs are; any amount where nobody knows.
pub(super) fn memory_ceiling(server: &Source, policy: &PlanPolicy) -> u32 {
    match server.mem_cap_mib {
        0 => u32::MAX,
        all => More::of(server, &MEMORY, policy, &|_| 1.0).than(all),
    }
}

fn measured(
    traces: &Traces,
    server: usize,
    resource: &Resource,
    gaps: Gaps,
    bins: &[Range<usize>],
) -> Vec<u32> {
    if let Some(constant) = resource.constant {
        return vec![constant(&traces.servers[server])];
    }
    let mut sum = vec![0u32; bins.iter().map(Range::len).sum()];
    for metric in resource.metrics {
        let Some(row) = traces.of(server, *metric) else { continue };
        let parts: Vec<&[u32]> = bins.iter().map(|bins| &row[bins.clone()]).collect();
        let substitute = match gaps {
            Gaps::Zero => 0,
            // Of these bins alone: what comes later is not known to whoever plans with them.
            Gaps::P95 => stand_in(&parts),
        };
        let mut left = sum.as_mut_slice();
        for part in parts {
            let (sums, others) = left.split_at_mut(part.len());
            for (sum, value) in sums.iter_mut().zip(part) {
                *sum = sum.saturating_add(if *value == NO_SAMPLE { substitute } else { *value });
            }
            left = others;
        }
    }
    sum
}

/// How much more than was measured a server needs: parts of a million, and so much besides.
struct More {
    millionths: u64,
    besides: u64,
}

const MILLION: u64 = 1_000_000;

impl More {
    fn of(
        server: &Source,
        resource: &Resource,
        policy: &PlanPolicy,
        cpu_index: &dyn Fn(&Source) -> f64,
    ) -> Self {
        let overhead = policy.overhead.iter().find(|o| o.servers.iter().any(|p| p.matches(server)));
        let times = |percent: f64| 1.0 + percent / 100.0;
        let mut factor = times((resource.growth)(&policy.growth));
        if resource.name == CPU.name {
            factor *= cpu_index(server);
        }
        let mut besides = 0;
        if let Some(overhead) = overhead {
            match resource.name {
                name if name == CPU.name => factor *= times(overhead.cpu_percent),
                name if name == MEMORY.name => besides = u64::from(overhead.memory_mib),
                _ => {}
            }
        }
        // Rounded up: rather too much than too little.
        Self { millionths: (factor * MILLION as f64).ceil() as u64, besides }
    }

    fn than(&self, need: u32) -> u32 {
        let more = (u64::from(need) * self.millionths).div_ceil(MILLION) + self.besides;
        u32::try_from(more).unwrap_or(u32::MAX)
    }
}

/// What a missing sample counts as: the 95th percentile of those that there are; where there are fewer than half, the
/// most of them, since little is known then. 0 without any.
fn stand_in(parts: &[&[u32]]) -> u32 {
    if parts.iter().all(|part| !part.contains(&NO_SAMPLE)) {
        return 0;
    }
    let all: usize = parts.iter().map(|part| part.len()).sum();
    let mut samples: Vec<u32> =
        parts.iter().flat_map(|part| part.iter()).copied().filter(|value| *value != NO_SAMPLE).collect();
    if samples.is_empty() {
        return 0;
    }
    if samples.len() * 2 < all {
        return samples.into_iter().max().unwrap_or(0);
    }
    let at = (samples.len() - 1) * 95 / 100;
    *samples.select_nth_unstable(at).1
}

/// Hosts as kinds of a packing problem, filled to `fill` at most.
pub(super) fn kinds(
    hosts: &[HostType],
    resources: &[Resource],
    objective: Objective,
    fill: f64,
) -> Vec<Kind> {
    let of = |(host, price): (&HostType, f64)| Kind {
        capacity: resources.iter().map(|r| r.filled(host, fill)).collect(),
        price,
        count: host.count.map(|count| count as usize),
    };
    hosts.iter().zip(prices(hosts, objective)).map(of).collect()
}

/// What hosts count.
pub(super) fn prices(hosts: &[HostType], objective: Objective) -> Vec<f64> {
    let of = |host: &HostType| match objective {
        Objective::Hosts => 1.0,
        Objective::Cost => host.price,
    };
    hosts.iter().map(of).collect()
}

pub(super) fn problem(
    demand: Demand,
    hosts: &[HostType],
    resources: &[Resource],
    objective: Objective,
    fill: f64,
) -> Result<Problem, PlanError> {
    Ok(Problem::new(demand, kinds(hosts, resources, objective, fill))?)
}
