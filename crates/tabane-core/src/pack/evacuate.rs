//! Where the servers of each host go if it fails: onto what the others have left.

use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{Crowd, Load, Packing, Problem};

/// Orders that are tried before a host is said to have nowhere to go.
const ATTEMPTS: usize = 24;

/// For each host of the packing its servers with the host that takes each over; `None` where none was found.
///
/// The packing's other hosts keep what they have, and everything that the problem says holds for what comes of it. Finding
/// none is no proof that there is none. Once `stop` says so, none is looked for.
pub fn evacuations(
    problem: &Problem,
    packing: &Packing,
    seed: u64,
    stop: &dyn Fn() -> bool,
) -> Vec<Option<Vec<(usize, usize)>>> {
    let kinds: Vec<usize> = packing.hosts.iter().map(|host| host.kind).collect();
    let crowd = Crowd::new(problem, &kinds);
    let mut loads: Vec<Load> = Vec::new();
    for host in &packing.hosts {
        let mut load = Load::empty(problem, host.kind);
        host.servers.iter().for_each(|server| load.add(problem, *server));
        loads.push(load);
    }
    let mut random = SmallRng::seed_from_u64(seed);
    let of = |(at, host): (usize, &super::Packed)| {
        let mut order = host.servers.clone();
        order.sort_by(|a, b| crowd.size(problem, *b).total_cmp(&crowd.size(problem, *a)));
        (0..ATTEMPTS).take_while(|_| !stop()).find_map(|attempt| {
            if attempt > 1 {
                // Near to the largest first, which is what fits best.
                for place in 1..order.len() {
                    order.swap(place, random.random_range(place.saturating_sub(3)..=place));
                }
            }
            evacuate(problem, &crowd, &mut loads, at, &order, attempt % 2 == 1)
        })
    };
    packing.hosts.iter().enumerate().map(of).collect()
}

/// The loads are the same afterwards.
fn evacuate(
    problem: &Problem,
    crowd: &Crowd,
    loads: &mut [Load],
    failed: usize,
    order: &[usize],
    tight: bool,
) -> Option<Vec<(usize, usize)>> {
    let mut before: Vec<(usize, Load)> = Vec::new();
    let mut moves = Some(Vec::new());
    for server in order {
        let mut best: Option<(f32, usize)> = None;
        for (at, load) in loads.iter().enumerate().filter(|(at, _)| *at != failed) {
            let friction = crowd.friction(problem, load, *server) * if tight { -1.0 } else { 1.0 };
            if best.is_none_or(|(least, _)| friction < least) && load.takes(problem, *server) {
                best = Some((friction, at));
            }
        }
        let Some((_, host)) = best else {
            moves = None;
            break;
        };
        if !before.iter().any(|(known, _)| *known == host) {
            before.push((host, loads[host].clone()));
        }
        loads[host].add(problem, *server);
        moves.as_mut().expect("it is given up by leaving").push((*server, host));
    }
    before.into_iter().for_each(|(host, load)| loads[host] = load);
    moves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::{DemandBuilder, Kind, Packed};

    #[test]
    fn a_host_is_evacuated_onto_what_the_others_have_left() {
        let mut builder = DemandBuilder::new(&[1], 5);
        for size in [3, 3, 4, 4, 9] {
            builder.push(&[&[size]]);
        }
        let kind = Kind { capacity: vec![10], price: 1.0, count: None };
        let mut problem = Problem::new(builder.finish(), vec![kind]).unwrap();
        let host = |servers: &[usize]| Packed { kind: 0, servers: servers.to_vec() };
        let packing =
            Packing { hosts: vec![host(&[0, 1]), host(&[2]), host(&[3]), host(&[4])], unplaced: vec![] };
        let found = evacuations(&problem, &packing, 1, &|| false);
        let mut first = found[0].clone().unwrap();
        first.sort_unstable();
        // 4 + 3 + 3 fit one host, and each of the two fits either.
        assert_eq!(first.iter().map(|(server, _)| *server).collect::<Vec<_>>(), [0, 1]);
        assert!(first.iter().all(|(_, host)| [1, 2].contains(host)), "{first:?}");
        assert!(found[1].is_some() && found[2].is_some());
        assert_eq!(found[3], None, "9 fits nowhere");
        // Who stays apart stays apart then, too.
        problem.keep_apart(&[2, 3]);
        let found = evacuations(&problem, &packing, 1, &|| false);
        assert_eq!(found[1], Some(vec![(2, 0)]));
    }
}
