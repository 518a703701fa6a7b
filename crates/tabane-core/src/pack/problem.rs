//! A packing problem, and what solves it.

use std::collections::BTreeMap;

use thiserror::Error;

use super::Demand;

/// Hosts of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Kind {
    /// What one offers, for each dimension, at every moment.
    pub capacity: Vec<u32>,
    /// Of one, in any unit: only sums of it are compared.
    pub price: f64,
    /// How many there are at most; `None`: as many as it takes.
    pub count: Option<usize>,
}

#[derive(Debug, Clone)]
pub struct Problem {
    /// As it is packed.
    demand: Demand,
    /// What servers need, where some count as less.
    measured: Option<Demand>,
    large: Vec<usize>,
    kinds: Vec<Kind>,
    /// For each server the groups it is in; two of one group never share a host.
    apart: Vec<Vec<u32>>,
    groups: usize,
    /// For each server the kinds it may go to, where not all.
    allowed: BTreeMap<usize, Vec<bool>>,
}

#[derive(Debug, Error, PartialEq)]
pub enum ProblemError {
    #[error("there is no kind of host")]
    NoKind,
    #[error("kind of host {kind} offers {given} resources, servers need {wanted}")]
    Dimensions { kind: usize, given: usize, wanted: usize },
    #[error("the price of kind of host {kind} is {price}")]
    Price { kind: usize, price: f64 },
}

impl Problem {
    pub fn new(demand: Demand, kinds: Vec<Kind>) -> Result<Self, ProblemError> {
        if kinds.is_empty() {
            return Err(ProblemError::NoKind);
        }
        for (at, kind) in kinds.iter().enumerate() {
            if kind.capacity.len() != demand.dimensions() {
                let (given, wanted) = (kind.capacity.len(), demand.dimensions());
                return Err(ProblemError::Dimensions { kind: at, given, wanted });
            }
            if !kind.price.is_finite() || kind.price < 0.0 {
                return Err(ProblemError::Price { kind: at, price: kind.price });
            }
        }
        let apart = vec![Vec::new(); demand.servers()];
        let allowed = BTreeMap::new();
        Ok(Self { demand, measured: None, large: Vec::new(), kinds, apart, groups: 0, allowed })
    }

    /// No two of these servers share a host.
    pub fn keep_apart(&mut self, servers: &[usize]) {
        for server in servers {
            self.apart[*server].push(self.groups as u32);
        }
        self.groups += 1;
    }

    /// The server goes to no other kinds than these.
    pub fn allow(&mut self, server: usize, kinds: &[usize]) {
        let allowed = (0..self.kinds.len()).map(|kind| kinds.contains(&kind)).collect();
        self.allowed.insert(server, allowed);
    }

    /// Lets those of these servers that fit no host have a whole one. Who fits a host of which `whole` may be used counts as
    /// no more than what is offered otherwise, so that nobody else is there while it needs that or more.
    pub fn let_have_whole(&mut self, servers: impl Iterator<Item = usize>, whole: &[Kind]) {
        let mut most = BTreeMap::new();
        for server in servers.filter(|server| !self.fits_any(*server)) {
            let peaks: Vec<u32> =
                (0..self.demand.dimensions()).map(|d| self.demand.peak(server, d)).collect();
            let of = |kind: usize| peaks.iter().zip(&whole[kind].capacity);
            let fits = |kind: &usize| self.may(server, *kind) && of(*kind).all(|(peak, most)| peak <= most);
            let share = |kind: usize| {
                of(kind).map(|(peak, most)| f64::from(*peak) / f64::from((*most).max(1))).fold(0.0, f64::max)
            };
            // The one that it fills most: whatever is larger has room for it, too.
            let tightest = (0..whole.len()).filter(fits).max_by(|a, b| share(*a).total_cmp(&share(*b)));
            if let Some(kind) = tightest {
                most.insert(server, self.kinds[kind].capacity.clone());
            }
        }
        if !most.is_empty() {
            let capped = self.demand.capped(&most);
            self.measured = Some(std::mem::replace(&mut self.demand, capped));
            self.large = most.into_keys().collect();
        }
    }

    /// Gives each kind another price.
    pub fn set_prices(&mut self, prices: &[f64]) {
        self.kinds.iter_mut().zip(prices).for_each(|(kind, price)| kind.price = *price);
    }

    /// The same servers and rules for kinds of other sizes, as many as before.
    ///
    /// Panics if there are more or fewer.
    pub fn set_capacities(&mut self, kinds: Vec<Kind>) {
        assert_eq!(kinds.len(), self.kinds.len(), "each kind gets its size");
        self.kinds.iter_mut().zip(kinds).for_each(|(kind, other)| kind.capacity = other.capacity);
    }

    /// What servers count as where they are packed.
    pub fn demand(&self) -> &Demand {
        &self.demand
    }

    /// What they need.
    pub fn measured(&self) -> &Demand {
        self.measured.as_ref().unwrap_or(&self.demand)
    }

    /// Servers that count as less than they need, since they may have a whole host.
    pub fn large(&self) -> &[usize] {
        &self.large
    }

    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    pub fn groups(&self) -> usize {
        self.groups
    }

    /// The groups of which a server is the only one on its host.
    pub fn apart(&self, server: usize) -> &[u32] {
        &self.apart[server]
    }

    pub fn may(&self, server: usize, kind: usize) -> bool {
        self.allowed.get(&server).is_none_or(|allowed| allowed[kind])
    }

    /// Whether the server fits an empty host of any kind.
    pub fn fits_any(&self, server: usize) -> bool {
        (0..self.kinds.len()).any(|kind| self.fits_alone(server, kind))
    }

    /// Whether the server fits a host of this kind that is empty.
    pub fn fits_alone(&self, server: usize, kind: usize) -> bool {
        let capacity = &self.kinds[kind].capacity;
        self.may(server, kind)
            && capacity
                .iter()
                .enumerate()
                .all(|(dimension, most)| self.demand.peak(server, dimension) <= *most)
    }
}

/// A host and the servers on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packed {
    pub kind: usize,
    pub servers: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packing {
    pub hosts: Vec<Packed>,
    /// Servers that no host takes.
    pub unplaced: Vec<usize>,
}

impl Packing {
    pub fn cost(&self, kinds: &[Kind]) -> f64 {
        self.hosts.iter().map(|host| kinds[host.kind].price).sum()
    }
}
