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

pub fn problem(sizes: &[u32], kinds: &[(u32, f64)]) -> Problem {
    let mut builder = DemandBuilder::new(&[1], sizes.len());
    sizes.iter().for_each(|size| builder.push(&[&[*size]]));
    let kind =
        |(capacity, price): &(u32, f64)| Kind { capacity: vec![*capacity], price: *price, count: None };
    Problem::new(builder.finish(), kinds.iter().map(kind).collect()).unwrap()
}

/// The least of all ways to put few servers on hosts.
pub fn exhaustive(problem: &Problem, toll: &Islands) -> f64 {
    fn go(at: usize, hosts: &mut Vec<Packed>, problem: &Problem, toll: &Islands, best: &mut f64) {
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
