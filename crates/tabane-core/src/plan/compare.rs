//! In what two plans differ.

use std::collections::{BTreeMap, BTreeSet};

use tabane_model::{ComparedFigure, Plan, PlanComparison, PlanMove};

/// Hosts of plans that were made apart have names that mean nothing to each other: each host of the second plan is taken for
/// that of the first with which it shares the most servers, of the same type.
pub fn compare(first: &Plan, second: &Plan) -> PlanComparison {
    let (before, after) = (hosts_of(first), hosts_of(second));
    let same = same_hosts(first, second, &before);
    let mut moves = Vec::new();
    for (server, from) in &before {
        let to = after.get(server);
        if to.is_none_or(|to| same.get(to) != Some(from)) {
            moves.push(PlanMove {
                server: (*server).into(),
                from: Some((*from).into()),
                to: to.map(|to| (*to).into()),
            });
        }
    }
    moves.extend(
        after.iter().filter(|(server, _)| !before.contains_key(**server)).map(|(server, to)| PlanMove {
            server: (*server).into(),
            from: None,
            to: Some((*to).into()),
        }),
    );
    moves.sort_by(|a, b| a.server.cmp(&b.server));
    let figures = figures(first).into_iter().zip(figures(second));
    PlanComparison {
        figures: figures
            .map(|((name, first), (_, second))| ComparedFigure { name: name.into(), first, second })
            .filter(|figure| figure.first.is_some() || figure.second.is_some())
            .collect(),
        moves,
    }
}

fn hosts_of(plan: &Plan) -> BTreeMap<&str, &str> {
    plan.hosts
        .iter()
        .flat_map(|host| host.servers.iter().map(|server| (server.as_str(), host.id.as_str())))
        .collect()
}

/// For hosts of the second plan those of the first that they are taken for.
fn same_hosts<'a>(
    first: &'a Plan,
    second: &'a Plan,
    before: &BTreeMap<&'a str, &'a str>,
) -> BTreeMap<&'a str, &'a str> {
    let kind_of: BTreeMap<&str, &str> =
        first.hosts.iter().map(|host| (host.id.as_str(), host.host_type.as_str())).collect();
    let mut pairs = Vec::new();
    for host in &second.hosts {
        let mut shared: BTreeMap<&str, usize> = BTreeMap::new();
        for server in &host.servers {
            if let Some(from) = before.get(server.as_str()).filter(|from| kind_of[**from] == host.host_type) {
                *shared.entry(from).or_default() += 1;
            }
        }
        // Of equals the one of the same name.
        pairs
            .extend(shared.into_iter().map(|(from, count)| (count, from == host.id, from, host.id.as_str())));
    }
    pairs.sort_by(|a, b| (b.0, b.1).cmp(&(a.0, a.1)).then((a.2, a.3).cmp(&(b.2, b.3))));
    let (mut same, mut taken) = (BTreeMap::new(), BTreeSet::new());
    for (_, _, from, to) in pairs {
        if !same.contains_key(to) && taken.insert(from) {
            same.insert(to, from);
        }
    }
    same
}

fn figures(plan: &Plan) -> Vec<(&'static str, Option<f64>)> {
    let spare = plan.hosts.iter().filter(|host| host.spare).count();
    let fullest = |resource: &str| {
        let peaks = plan.hosts.iter().flat_map(|host| &host.peaks);
        peaks.filter(|peak| peak.resource == resource).map(|peak| peak.share).reduce(f64::max)
    };
    vec![
        ("hosts", Some((plan.hosts.len() - spare) as f64)),
        ("spare_hosts", Some(spare as f64)),
        ("hosts_lower_bound", Some(f64::from(plan.lower_bound.hosts))),
        ("hosts_cost", Some(plan.cost)),
        ("licences_cost", plan.licences.as_ref().map(|licences| licences.after)),
        ("tco", plan.tco.as_ref().map(|tco| tco.after)),
        ("failures_absorbed", Some(f64::from(plan.failures_absorbed))),
        ("overload_share", plan.predicted_overload_share),
        ("fill", Some(plan.assumptions.fill)),
        ("cpu_peak_share", fullest("cpu_mhz")),
        ("memory_peak_share", fullest("memory_mib")),
        ("unplaced", Some(plan.unplaced.len() as f64)),
        ("waves", Some(plan.waves.len() as f64)),
    ]
}
