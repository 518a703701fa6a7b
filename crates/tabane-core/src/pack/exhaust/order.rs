//! Who is placed next.

use super::bits::bits;
use crate::pack::{Problem, Toll};

/// At least so much of the largest host makes a server large.
const LARGE: f32 = 0.125;

/// First in each of them is who has no place.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    /// Those of classes that cost more than a host, since they decide what it costs; then the large ones, since they decide
    /// how many hosts there are; then those of classes.
    Large,
    /// Those of classes, from the dearest.
    Classes,
    /// Those of classes that cost more than a host; then those with the fewest places.
    Places,
}

impl Order {
    pub const ALL: [Self; 3] = [Self::Large, Self::Classes, Self::Places];
}

/// What orders look at, of each server.
#[derive(Debug)]
pub struct Ranks {
    /// The place of its dearest class among all, from the dearest.
    class: Vec<usize>,
    /// So many classes cost more than a host.
    dear: usize,
    /// As a share of the largest host.
    sizes: Vec<f32>,
}

impl Ranks {
    pub fn new(problem: &Problem, toll: &dyn Toll, servers: &[usize], classes: &[u64]) -> Self {
        let kinds = problem.kinds();
        let cost = |class: usize| {
            let one = |at: usize| {
                let on = |kind: usize| toll.of_class(class, kind, &[servers[at] as u32]);
                (0..kinds.len()).map(on).fold(f64::INFINITY, f64::min)
            };
            bits(classes[class]).map(one).fold(0.0, f64::max)
        };
        let costs: Vec<f64> = (0..classes.len()).map(cost).collect();
        let mut order: Vec<usize> = (0..classes.len()).collect();
        order.sort_by(|a, b| costs[*b].total_cmp(&costs[*a]));
        let class = |at: usize| order.iter().position(|class| classes[*class] & (1 << at) != 0);
        let price = kinds.iter().map(|kind| kind.price).fold(0.0, f64::max);
        let size = |server: &usize| {
            let share = |dimension: usize| {
                let most = kinds.iter().map(|kind| kind.capacity[dimension]).max().unwrap_or(0);
                problem.demand().peak(*server, dimension) as f32 / most.max(1) as f32
            };
            (0..problem.demand().dimensions()).map(share).fold(0.0, f32::max)
        };
        Self {
            class: (0..servers.len()).map(|at| class(at).unwrap_or(classes.len())).collect(),
            dear: costs.iter().filter(|cost| **cost > price).count(),
            sizes: servers.iter().map(size).collect(),
        }
    }

    /// Of these; `places` are the open hosts that take a server. Of those that are alike the largest is next.
    pub fn next(&self, rest: u64, order: Order, places: &dyn Fn(usize) -> usize) -> usize {
        let key = |at: usize| {
            let (places, class) = (places(at), self.class[at]);
            let dear = class.min(self.dear);
            let of = match order {
                Order::Large => [dear, usize::from(self.sizes[at] < LARGE), class, places],
                Order::Classes => [class, places, 0, 0],
                Order::Places => [dear, places, 0, 0],
            };
            (places > 0, of)
        };
        bits(rest)
            .map(|at| (key(at), at))
            .min_by(|(a, one), (b, other)| a.cmp(b).then(self.sizes[*other].total_cmp(&self.sizes[*one])))
            .map(|(_, at)| at)
            .expect("somebody is left")
    }
}
