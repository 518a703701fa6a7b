//! The cheapest packing of few servers, proved by exhaustion.
//!
//! ```text
//!  branch: the server with the fewest places next ─► each host that takes it, or a new host of each kind
//!  bound:  prices and tolls so far + new hosts for what the others lack at the fullest moments
//!          + what the tolls of those that are left add at least                 ─► cut off if no cheaper than the best
//! ```
//!
//! Depth first, the cheapest place first. What is cut off costs no less than the best that is known, so that when nothing
//! is left the best is the cheapest of all (Land and Doig, "An automatic method of solving discrete programming problems",
//! 1960; bounds by volume as in Martello and Toth, "Knapsack Problems", 1990).

use super::{
    Load, Packed, Packing, Problem, Toll, construct::packed, cover::Cover, load::Moment, settle::total,
};

/// With more servers there is no hope, and no search.
pub const SERVERS_MAX: usize = 64;
/// Moments of each resource at which the others have to fit: those with the most of it.
const MOMENTS_MAX: usize = 48;

#[derive(Debug, Clone, PartialEq)]
pub struct Exhausted {
    /// No dearer than what was given, with the same servers placed.
    pub packing: Packing,
    /// No packing of these servers costs less.
    pub least: f64,
    /// Whether that is what the packing costs.
    pub is_proved: bool,
    pub turns: u64,
}

/// Looks at all packings of the servers that have a host in this one, until `stop` says so, which is asked with the turns so
/// far. The same packing gives the same turns.
pub fn exhaust(
    problem: &Problem,
    packing: Packing,
    toll: &dyn Toll,
    stop: &dyn Fn(u64) -> bool,
) -> Exhausted {
    let mut servers: Vec<usize> = packing.hosts.iter().flat_map(|host| host.servers.clone()).collect();
    servers.sort_unstable();
    let best = total(problem, &packing, toll);
    if servers.is_empty() || servers.len() > SERVERS_MAX {
        let is_proved = servers.is_empty();
        return Exhausted { packing, least: if is_proved { best } else { 0.0 }, is_proved, turns: 0 };
    }
    let mut search = Search::new(problem, toll, servers, best, stop);
    let everybody = search.everybody();
    let root = search.bound(everybody).min(best);
    search.descend(everybody);
    let is_proved = !search.is_stopped;
    let unplaced = packing.unplaced.clone();
    let found = search.found.map(|hosts| Packing { hosts, unplaced });
    Exhausted {
        least: if is_proved { search.best } else { root.max(0.0) },
        packing: found.unwrap_or(packing),
        is_proved,
        turns: search.turns,
    }
}

/// A host that is open.
struct Open {
    load: Load,
    /// Of those that have no host yet, who could come; as bits.
    takes: u64,
    /// For each class.
    tolls: Vec<f64>,
}

struct Search<'a> {
    problem: &'a Problem,
    toll: &'a dyn Toll,
    stop: &'a dyn Fn(u64) -> bool,
    /// What is a bit elsewhere.
    servers: Vec<usize>,
    /// Servers as bits that are in a class, for each.
    classes: Vec<u64>,
    /// Of each server the place of its dearest class among all, from the dearest.
    rank: Vec<usize>,
    /// Who fits an empty host of each kind, as bits.
    alone: Vec<u64>,
    sizes: Vec<f32>,
    moments: Vec<Moment>,
    /// What servers without a host need at the moments.
    rest: Vec<u64>,
    /// Of each class at least, wherever they are.
    least: Vec<f64>,
    cover: Cover,
    open: Vec<Open>,
    /// Open hosts of each kind.
    used: Vec<usize>,
    price: f64,
    tolls: Vec<f64>,
    best: f64,
    found: Option<Vec<Packed>>,
    turns: u64,
    is_stopped: bool,
}

#[derive(Clone, Copy)]
enum Place {
    On(usize),
    New { kind: usize },
}

impl<'a> Search<'a> {
    fn new(
        problem: &'a Problem,
        toll: &'a dyn Toll,
        servers: Vec<usize>,
        best: f64,
        stop: &'a dyn Fn(u64) -> bool,
    ) -> Self {
        let kinds = problem.kinds().len();
        let bits = |wanted: &dyn Fn(usize) -> bool| {
            servers.iter().enumerate().filter(|(_, s)| wanted(**s)).fold(0, |bits, (at, _)| bits | 1u64 << at)
        };
        let classes: Vec<u64> =
            toll.classes().iter().map(|members| bits(&|s| members.binary_search(&s).is_ok())).collect();
        let alone: Vec<u64> = (0..kinds).map(|kind| bits(&|s| problem.fits_alone(s, kind))).collect();
        let moments = Moment::fullest(problem, &servers, MOMENTS_MAX);
        let need = |moment: &Moment| servers.iter().map(|s| u64::from(moment.of(problem, *s))).sum();
        let size = |server: &usize| {
            let share = |dimension: usize| {
                let most = problem.kinds().iter().map(|kind| kind.capacity[dimension]).max().unwrap_or(0);
                problem.demand().peak(*server, dimension) as f32 / most.max(1) as f32
            };
            (0..problem.demand().dimensions()).map(share).fold(0.0, f32::max)
        };
        let least = |(class, members): (usize, &u64)| {
            let most = |kind: usize| most_of(problem, &servers, *members & alone[kind], kind, &moments);
            toll.least(class, &(0..kinds).map(most).collect::<Vec<u32>>())
        };
        Self {
            rest: moments.iter().map(need).collect(),
            least: classes.iter().enumerate().map(least).collect(),
            sizes: servers.iter().map(size).collect(),
            rank: ranks(toll, &servers, &classes, kinds),
            cover: Cover::new(problem, servers.len(), best),
            tolls: vec![0.0; classes.len()],
            used: vec![0; kinds],
            problem,
            toll,
            stop,
            servers,
            classes,
            alone,
            moments,
            open: Vec::new(),
            price: 0.0,
            best,
            found: None,
            turns: 0,
            is_stopped: false,
        }
    }

    fn everybody(&self) -> u64 {
        u64::MAX >> (64 - self.servers.len())
    }

    /// What it costs at least if the others come where they may.
    fn bound(&self, rest: u64) -> f64 {
        let mut lacking = vec![0u64; self.problem.demand().dimensions()];
        for (at, moment) in self.moments.iter().enumerate() {
            let left = |host: &Open| u64::from(host.load.left(self.problem, moment));
            let usable = self.open.iter().filter(|host| host.takes & rest != 0);
            let lack = self.rest[at].saturating_sub(usable.map(left).sum());
            lacking[moment.dimension] = lacking[moment.dimension].max(lack);
        }
        // Somebody whom no open host takes needs a new one.
        let at_home = self.open.iter().fold(0, |all, host| all | host.takes);
        let new = self.cover.least(&lacking, &self.used, rest & !at_home != 0);
        let tolls = self.tolls.iter().zip(&self.least).map(|(so_far, least)| so_far.max(*least));
        self.price + new + tolls.sum::<f64>()
    }

    /// The same, with what the tolls of those that are left add.
    fn bound_with_tolls(&self, bound: f64, rest: u64) -> f64 {
        let more = |(class, members): (usize, &u64)| {
            let added = bits(members & rest).map(|at| self.added_at_least(class, at)).fold(0.0, f64::max);
            let known = self.tolls[class].max(self.least[class]);
            (self.tolls[class] + added - known).max(0.0)
        };
        bound + self.classes.iter().enumerate().map(more).sum::<f64>()
    }

    /// What a toll grows by when this one comes, where it adds the least. What comes before it does not make it less.
    fn added_at_least(&self, class: usize, at: usize) -> f64 {
        let here = |host: &Open| {
            let mut servers = host.load.servers.clone();
            servers.push(self.servers[at] as u32);
            self.toll.of_class(class, host.load.kind, &servers) - host.tolls[class]
        };
        let new = |kind: usize| self.toll.of_class(class, kind, &[self.servers[at] as u32]);
        let open = self.open.iter().filter(|host| host.takes & (1 << at) != 0).map(here);
        let new = (0..self.alone.len()).filter(|kind| self.is_left(*kind, at)).map(new);
        open.chain(new).fold(f64::INFINITY, f64::min)
    }

    fn is_left(&self, kind: usize, at: usize) -> bool {
        let count = self.problem.kinds()[kind].count;
        self.alone[kind] & (1 << at) != 0 && count.is_none_or(|count| self.used[kind] < count)
    }

    fn is_worse(&self, cost: f64) -> bool {
        cost >= self.best - 1e-9 * self.best.abs().max(1.0)
    }

    fn descend(&mut self, rest: u64) {
        if self.is_stopped {
            return;
        }
        if self.turns.is_multiple_of(256) && (self.stop)(self.turns) {
            self.is_stopped = true;
            return;
        }
        self.turns += 1;
        if rest == 0 {
            let cost = self.price + self.tolls.iter().sum::<f64>();
            if !self.is_worse(cost) {
                self.best = cost;
                self.found = Some(self.open.iter().map(|host| packed(&host.load)).collect());
            }
            return;
        }
        let bound = self.bound(rest);
        if self.is_worse(bound) || self.is_worse(self.bound_with_tolls(bound, rest)) {
            return;
        }
        let at = self.next(rest);
        let mut places = self.places(at);
        places.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (_, place) in places {
            let host = self.put(at, place, rest & !(1 << at));
            self.descend(rest & !(1 << at));
            self.take_back(at, place, host);
        }
    }

    /// Who has no place; then those in dear classes, since they decide what it costs; then who has the fewest.
    fn next(&self, rest: u64) -> usize {
        let key = |at: &usize| {
            let places = self.open.iter().filter(|host| host.takes & (1 << at) != 0).count();
            (places > 0, self.rank[*at], places)
        };
        bits(rest)
            .min_by(|a, b| key(a).cmp(&key(b)).then(self.sizes[*b].total_cmp(&self.sizes[*a])))
            .expect("somebody is left")
    }

    fn places(&self, at: usize) -> Vec<(f64, Place)> {
        let mut places = Vec::new();
        for (host, open) in self.open.iter().enumerate().filter(|(_, host)| host.takes & (1 << at) != 0) {
            let mut servers = open.load.servers.clone();
            servers.push(self.servers[at] as u32);
            let added = self.toll.of(open.load.kind, &servers) - open.tolls.iter().sum::<f64>();
            places.push((added, Place::On(host)));
        }
        for kind in (0..self.alone.len()).filter(|kind| self.is_left(*kind, at)) {
            let added = self.problem.kinds()[kind].price + self.toll.of(kind, &[self.servers[at] as u32]);
            places.push((added, Place::New { kind }));
        }
        places.retain(|(added, _)| added.is_finite());
        places
    }

    /// Returns what is needed to take it back.
    fn put(&mut self, at: usize, place: Place, rest: u64) -> (u64, Vec<f64>) {
        let (problem, server) = (self.problem, self.servers[at]);
        let host = match place {
            Place::On(host) => host,
            Place::New { kind } => {
                self.used[kind] += 1;
                self.price += problem.kinds()[kind].price;
                let load = Load::empty(problem, kind);
                let tolls = vec![0.0; self.tolls.len()];
                self.open.push(Open { load, takes: self.alone[kind], tolls });
                self.open.len() - 1
            }
        };
        let open = &mut self.open[host];
        let before = (open.takes, open.tolls.clone());
        open.load.add(problem, server);
        let takes = bits(open.takes & rest).filter(|other| open.load.takes(problem, self.servers[*other]));
        open.takes = takes.fold(0, |all, other| all | 1 << other);
        for (class, toll) in open.tolls.iter_mut().enumerate() {
            let is = self.toll.of_class(class, open.load.kind, &open.load.servers);
            self.tolls[class] += is - *toll;
            *toll = is;
        }
        for (rest, moment) in self.rest.iter_mut().zip(&self.moments) {
            *rest -= u64::from(moment.of(problem, server));
        }
        before
    }

    fn take_back(&mut self, at: usize, place: Place, (takes, tolls): (u64, Vec<f64>)) {
        let (problem, server) = (self.problem, self.servers[at]);
        let host = match place {
            Place::On(host) => host,
            Place::New { .. } => self.open.len() - 1,
        };
        let open = &mut self.open[host];
        open.load.take(problem, open.load.servers.len() - 1);
        open.takes = takes;
        for ((all, now), before) in self.tolls.iter_mut().zip(&open.tolls).zip(&tolls) {
            *all += before - now;
        }
        open.tolls = tolls;
        for (rest, moment) in self.rest.iter_mut().zip(&self.moments) {
            *rest += u64::from(moment.of(problem, server));
        }
        if let Place::New { kind } = place {
            self.used[kind] -= 1;
            self.price -= problem.kinds()[kind].price;
            self.open.pop();
        }
    }
}

fn ranks(toll: &dyn Toll, servers: &[usize], classes: &[u64], kinds: usize) -> Vec<usize> {
    let dear = |class: usize| {
        let one = |at: usize| {
            let on = |kind: usize| toll.of_class(class, kind, &[servers[at] as u32]);
            (0..kinds).map(on).fold(f64::INFINITY, f64::min)
        };
        bits(classes[class]).map(one).fold(0.0, f64::max)
    };
    let mut order: Vec<usize> = (0..classes.len()).collect();
    order.sort_by(|a, b| dear(*b).total_cmp(&dear(*a)));
    let of = |at: usize| order.iter().position(|class| classes[*class] & (1 << at) != 0);
    (0..servers.len()).map(|at| of(at).unwrap_or(classes.len())).collect()
}

/// The places of bits, from the lowest.
fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = set.trailing_zeros() as usize;
        (set != 0).then(|| {
            set &= set - 1;
            at
        })
    })
}

/// How many of these fit a host together at most: at no moment more than as many of the smallest.
fn most_of(problem: &Problem, servers: &[usize], members: u64, kind: usize, moments: &[Moment]) -> u32 {
    let at = |moment: &Moment| {
        let mut sizes: Vec<u64> =
            bits(members).map(|at| u64::from(moment.of(problem, servers[at]))).collect();
        sizes.sort_unstable();
        let most = u64::from(problem.kinds()[kind].capacity[moment.dimension]);
        let sums = sizes.iter().scan(0, |sum, size| {
            *sum += size;
            Some(*sum)
        });
        sums.take_while(|sum| *sum <= most).count() as u32
    };
    moments.iter().map(at).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;
    use crate::pack::{
        Kind, check_packing, construct,
        few::{Islands, exhaustive, problem, set},
    };

    #[test]
    fn a_kind_that_is_not_endless_is_not_taken_too_often() {
        let mut problem = problem(&[60, 60, 60], &[(100, 1.0), (100, 5.0)]);
        let few = Kind { count: Some(2), ..problem.kinds()[0].clone() };
        problem = Problem::new(problem.demand().clone(), vec![few, problem.kinds()[1].clone()]).unwrap();
        let toll = Islands { classes: Vec::new(), costs: Vec::new() };
        let first = construct(&problem);
        let proved = exhaust(&problem, first, &toll, &|_| false);
        assert_eq!((proved.least, proved.is_proved), (7.0, true));
    }

    #[test]
    fn who_is_stopped_proves_less() {
        let problem = problem(&[40; 12], &[(100, 10.0)]);
        let toll = Islands { classes: vec![vec![0, 3, 5, 7]], costs: vec![9.0] };
        let first = construct(&problem);
        let stopped = exhaust(&problem, first.clone(), &toll, &|_| true);
        let whole = exhaust(&problem, first, &toll, &|_| false);
        assert!(!stopped.is_proved && stopped.least <= whole.least);
        assert_eq!((whole.least, whole.is_proved), (60.0 + 18.0, true));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn what_is_proved_is_the_least_of_all(seed in any::<u64>()) {
            let (problem, toll) = set(&mut SmallRng::seed_from_u64(seed));
            let proved = exhaust(&problem, construct(&problem), &toll, &|_| false);
            prop_assert!(proved.is_proved);
            prop_assert_eq!(check_packing(&problem, &proved.packing), []);
            let (is, least) = (total(&problem, &proved.packing, &toll), exhaustive(&problem, &toll));
            prop_assert!((is - least).abs() < 1e-9 && (proved.least - least).abs() < 1e-9, "{} {} {}", is, proved.least, least);
        }
    }
}
