//! Two plans side by side. Names of hosts mean nothing across plans: hosts are compared by what is on them.

use std::collections::{BTreeMap, BTreeSet};

use tabane_model::{
    Plan,
    planning::{ComparedCosts, ComparedHost, MovedServer, PlanComparison, PlanFigures, RescheduledServer},
};

/// What differs between two plans of the same servers.
pub fn compare(a: (&str, &Plan), b: (&str, &Plan)) -> PlanComparison {
    let pairs = pairs(a.1, b.1);
    let homes = [a.1, b.1].map(homes);
    let beside: BTreeMap<&str, &str> = pairs.iter().map(|(one, other, _)| (*one, *other)).collect();
    let servers: BTreeSet<&str> = homes.iter().flat_map(|homes| homes.keys().copied()).collect();
    let is_moved = |server: &&str| {
        let [one, other] = [homes[0].get(server).copied(), homes[1].get(server).copied()];
        one.is_none() != other.is_none() || one.is_some_and(|one| beside.get(one).copied() != other)
    };
    let owned = |name: Option<&&str>| name.map(|name| (*name).to_owned());
    let moved = servers.iter().copied().filter(is_moved).map(|server| MovedServer {
        server: server.into(),
        a: owned(homes[0].get(server)),
        b: owned(homes[1].get(server)),
    });
    PlanComparison {
        a: figures(a),
        b: figures(b),
        hosts: hosts(a.1, b.1, &pairs),
        moved: moved.collect(),
        rescheduled: rescheduled(a.1, b.1),
    }
}

/// Servers whose waves are called differently: the first is the pilot of both, and the others are numbered.
fn rescheduled(a: &Plan, b: &Plan) -> Vec<RescheduledServer> {
    let waves = |plan: &'_ Plan| -> BTreeMap<String, String> {
        let of = |wave: &tabane_model::Wave| {
            let name = wave.name.clone();
            wave.servers.iter().map(move |server| (server.clone(), name.clone())).collect::<Vec<_>>()
        };
        plan.waves.iter().flat_map(of).collect()
    };
    let (mut one, mut other) = (waves(a), waves(b));
    let servers: BTreeSet<String> = one.keys().chain(other.keys()).cloned().collect();
    let both = servers.into_iter().map(|server| RescheduledServer {
        a: one.remove(&server),
        b: other.remove(&server),
        server,
    });
    both.filter(|server| server.a != server.b).collect()
}

fn homes(plan: &Plan) -> BTreeMap<&str, &str> {
    plan.hosts.iter().flat_map(|host| host.servers.iter().map(|server| (&**server, &*host.id))).collect()
}

/// Hosts that belong together, and how many servers they share: the most alike first.
fn pairs<'a>(a: &'a Plan, b: &'a Plan) -> Vec<(&'a str, &'a str, u32)> {
    let elsewhere = homes(b);
    let mut shared: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for host in &a.hosts {
        for other in host.servers.iter().filter_map(|server| elsewhere.get(server.as_str())) {
            *shared.entry((&host.id, other)).or_default() += 1;
        }
    }
    let mut shared: Vec<_> = shared.into_iter().map(|((one, other), same)| (one, other, same)).collect();
    shared.sort_by_key(|(one, other, same)| (std::cmp::Reverse(*same), *one, *other));
    let (mut ones, mut others) = (BTreeSet::new(), BTreeSet::new());
    shared.retain(|(one, other, _)| {
        let is_free = !ones.contains(one) && !others.contains(other);
        if is_free {
            ones.insert(*one);
            others.insert(*other);
        }
        is_free
    });
    shared
}

fn hosts(a: &Plan, b: &Plan, pairs: &[(&str, &str, u32)]) -> Vec<ComparedHost> {
    let by_one: BTreeMap<&str, (&str, u32)> =
        pairs.iter().map(|(one, other, same)| (*one, (*other, *same))).collect();
    let taken: BTreeSet<&str> = pairs.iter().map(|(_, other, _)| *other).collect();
    let in_use = |plan: &'_ Plan| -> Vec<String> {
        plan.hosts.iter().filter(|host| !host.spare).map(|host| host.id.clone()).collect()
    };
    let ours = in_use(a).into_iter().map(|id| {
        let beside = by_one.get(id.as_str());
        ComparedHost {
            b: beside.map(|(other, _)| (*other).into()),
            same: beside.map_or(0, |(_, same)| *same),
            a: Some(id),
        }
    });
    let theirs = in_use(b).into_iter().filter(|id| !taken.contains(id.as_str()));
    ours.chain(theirs.map(|id| ComparedHost { a: None, b: Some(id), same: 0 })).collect()
}

fn figures((name, plan): (&str, &Plan)) -> PlanFigures {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let spare_hosts = plan.hosts.iter().filter(|host| host.spare).count();
    PlanFigures {
        name: name.into(),
        hosts: count(plan.hosts.len() - spare_hosts),
        spare_hosts: count(spare_hosts),
        lower_bound_hosts: plan.lower_bound.hosts,
        unplaced: count(plan.unplaced.len()),
        cost: plan.cost,
        licences: plan.licences.as_ref().map(|licences| licences.after),
        fill: plan.assumptions.fill,
        predicted_overload_share: plan.predicted_overload_share,
        costs: plan.tco.as_ref().map(|tco| ComparedCosts {
            currency: tco.currency.clone(),
            years: tco.years,
            before: tco.before,
            after: tco.after,
            positions: tco.positions.clone(),
        }),
        waves: count(plan.waves.len()),
        last_day: plan.waves.last().map(|wave| wave.first_day),
        last_date: plan.waves.last().and_then(|wave| wave.windows.last()).map(|window| window.date),
    }
}
