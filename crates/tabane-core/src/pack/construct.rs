//! A first packing, in one go.

use super::{Crowd, Load, Packed, Packing, Problem};

/// Places all servers that fit any host: the largest first, each where the fewest of its moments meet a load. How many
/// hosts that takes is found by halving, between what first fit needs and what the volume needs. Each kind of host has its
/// turn at being preferred, since what costs the least for its size is not what is filled the best.
///
/// Costs servers × hosts × blocks, a few times for each kind.
pub fn construct(problem: &Problem) -> Packing {
    let homeless: Vec<usize> =
        (0..problem.demand().servers()).filter(|server| !problem.fits_any(*server)).collect();
    let by_value = by_value(problem);
    let tried = by_value.iter().map(|preferred| {
        let mut kinds = by_value.clone();
        kinds.retain(|kind| kind != preferred);
        kinds.insert(0, *preferred);
        construct_of(problem, &kinds, &homeless)
    });
    let rank = |packing: &Packing| (packing.unplaced.len(), packing.cost(problem.kinds()));
    let mut best = tried
        .min_by(|a, b| rank(a).partial_cmp(&rank(b)).expect("costs are finite"))
        .expect("a problem has a kind of host");
    best.unplaced.extend(homeless);
    best.unplaced.sort_unstable();
    best
}

/// With kinds of hosts in this order of preference.
fn construct_of(problem: &Problem, kinds: &[usize], homeless: &[usize]) -> Packing {
    let first = first_fit(problem, kinds, homeless);
    let mut best = first.clone();
    // Hosts are given up from the end, where first fit put what was left over.
    let (mut enough, mut few) = (first.hosts.len(), first.hosts.len() / 2);
    while few + 1 < enough {
        let tried = few.midpoint(enough);
        let kinds: Vec<usize> = first.hosts[..tried].iter().map(|host| host.kind).collect();
        match spread(problem, &kinds, homeless) {
            Some(packing) => (best, enough) = (packing, tried),
            None => few = tried,
        }
    }
    best
}

/// Kinds of hosts, the most of what is scarce for the money first.
fn by_value(problem: &Problem) -> Vec<usize> {
    let crowd = Crowd::new(problem, &(0..problem.kinds().len()).collect::<Vec<_>>());
    let value = |kind: usize| {
        let kind = &problem.kinds()[kind];
        f64::from(crowd.value(problem, kind)) / kind.price.max(f64::MIN_POSITIVE)
    };
    let mut kinds: Vec<usize> = (0..problem.kinds().len()).collect();
    kinds.sort_by(|a, b| value(*b).total_cmp(&value(*a)));
    kinds
}

/// All but the homeless, those first that need the most of what is scarce.
fn by_size(problem: &Problem, crowd: &Crowd, homeless: &[usize]) -> Vec<usize> {
    let mut sized: Vec<(f32, usize)> = (0..problem.demand().servers())
        .filter(|server| homeless.binary_search(server).is_err())
        .map(|server| (crowd.size(problem, server), server))
        .collect();
    sized.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    sized.into_iter().map(|(_, server)| server).collect()
}

fn first_fit(problem: &Problem, kinds: &[usize], homeless: &[usize]) -> Packing {
    let crowd = Crowd::new(problem, &kinds[..1]);
    let mut loads: Vec<Load> = Vec::new();
    let mut unplaced = Vec::new();
    let mut used = vec![0; problem.kinds().len()];
    for server in by_size(problem, &crowd, homeless) {
        if let Some(load) = loads.iter_mut().find(|load| load.takes(problem, server)) {
            load.add(problem, server);
            continue;
        }
        let left = |kind: usize| problem.kinds()[kind].count.is_none_or(|count| used[kind] < count);
        match kinds.iter().find(|kind| left(**kind) && problem.fits_alone(server, **kind)) {
            Some(kind) => {
                used[*kind] += 1;
                loads.push(Load::empty(problem, *kind));
                loads.last_mut().expect("it was pushed").add(problem, server);
            }
            None => unplaced.push(server),
        }
    }
    Packing { hosts: loads.iter().map(packed).collect(), unplaced }
}

/// All servers onto these hosts, or `None` if one is left.
fn spread(problem: &Problem, kinds: &[usize], homeless: &[usize]) -> Option<Packing> {
    let crowd = Crowd::new(problem, kinds);
    let mut loads: Vec<Load> = kinds.iter().map(|kind| Load::empty(problem, *kind)).collect();
    for server in by_size(problem, &crowd, homeless) {
        let least = least_friction(problem, &crowd, &loads, server)?;
        loads[least].add(problem, server);
    }
    Some(Packing { hosts: loads.iter().map(packed).collect(), unplaced: Vec::new() })
}

fn least_friction(problem: &Problem, crowd: &Crowd, loads: &[Load], server: usize) -> Option<usize> {
    let mut best: Option<(f32, usize)> = None;
    for (at, load) in loads.iter().enumerate() {
        if load.rejects(problem, server) {
            continue;
        }
        let friction = crowd.friction(problem, load, server);
        if best.is_none_or(|(least, _)| friction < least) && load.takes(problem, server) {
            best = Some((friction, at));
        }
    }
    best.map(|(_, at)| at)
}

pub(super) fn packed(load: &Load) -> Packed {
    Packed { kind: load.kind, servers: load.servers.iter().map(|server| *server as usize).collect() }
}
