//! What it costs at least if those who are left come where they may.
//!
//! ```text
//!  what open hosts cost ─► + the cheapest new hosts by volume ─► the least of all choices of new hosts, each with what
//!                                                                tolls are at least on its hosts and on the open ones
//! ```
//!
//! Prices and tolls are bound together: the hosts that are cheapest are not those on which tolls are least.

use super::{
    bits::{bits, count},
    search::{Open, Search},
    share::Carrier,
};

impl Search<'_> {
    /// What the others lack at the fullest moments, of each resource; what the open hosts have left is theirs.
    fn lacking(&self, rest: u64) -> Vec<u64> {
        let mut lacking = vec![0u64; self.problem.demand().dimensions()];
        for (at, moment) in self.moments.iter().enumerate() {
            let of = |server: usize| u64::from(moment.of(self.problem, self.servers[server]));
            // A host has no use for more than those need who may come.
            let used = |host: &Open| match host.takes & rest {
                0 => 0,
                comers => {
                    let needed = if comers == rest { self.rest[at] } else { bits(comers).map(of).sum() };
                    u64::from(host.load.left(self.problem, moment)).min(needed)
                }
            };
            let lack = self.rest[at].saturating_sub(self.open.iter().map(used).sum());
            lacking[moment.dimension] = lacking[moment.dimension].max(lack);
        }
        lacking
    }

    /// What it costs at least if the others come where they may. Looks closer as long as that may cut them off.
    pub fn bound(&self, rest: u64) -> f64 {
        let lacking = self.lacking(rest);
        // Somebody whom no open host takes needs a new one.
        let homeless = rest & !self.open.iter().fold(0, |all, host| all | host.takes);
        let mut tolls: Vec<f64> =
            self.tolls.iter().zip(&self.least).map(|(now, least)| now.max(*least)).collect();
        let so_far = self.price + tolls.iter().sum::<f64>();
        let bound = so_far + self.cover.least(&lacking, &self.used, homeless != 0);
        if self.is_worse(bound) {
            return bound;
        }
        let open: Vec<Vec<f64>> =
            (0..self.classes.len()).map(|class| self.on_open(class, rest, homeless)).collect();
        let bound = self.bound_by_shares(&lacking, homeless, &open, &tolls);
        if self.is_worse(bound) {
            return bound;
        }
        for (class, least) in tolls.iter_mut().enumerate() {
            let added =
                bits(self.classes[class] & rest).map(|at| self.added_at_least(class, at)).fold(0.0, f64::max);
            *least = least.max(self.tolls[class] + added);
        }
        self.bound_by_shares(&lacking, homeless, &open, &tolls)
    }

    /// What a class costs at least on the open hosts when none, one, two ... of its others come to them.
    fn on_open(&self, class: usize, rest: u64, homeless: u64) -> Vec<f64> {
        let members = self.classes[class];
        let carrier = |host: &Open| Carrier {
            kind: host.load.kind,
            has: count(host.here & members),
            room: count(host.takes & rest & members),
            toll: host.tolls[class],
        };
        let mut least = self.shares[class].on_open(self.open.iter().map(carrier), count(members & rest));
        for least in least.iter_mut().rev().take(count(members & homeless)) {
            *least = f64::INFINITY;
        }
        least
    }

    /// The least of all choices of new hosts, with what classes cost on them and on those that are open; no class less than
    /// `tolls` says. Whatever packing is left has one of these choices or costs no less than the best.
    fn bound_by_shares(&self, lacking: &[u64], homeless: u64, open: &[Vec<f64>], tolls: &[f64]) -> f64 {
        let all: f64 = tolls.iter().sum();
        let Some(choices) = self.cover.fitting(lacking, &self.used, homeless != 0) else {
            return self.price + all;
        };
        let mut bound = self.best;
        for choice in choices {
            if self.price + choice.price + all >= bound {
                break;
            }
            let new = choice.tolls(&self.shares);
            let of = |((open, new), least): ((&Vec<f64>, &Vec<f64>), &f64)| {
                let ways = open.iter().rev().zip(new).map(|(open, new)| open + new);
                ways.fold(f64::INFINITY, f64::min).max(*least)
            };
            let tolls = open.iter().zip(new).zip(tolls).map(of).sum::<f64>();
            bound = bound.min(self.price + choice.price + tolls);
        }
        bound
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
}
