//! An earlier packing made right again, with few moves: whoever still fits stays.

use super::{Crowd, Load, Packed, Packing, Problem, construct::packed};

/// Servers that are looked at on each host when one is to make room for another.
const EJECTED_MAX: usize = 64;

/// Places servers as they were, and anew those that no longer fit there, or have no host yet. Those that are `settled` stay
/// before others do. Hosts keep their places in the list, also those that are empty by now; new ones come last.
///
/// Where nobody takes a server, a host makes room by giving another one away; where none can, a host is added.
pub fn repair(problem: &Problem, before: &[Packed], settled: &[bool]) -> Packing {
    let kinds: Vec<usize> = before.iter().map(|host| host.kind).collect();
    let crowd = Crowd::new(problem, &kinds);
    let sizes: Vec<f32> = (0..problem.demand().servers()).map(|server| crowd.size(problem, server)).collect();
    let mut is_placed = vec![false; sizes.len()];
    let mut loads = Vec::new();
    for host in before {
        let mut load = Load::empty(problem, host.kind);
        let mut servers = host.servers.clone();
        // The small ones first: one large one has to go rather than many.
        servers.sort_by(|a, b| settled[*b].cmp(&settled[*a]).then(sizes[*a].total_cmp(&sizes[*b])));
        for server in servers {
            if !is_placed[server] && load.takes(problem, server) {
                load.add(problem, server);
                is_placed[server] = true;
            }
        }
        loads.push(load);
    }
    let mut pending: Vec<usize> = (0..sizes.len()).filter(|server| !is_placed[*server]).collect();
    pending.sort_by(|a, b| sizes[*b].total_cmp(&sizes[*a]).then(a.cmp(b)));
    let mut repair = Repair { problem, crowd, loads, settled, sizes };
    let mut unplaced: Vec<usize> = pending.into_iter().filter(|server| !repair.place(*server)).collect();
    unplaced.sort_unstable();
    Packing { hosts: repair.loads.iter().map(packed).collect(), unplaced }
}

struct Repair<'a> {
    problem: &'a Problem,
    crowd: Crowd,
    loads: Vec<Load>,
    settled: &'a [bool],
    sizes: Vec<f32>,
}

impl Repair<'_> {
    /// Whether the server has a host now.
    fn place(&mut self, server: usize) -> bool {
        let host =
            self.taker(server, None).or_else(|| self.made_room(server)).or_else(|| self.opened(server));
        host.map(|host| self.loads[host].add(self.problem, server)).is_some()
    }

    /// The host in use that takes it with the least friction; an empty one if none does.
    fn taker(&self, server: usize, but: Option<usize>) -> Option<usize> {
        let rank = |at: usize| {
            let load = &self.loads[at];
            (load.servers.is_empty(), self.crowd.friction(self.problem, load, server))
        };
        let takes = |at: &usize| Some(*at) != but && self.loads[*at].takes(self.problem, server);
        let ranked = (0..self.loads.len()).filter(takes).map(|at| (rank(at), at));
        let best = ranked.min_by(|((a, x), _), ((b, y), _)| a.cmp(b).then(x.total_cmp(y)));
        best.map(|(_, at)| at)
    }

    /// A host that takes the server once it has given a smaller one, which may move, to another.
    fn made_room(&mut self, server: usize) -> Option<usize> {
        let problem = self.problem;
        for host in 0..self.loads.len() {
            if !problem.may(server, self.loads[host].kind) {
                continue;
            }
            let mut movable: Vec<u32> = self.loads[host].servers.clone();
            movable.retain(|other| {
                !self.settled[*other as usize] && self.sizes[*other as usize] < self.sizes[server]
            });
            // The largest makes the most room.
            movable.sort_by(|a, b| self.sizes[*b as usize].total_cmp(&self.sizes[*a as usize]));
            for other in movable.into_iter().take(EJECTED_MAX) {
                let whole = self.loads[host].clone();
                let at = whole.servers.iter().position(|known| *known == other).expect("it is on this host");
                self.loads[host].take(problem, at);
                if self.loads[host].takes(problem, server)
                    && let Some(to) = self.taker(other as usize, Some(host))
                {
                    self.loads[to].add(problem, other as usize);
                    return Some(host);
                }
                self.loads[host] = whole;
            }
        }
        None
    }

    /// A further host, the cheapest that takes the server.
    fn opened(&mut self, server: usize) -> Option<usize> {
        let kinds = self.problem.kinds();
        let used = |kind: usize| self.loads.iter().filter(|load| load.kind == kind).count();
        let left = |kind: &usize| kinds[*kind].count.is_none_or(|count| used(*kind) < count);
        let fits = (0..kinds.len()).filter(left).filter(|kind| self.problem.fits_alone(server, *kind));
        let kind = fits.min_by(|a, b| kinds[*a].price.total_cmp(&kinds[*b].price))?;
        self.loads.push(Load::empty(self.problem, kind));
        Some(self.loads.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pack::{DemandBuilder, Kind, check_packing, construct};

    const BINS: usize = 8;

    fn problem(rows: &[Vec<u32>]) -> Problem {
        let mut builder = DemandBuilder::new(&[BINS], rows.len());
        rows.iter().for_each(|row| builder.push(&[row]));
        let kinds = vec![
            Kind { capacity: vec![100], price: 3.0, count: None },
            Kind { capacity: vec![60], price: 1.0, count: Some(2) },
        ];
        Problem::new(builder.finish(), kinds).unwrap()
    }

    fn moves(before: &[Packed], after: &Packing) -> usize {
        let stay = |(old, new): (&Packed, &Packed)| {
            old.servers.iter().filter(|server| new.servers.contains(server)).count()
        };
        let all: usize = before.iter().map(|host| host.servers.len()).sum();
        all - before.iter().zip(&after.hosts).map(stay).sum::<usize>()
    }

    #[test]
    fn one_that_has_grown_moves_and_nobody_else() {
        let flat = |values: &[u32]| values.iter().map(|value| vec![*value; BINS]).collect::<Vec<_>>();
        let before =
            vec![Packed { kind: 0, servers: vec![0, 1, 2] }, Packed { kind: 0, servers: vec![3, 4] }];
        let grown = problem(&flat(&[30, 30, 55, 20, 20]));
        let after = repair(&grown, &before, &[false; 5]);
        assert!(check_packing(&grown, &after).is_empty());
        assert_eq!((after.hosts.len(), moves(&before, &after)), (2, 1));
        assert!(after.hosts[1].servers.contains(&2));
        // One that is settled stays, as long as it fits.
        let after = repair(&grown, &before, &[false, false, true, false, false]);
        assert!(after.hosts[0].servers.contains(&2));
        assert_eq!((after.hosts.len(), moves(&before, &after)), (2, 1));
    }

    #[test]
    fn a_host_makes_room_rather_than_that_one_is_bought() {
        let flat = |values: &[u32]| values.iter().map(|value| vec![*value; BINS]).collect::<Vec<_>>();
        let before = vec![Packed { kind: 0, servers: vec![0, 1] }, Packed { kind: 0, servers: vec![2] }];
        // The new one (3) fits neither 40 nor 45 that are left; without server 1 there is room for it.
        let now = problem(&flat(&[30, 30, 55, 60]));
        let after = repair(&now, &before, &[false; 4]);
        assert!(check_packing(&now, &after).is_empty());
        assert_eq!((after.hosts.len(), moves(&before, &after)), (2, 1));
    }

    proptest! {
        /// Whatever became of the loads: all rules are kept, nobody is lost, and nobody moves who need not.
        #[test]
        fn a_repaired_packing_is_right(
            rows in proptest::collection::vec(proptest::collection::vec(0u32..60, BINS), 1..24),
            factors in proptest::collection::vec(0u32..200, 24), settled in proptest::collection::vec(any::<bool>(), 24),
        ) {
            let before = construct(&problem(&rows));
            let changed: Vec<Vec<u32>> = rows
                .iter()
                .zip(&factors)
                .map(|(row, percent)| row.iter().map(|value| value * percent / 100).collect())
                .collect();
            let now = problem(&changed);
            let after = repair(&now, &before.hosts, &settled[..rows.len()]);
            let breaches = check_packing(&now, &after);
            prop_assert!(breaches.is_empty(), "{breaches:?}");
            let placed: usize = after.hosts.iter().map(|host| host.servers.len()).sum();
            prop_assert_eq!(placed + after.unplaced.len(), rows.len());
            prop_assert!(after.unplaced.iter().all(|server| !now.fits_any(*server)), "{:?}", after.unplaced);
            let same = repair(&problem(&rows), &before.hosts, &settled[..rows.len()]);
            prop_assert_eq!(moves(&before.hosts, &same), 0);
        }
    }
}
