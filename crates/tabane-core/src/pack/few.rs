//! Problems that are small enough to try everything.

use rand::{RngExt, rngs::SmallRng};

use super::{DemandBuilder, Kind, Packed, Packing, Problem, Toll, check_packing, total};

/// A host with one of a class costs so much more.
pub struct Islands {
    pub classes: Vec<Vec<usize>>,
    pub costs: Vec<f64>,
}

impl Toll for Islands {
    fn of_class(&self, class: usize, _: usize, servers: &[u32]) -> f64 {
        let members = &self.classes[class];
        if servers.iter().any(|s| members.contains(&(*s as usize))) { self.costs[class] } else { 0.0 }
    }

    fn classes(&self) -> &[Vec<usize>] {
        &self.classes
    }
}

/// Licences that count what servers weigh, in pairs or for a host as a whole, and cost otherwise on each kind.
pub struct Pairs {
    pub classes: Vec<Vec<usize>>,
    /// Of each server.
    pub weights: Vec<usize>,
    /// Of each class on each kind: a pair, and a host as a whole.
    pub costs: Vec<Vec<(f64, f64)>>,
}

impl Pairs {
    fn of(&self, class: usize, kind: usize, weight: usize) -> f64 {
        let (pair, whole) = self.costs[class][kind];
        whole.min(pair * weight.div_ceil(2) as f64)
    }
}

impl Toll for Pairs {
    fn of_class(&self, class: usize, kind: usize, servers: &[u32]) -> f64 {
        let here = servers.iter().map(|server| *server as usize).filter(|s| self.classes[class].contains(s));
        self.of(class, kind, here.map(|server| self.weights[server]).sum())
    }

    fn classes(&self) -> &[Vec<usize>] {
        &self.classes
    }

    fn least_of(&self, class: usize, kind: usize, count: usize) -> f64 {
        let mut weights: Vec<usize> =
            self.classes[class].iter().map(|server| self.weights[*server]).collect();
        weights.sort_unstable();
        self.of(class, kind, weights.iter().take(count).sum())
    }
}

pub fn problem(sizes: &[u32], kinds: &[(u32, f64)]) -> Problem {
    let mut builder = DemandBuilder::new(&[1], sizes.len());
    sizes.iter().for_each(|size| builder.push(&[&[*size]]));
    let kind =
        |(capacity, price): &(u32, f64)| Kind { capacity: vec![*capacity], price: *price, count: None };
    Problem::new(builder.finish(), kinds.iter().map(kind).collect()).unwrap()
}

/// The least of all ways to put few servers on hosts.
pub fn exhaustive(problem: &Problem, toll: &dyn Toll) -> f64 {
    fn go(at: usize, hosts: &mut Vec<Packed>, problem: &Problem, toll: &dyn Toll, best: &mut f64) {
        if at == problem.demand().servers() {
            let packing = Packing { hosts: hosts.clone(), unplaced: Vec::new() };
            if check_packing(problem, &packing).is_empty() {
                *best = best.min(total(problem, &packing, toll));
            }
            return;
        }
        for host in 0..hosts.len() {
            hosts[host].servers.push(at);
            go(at + 1, hosts, problem, toll, best);
            hosts[host].servers.pop();
        }
        for kind in 0..problem.kinds().len() {
            hosts.push(Packed { kind, servers: vec![at] });
            go(at + 1, hosts, problem, toll, best);
            hosts.pop();
        }
    }
    let mut best = f64::INFINITY;
    go(0, &mut Vec::new(), problem, toll, &mut best);
    best
}

/// Few servers, a kind or two of hosts, and two classes.
pub fn set(random: &mut SmallRng) -> (Problem, Islands) {
    let count = random.random_range(1..7usize);
    let sizes: Vec<u32> = (0..count).map(|_| random.random_range(1..60)).collect();
    let kinds: Vec<(u32, f64)> = (0..random.random_range(1..3))
        .map(|_| (random.random_range(60..120), f64::from(random.random_range(1..30u32))))
        .collect();
    let mut class = || (0..count).filter(|_| random.random_bool(0.4)).collect::<Vec<usize>>();
    let classes = vec![class(), class()];
    let costs = (0..2).map(|_| f64::from(random.random_range(0..60u32))).collect();
    (problem(&sizes, &kinds), Islands { classes, costs })
}

/// Few servers with two resources over time, of which few are of a kind, must go to one, or must stay apart; and licences in
/// pairs.
pub fn set_in_time(random: &mut SmallRng) -> (Problem, Pairs) {
    const BINS: usize = 3;
    let count = random.random_range(2..7usize);
    let mut builder = DemandBuilder::new(&[BINS, 1], count);
    for _ in 0..count {
        let cpu: Vec<u32> = (0..BINS).map(|_| random.random_range(0..70)).collect();
        builder.push(&[&cpu, &[random.random_range(1..50)]]);
    }
    let kinds: Vec<Kind> = (0..random.random_range(1..3))
        .map(|_| Kind {
            capacity: vec![random.random_range(70..160), random.random_range(50..160)],
            price: f64::from(random.random_range(1..30u32)),
            count: random.random_bool(0.2).then(|| random.random_range(1..4)),
        })
        .collect();
    let costs = |random: &mut SmallRng| {
        let pair = f64::from(random.random_range(0..30u32));
        (pair, pair * f64::from(random.random_range(1..4u32)))
    };
    let classes = (0..2).map(|_| (0..count).filter(|_| random.random_bool(0.5)).collect()).collect();
    let toll = Pairs {
        classes,
        weights: (0..count).map(|_| random.random_range(1..4)).collect(),
        costs: (0..2).map(|_| kinds.iter().map(|_| costs(random)).collect()).collect(),
    };
    let mut problem = Problem::new(builder.finish(), kinds).unwrap();
    if random.random_bool(0.3) {
        problem.keep_apart(&[0, count - 1]);
    }
    if random.random_bool(0.3) {
        problem.allow(random.random_range(0..count), &[0]);
    }
    (problem, toll)
}
