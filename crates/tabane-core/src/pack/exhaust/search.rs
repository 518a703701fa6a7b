//! Depth first through all packings.

use super::{
    bits::bits,
    cover::Cover,
    order::{Order, Ranks},
    share::Share,
};
use crate::pack::{Load, Packed, Problem, Toll, construct::packed, load::Moment};

/// Moments of each resource at which the others have to fit: those with the most of it.
const MOMENTS_MAX: usize = 48;
/// Turns after which it is asked whether to stop.
const TURNS_UNASKED: u64 = 256;

/// A host that is open.
pub struct Open {
    pub load: Load,
    /// Of those that have no host yet, who could come; as bits.
    pub takes: u64,
    /// Who is here.
    pub here: u64,
    /// For each class.
    pub tolls: Vec<f64>,
}

pub struct Search<'a> {
    pub problem: &'a Problem,
    pub toll: &'a dyn Toll,
    stop: &'a dyn Fn(u64) -> bool,
    /// What is a bit elsewhere.
    pub servers: Vec<usize>,
    /// Servers as bits that are in a class, for each.
    pub classes: Vec<u64>,
    pub ranks: Ranks,
    /// Who fits an empty host of each kind, as bits.
    pub alone: Vec<u64>,
    pub moments: Vec<Moment>,
    /// What servers without a host need at the moments.
    pub rest: Vec<u64>,
    /// Of each class at least, wherever they are.
    pub least: Vec<f64>,
    /// For each class.
    pub shares: Vec<Share>,
    pub cover: Cover,
    pub open: Vec<Open>,
    /// Open hosts of each kind.
    pub used: Vec<usize>,
    pub price: f64,
    pub tolls: Vec<f64>,
    pub best: f64,
    pub found: Option<Vec<Packed>>,
    pub turns: u64,
    order: Order,
    /// When it is the turn of another order.
    until: u64,
    end: End,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nothing is left.
    All,
    Later,
    Stopped,
}

#[derive(Clone, Copy)]
enum Place {
    On(usize),
    New { kind: usize },
}

impl<'a> Search<'a> {
    pub fn new(
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
        let share = |(class, members): (usize, &u64)| {
            Share::new(problem, toll, class, (&servers, *members), &alone, &moments)
        };
        let shares: Vec<Share> = classes.iter().enumerate().map(share).collect();
        let least = |(class, share): (usize, &Share)| toll.least(class, &share.most().collect::<Vec<u32>>());
        let least: Vec<f64> = shares.iter().enumerate().map(least).collect();
        Self {
            rest: moments.iter().map(need).collect(),
            ranks: Ranks::new(problem, toll, &servers, &classes),
            order: Order::ALL[0],
            cover: Cover::new(problem, servers.len(), best - least.iter().sum::<f64>()),
            least,
            shares,
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
            until: 0,
            end: End::All,
        }
    }

    pub fn everybody(&self) -> u64 {
        u64::MAX >> (64 - self.servers.len())
    }

    pub fn is_left(&self, kind: usize, at: usize) -> bool {
        let count = self.problem.kinds()[kind].count;
        self.alone[kind] & (1 << at) != 0 && count.is_none_or(|count| self.used[kind] < count)
    }

    pub fn is_worse(&self, cost: f64) -> bool {
        cost >= self.best - 1e-9 * self.best.abs().max(1.0)
    }

    /// Through all packings from the beginning, as far as one gets in so many turns. What was found stays.
    pub fn run(&mut self, order: Order, turns: u64) -> End {
        (self.order, self.until, self.end) = (order, self.turns + turns, End::All);
        self.descend(self.everybody());
        self.end
    }

    fn descend(&mut self, rest: u64) {
        if self.turns.is_multiple_of(TURNS_UNASKED) && (self.stop)(self.turns) {
            self.end = End::Stopped;
        } else if self.turns >= self.until {
            self.end = End::Later;
        }
        if self.end != End::All {
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
        if self.is_worse(self.bound(rest)) {
            return;
        }
        let at = self.ranks.next(rest, self.order, &|at| {
            self.open.iter().filter(|host| host.takes & (1 << at) != 0).count()
        });
        let mut places = self.places(at);
        places.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (_, place) in places {
            let host = self.put(at, place, rest & !(1 << at));
            self.descend(rest & !(1 << at));
            self.take_back(at, place, host);
            if self.end != End::All {
                return;
            }
        }
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
                self.open.push(Open { load, takes: self.alone[kind], here: 0, tolls });
                self.open.len() - 1
            }
        };
        let open = &mut self.open[host];
        let before = (open.takes, open.tolls.clone());
        open.here |= 1 << at;
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
        open.here &= !(1 << at);
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
