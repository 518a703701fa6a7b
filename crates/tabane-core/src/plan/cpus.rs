//! What is known of the CPUs that servers have and hosts are to have. What it comes to is in `needs`: there a server's MHz are
//! counted by it, and a host's in `HostType::cpu_reference_mhz`.

use std::collections::{BTreeMap, BTreeSet};

use tabane_model::{CpuModel, CpuRating, Plan, PlanNote, Traces};

use super::setting::Setting;

/// Nothing, if no CPU is told from any other.
pub(super) fn note(setting: &Setting<'_>) -> Option<PlanNote> {
    let policy = setting.policy;
    let mut known: BTreeMap<&str, BTreeMap<u64, u32>> = BTreeMap::new();
    let (mut unknown, mut unnamed) = (BTreeSet::new(), 0);
    for server in &setting.servers {
        let (model, index) = match policy.cpu_of_server(&setting.traces.servers[*server]) {
            CpuRating::Listed { model, index } => (model, index),
            CpuRating::Stated(index) => ("", index),
            CpuRating::Unlisted { model } => {
                unknown.insert(model.to_owned());
                continue;
            }
            CpuRating::Unnamed => {
                unnamed += 1;
                continue;
            }
        };
        // Indices are positive, so their bits are in their order.
        *known.entry(model).or_default().entry(index.to_bits()).or_default() += 1;
    }
    let rated = |host: &&tabane_model::HostType| host.cpu_index.is_some();
    if policy.cpu.is_empty() && known.is_empty() && !setting.hosts.iter().any(|host| rated(&host)) {
        return None;
    }
    let of = |(model, indices): (&str, BTreeMap<u64, u32>)| {
        let model = model.to_owned();
        let one =
            move |(bits, servers)| CpuModel { model: model.clone(), index: f64::from_bits(bits), servers };
        indices.into_iter().map(one).collect::<Vec<_>>()
    };
    Some(PlanNote::CpuIndices {
        known: known.into_iter().flat_map(of).collect(),
        unknown: unknown.into_iter().collect(),
        unnamed,
        hosts: setting.hosts.iter().filter(|host| !rated(host)).map(|host| host.name.clone()).collect(),
    })
}

/// But for the last digits of indices.
pub(super) fn same(note: &PlanNote, is: &PlanNote) -> bool {
    let (
        PlanNote::CpuIndices { known, unknown, unnamed, hosts },
        PlanNote::CpuIndices { known: k, unknown: u, unnamed: n, hosts: h },
    ) = (note, is)
    else {
        return false;
    };
    let alike = |(a, b): (&CpuModel, &CpuModel)| {
        (&a.model, a.servers) == (&b.model, b.servers) && (a.index - b.index).abs() <= 1e-9 * b.index
    };
    (unknown, unnamed, hosts) == (u, n, h) && known.len() == k.len() && known.iter().zip(k).all(alike)
}

/// Of the servers that have moved with the first `done` waves: how many of the MHz that were planned with one is that is
/// measured on their hosts. What a guest says of its CPU is not looked at, since its host is known.
pub fn moved<'a>(plan: &'a Plan, done: usize, planned: &Traces) -> BTreeMap<&'a str, f64> {
    let waves = &plan.waves[..done.min(plan.waves.len())];
    let on = on_hosts(plan);
    let of = |server: &'a String| {
        let before = planned.servers.iter().find(|known| known.name == *server);
        let before = before.map_or(1.0, |known| plan.assumptions.policy.cpu_of_server(known).index());
        (server.as_str(), on.get(server.as_str()).copied().unwrap_or(before) / before)
    };
    waves.iter().flat_map(|wave| &wave.servers).map(of).collect()
}

/// What the CPU of the host does with a MHz that each server has in the plan.
pub(super) fn on_hosts(plan: &Plan) -> BTreeMap<&str, f64> {
    let index = |host_type: &str| {
        let kind = plan.assumptions.host_types.iter().find(|kind| kind.name == host_type);
        kind.and_then(|kind| kind.cpu_index).unwrap_or(1.0)
    };
    let hosts = plan.hosts.iter().map(|host| (index(&host.host_type), host));
    hosts.flat_map(|(index, host)| host.servers.iter().map(move |server| (server.as_str(), index))).collect()
}
