//! The cheapest new hosts that have so much of everything.

use std::cell::OnceCell;

use super::share::Share;
use crate::pack::Problem;

/// Choices of hosts that are kept; with more of them new hosts are not counted.
const CHOICES_MAX: usize = 4_096;

#[derive(Debug)]
pub struct Cover {
    /// From the cheapest.
    choices: Vec<Choice>,
    /// Whether there are all that cost less than the best that was known.
    is_complete: bool,
    best: f64,
    counts: Vec<Option<usize>>,
}

#[derive(Debug)]
pub struct Choice {
    pub price: f64,
    hosts: Vec<usize>,
    has: Vec<u64>,
    /// Of each class what none, one, two ... of it cost on these hosts at least. Most choices are never asked.
    tolls: OnceCell<Vec<Vec<f64>>>,
}

impl Choice {
    pub fn tolls(&self, shares: &[Share]) -> &[Vec<f64>] {
        self.tolls.get_or_init(|| shares.iter().map(|share| share.on_new(&self.hosts)).collect())
    }
}

impl Cover {
    /// Of choices that cost less than `best`, with `hosts_max` hosts at most.
    pub fn new(problem: &Problem, hosts_max: usize, best: f64) -> Self {
        let mut cover = Self {
            choices: Vec::new(),
            is_complete: true,
            best,
            counts: problem.kinds().iter().map(|kind| kind.count).collect(),
        };
        let nothing = Choice {
            price: 0.0,
            hosts: vec![0; problem.kinds().len()],
            has: vec![0; problem.demand().dimensions()],
            tolls: OnceCell::new(),
        };
        cover.collect(problem, 0, hosts_max, nothing);
        cover.choices.sort_by(|a, b| a.price.total_cmp(&b.price));
        cover
    }

    fn collect(&mut self, problem: &Problem, kind: usize, left: usize, choice: Choice) {
        if self.choices.len() >= CHOICES_MAX {
            self.is_complete = false;
            return;
        }
        let Some(offered) = problem.kinds().get(kind) else {
            self.choices.push(choice);
            return;
        };
        for count in 0..=offered.count.map_or(left, |most| most.min(left)) {
            let price = choice.price + count as f64 * offered.price;
            if price >= self.best && count > 0 {
                break;
            }
            let mut hosts = choice.hosts.clone();
            hosts[kind] = count;
            let more = offered.capacity.iter().map(|most| u64::from(*most) * count as u64);
            let has = choice.has.iter().zip(more).map(|(has, more)| has + more).collect();
            let choice = Choice { price, hosts, has, tolls: OnceCell::new() };
            self.collect(problem, kind + 1, left - count, choice);
        }
    }

    /// What hosts cost at least that are not used yet and have so much of each resource; one of them, if `is_any`.
    pub fn least(&self, lacking: &[u64], used: &[usize], is_any: bool) -> f64 {
        let Some(mut fitting) = self.fitting(lacking, used, is_any) else { return 0.0 };
        fitting.next().map_or(self.best, |choice| choice.price)
    }

    /// All choices that are so, from the cheapest; what is none of them costs no less than the best. `None` if they are too
    /// many.
    pub fn fitting(
        &self,
        lacking: &[u64],
        used: &[usize],
        is_any: bool,
    ) -> Option<impl Iterator<Item = &Choice>> {
        let there = move |choice: &&Choice| {
            let counts = choice.hosts.iter().zip(used).zip(&self.counts);
            (!is_any || choice.hosts.iter().any(|count| *count > 0))
                && choice.has.iter().zip(lacking).all(|(has, lack)| has >= lack)
                && counts.into_iter().all(|((more, used), most)| most.is_none_or(|most| more + used <= most))
        };
        self.is_complete.then(|| self.choices.iter().filter(there))
    }
}
