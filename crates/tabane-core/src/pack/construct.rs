//! A first packing, in one go.

use super::{Crowd, Load, Packed, Packing, Problem, crowd::Needs};

/// So many hosts are compared for a server, others for each; further ones only where none of these takes it. Of many hosts
/// that are filled evenly the best of some is about as good as the best of all (Mitzenmacher, "The power of two choices in
/// randomized load balancing", 2001).
const COMPARED: usize = 32;
/// Numbers of hosts nearer to each other than a part in so many are not told apart: what comes after is better at that.
const PRECISION: usize = 64;

/// Places all servers that fit any host: the largest first, each where the fewest of its moments meet a load. How many
/// hosts that takes is found by halving, between what first fit needs and what the volume needs. Each kind of host has its
/// turn at being preferred, since what costs the least for its size is not what is filled the best.
///
/// Costs servers × blocks × hosts that are compared, which are mostly [`COMPARED`] at most, a few times for each kind.
pub fn construct(problem: &Problem) -> Packing {
    let (servers, homeless): (Vec<usize>, Vec<usize>) =
        (0..problem.demand().servers()).partition(|server| problem.fits_any(*server));
    let task = Task { problem, needs: Needs::of(problem, &servers), servers };
    let by_value = task.by_value();
    let tried = by_value.iter().map(|preferred| {
        let mut kinds = by_value.clone();
        kinds.retain(|kind| kind != preferred);
        kinds.insert(0, *preferred);
        task.packing(&kinds)
    });
    let rank = |packing: &Packing| (packing.unplaced.len(), packing.cost(problem.kinds()));
    let mut best = tried
        .min_by(|a, b| rank(a).partial_cmp(&rank(b)).expect("costs are finite"))
        .expect("a problem has a kind of host");
    best.unplaced.extend(homeless);
    best.unplaced.sort_unstable();
    best
}

struct Task<'a> {
    problem: &'a Problem,
    /// Who fits some host.
    servers: Vec<usize>,
    needs: Needs,
}

impl Task<'_> {
    /// With kinds of hosts in this order of preference.
    fn packing(&self, kinds: &[usize]) -> Packing {
        let mut best = self.first_fit(kinds);
        // Hosts are given up from the end, where first fit put what was left over.
        let kinds: Vec<usize> = best.hosts.iter().map(|host| host.kind).collect();
        let (mut enough, mut few) = (kinds.len(), self.too_few(&kinds));
        while few + 1 + enough / PRECISION < enough {
            let tried = few.midpoint(enough);
            match self.spread(&kinds[..tried]) {
                Some(packing) => (best, enough) = (packing, tried),
                None => few = tried,
            }
        }
        best
    }

    /// How many of these hosts have not the volume, at most.
    fn too_few(&self, kinds: &[usize]) -> usize {
        let of = |dimension: usize| {
            let capacity = |kind: &usize| u64::from(self.problem.kinds()[*kind].capacity[dimension]);
            let sums = kinds.iter().map(capacity).scan(0, |sum, capacity| {
                *sum += capacity;
                Some(*sum)
            });
            sums.take_while(|sum| *sum < self.needs.most(dimension)).count()
        };
        (0..self.problem.demand().dimensions()).map(of).max().unwrap_or(0)
    }

    /// Kinds of hosts, the most of what is scarce for the money first.
    fn by_value(&self) -> Vec<usize> {
        let all = self.problem.kinds();
        let mut kinds: Vec<usize> = (0..all.len()).collect();
        let crowd = Crowd::of(self.problem, &self.needs, &kinds);
        let value = |kind: usize| {
            f64::from(crowd.value(self.problem, &all[kind])) / all[kind].price.max(f64::MIN_POSITIVE)
        };
        kinds.sort_by(|a, b| value(*b).total_cmp(&value(*a)));
        kinds
    }

    /// Those first that need the most of what is scarce.
    fn by_size(&self, crowd: &Crowd) -> impl Iterator<Item = usize> {
        let size = |server: &usize| (crowd.size(self.problem, *server), *server);
        let mut sized: Vec<(f32, usize)> = self.servers.iter().map(size).collect();
        sized.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        sized.into_iter().map(|(_, server)| server)
    }

    fn first_fit(&self, kinds: &[usize]) -> Packing {
        let problem = self.problem;
        let crowd = Crowd::of(problem, &self.needs, &kinds[..1]);
        let mut loads: Vec<Load> = Vec::new();
        let mut unplaced = Vec::new();
        let mut used = vec![0; problem.kinds().len()];
        for server in self.by_size(&crowd) {
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
    fn spread(&self, kinds: &[usize]) -> Option<Packing> {
        let crowd = Crowd::of(self.problem, &self.needs, kinds);
        let mut loads: Vec<Load> = kinds.iter().map(|kind| Load::empty(self.problem, *kind)).collect();
        for server in self.by_size(&crowd) {
            let least = least_friction(self.problem, &crowd, &loads, server)?;
            loads[least].add(self.problem, server);
        }
        Some(Packing { hosts: loads.iter().map(packed).collect(), unplaced: Vec::new() })
    }
}

fn least_friction(problem: &Problem, crowd: &Crowd, loads: &[Load], server: usize) -> Option<usize> {
    // One server's hosts follow those of the one before.
    let from = server * COMPARED;
    let some = |begin: usize| (begin..loads.len().min(begin + COMPARED)).map(|at| (from + at) % loads.len());
    let mut begins = (0..loads.len()).step_by(COMPARED);
    begins.find_map(|begin| least_of(problem, crowd, loads, server, some(begin)))
}

fn least_of(
    problem: &Problem,
    crowd: &Crowd,
    loads: &[Load],
    server: usize,
    compared: impl Iterator<Item = usize>,
) -> Option<usize> {
    let mut best: Option<(f32, usize)> = None;
    for at in compared {
        let load = &loads[at];
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
