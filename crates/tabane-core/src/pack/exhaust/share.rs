//! What a class costs at least, by how many of it each host carries.
//!
//! ```text
//!  Toll::least_of ─► Share: on one host of a kind, n of the class ─┬─► on all new hosts of a choice, n of the class
//!                                                                  └─► on the open hosts, n more of the class
//! ```
//!
//! Who they are is left out, so that what hosts cost with so many of a class adds up by itself: the least of all ways to deal
//! numbers out is found exactly, host by host (a knapsack by dynamic programming; Bellman, 1957). Each way to place the
//! servers deals out numbers in one of these ways, and costs no less than they do.

use super::bits::{bits, count};
use crate::pack::{Problem, Toll, load::Moment};

/// Of one class.
#[derive(Debug)]
pub struct Share {
    /// Of each kind what none, one, two ... on one host cost at least.
    on: Vec<Vec<f64>>,
    /// Of each kind how many fit a host that is empty.
    most: Vec<usize>,
}

impl Share {
    /// `members` of these servers, and who of all fits an empty host of each kind, as bits.
    pub fn new(
        problem: &Problem,
        toll: &dyn Toll,
        class: usize,
        (servers, members): (&[usize], u64),
        alone: &[u64],
        moments: &[Moment],
    ) -> Self {
        let on = |(kind, alone): (usize, &u64)| {
            let single = |at: usize| toll.of_class(class, kind, &[servers[at] as u32]);
            let single = bits(members & alone).map(single).fold(f64::INFINITY, f64::min);
            let mut least = 0.0f64;
            let mut of = |here: usize| {
                least = least.max(toll.least_of(class, kind, here)).max(if here > 0 { single } else { 0.0 });
                least
            };
            (0..=count(members)).map(&mut of).collect()
        };
        let most =
            |(kind, alone): (usize, &u64)| most_of(problem, servers, members & alone, kind, moments) as usize;
        Self {
            on: alone.iter().enumerate().map(on).collect(),
            most: alone.iter().enumerate().map(most).collect(),
        }
    }

    /// Of each kind how many fit a host that is empty at most.
    pub fn most(&self) -> impl Iterator<Item = u32> {
        self.most.iter().map(|most| *most as u32)
    }

    fn all(&self) -> usize {
        self.on.first().map_or(0, |on| on.len() - 1)
    }

    /// What none, one, two ... of all cost at least on so many new hosts of each kind.
    pub fn on_new(&self, hosts: &[usize]) -> Vec<f64> {
        let mut least = nobody(self.all());
        for (kind, hosts) in hosts.iter().enumerate() {
            let most = self.most[kind].min(self.all());
            for _ in 0..*hosts {
                least = deal(&least, &self.on[kind][..=most]);
            }
        }
        least
    }

    /// What it costs at least that none, one, two ... `more` of the class come to hosts that are open.
    pub fn on_open(&self, hosts: impl Iterator<Item = Carrier>, more: usize) -> Vec<f64> {
        let mut least = nobody(more);
        for host in hosts {
            let here = |come: usize| self.on[host.kind][host.has + come].max(host.toll);
            let here: Vec<f64> = (0..=host.room.min(more)).map(here).collect();
            least = deal(&least, &here);
        }
        least
    }
}

/// An open host, as a class sees it.
pub struct Carrier {
    pub kind: usize,
    /// Of the class.
    pub has: usize,
    pub room: usize,
    pub toll: f64,
}

fn nobody(all: usize) -> Vec<f64> {
    let mut least = vec![f64::INFINITY; all + 1];
    least[0] = 0.0;
    least
}

/// One host more, which costs so much with none, one, two ...
fn deal(before: &[f64], here: &[f64]) -> Vec<f64> {
    let of = |all: usize| {
        let ways = here.iter().zip(before[..=all].iter().rev());
        ways.map(|(here, before)| here + before).fold(f64::INFINITY, f64::min)
    };
    (0..before.len()).map(of).collect()
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
