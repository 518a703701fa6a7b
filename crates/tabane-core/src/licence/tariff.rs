//! A product's editions with their prices, prepared so that a search can ask for a host's cost all the time.
//!
//! [`Tariff`] has what holds of all hosts, [`HostTariff`] what an edition makes of one kind of host, [`Tally`] what is
//! counted of the VMs on one: sums, so that VMs come and go by adding and taking off.

use std::ops::{AddAssign, SubAssign};

use tabane_model::licence::{Amount, Cover, Edition, Metric, Product, Term};
use thiserror::Error;

use super::{
    CountError, Host, Pool, Position, Vm,
    count::{Whole, processors, whole},
};

/// A product whose editions count VMs in more different ways is refused.
pub const GAUGES_MAX: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TariffError {
    #[error("{product} has no edition with a price")]
    Nothing { product: String },
    #[error("{product} {edition} has no price: give one")]
    Price { product: String, edition: String },
    #[error("{product} has prices in {one} and in {other}: give all in one currency")]
    Currencies { product: String, one: String, other: String },
    #[error("{product} has prices for different terms: give all for one term")]
    Terms { product: String },
    #[error("{product} {edition} is licensed for a whole site, not for hosts")]
    Site { product: String, edition: String },
    #[error("{product} has editions that count VMs in more than {GAUGES_MAX} ways")]
    Gauges { product: String },
}

/// One way to count a VM by its cores: at least so many, in packs of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gauge {
    cores_min: u32,
    pack: u32,
}

impl Gauge {
    fn packs(self, vm: &Vm) -> u64 {
        u64::from(vm.vcpus.max(self.cores_min)).div_ceil(u64::from(self.pack))
    }
}

/// Gauge of virtual cores as they are, which caps count by.
const VCPUS: Gauge = Gauge { cores_min: 0, pack: 1 };

#[derive(Debug, Clone)]
pub struct Tariff {
    pub product: String,
    pub currency: String,
    pub term: Term,
    editions: Vec<Edition>,
    /// In ten-thousandths, of a pack of each edition.
    prices: Vec<u64>,
    gauges: Vec<Gauge>,
}

/// What is counted of the VMs of a host that need one product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    vms: u64,
    /// Without a hard partition.
    loose: u64,
    bound_cores: u64,
    by_gauge: [u64; GAUGES_MAX],
}

impl Tally {
    pub fn vms(&self) -> u64 {
        self.vms
    }

    pub(super) fn by_gauge(&self, gauge: usize) -> u64 {
        self.by_gauge[gauge]
    }

    pub(super) fn bound_cores(&self) -> u64 {
        self.bound_cores
    }

    /// Whether all are in hard partitions.
    pub(super) fn bound(&self) -> bool {
        self.loose == 0
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.vms += other.vms;
        self.loose += other.loose;
        self.bound_cores += other.bound_cores;
        self.by_gauge.iter_mut().zip(other.by_gauge).for_each(|(sum, more)| *sum += more);
    }
}

impl SubAssign for Tally {
    /// Takes off what was added before.
    fn sub_assign(&mut self, other: Self) {
        self.vms -= other.vms;
        self.loose -= other.loose;
        self.bound_cores -= other.bound_cores;
        self.by_gauge.iter_mut().zip(other.by_gauge).for_each(|(sum, less)| *sum -= less);
    }
}

impl Tariff {
    /// Of all editions of the product. Each needs a price, all of one currency and term: leave editions out that are no
    /// choice.
    pub fn new(product: &Product) -> Result<Self, TariffError> {
        let name = || product.name.clone();
        let mut prices = Vec::new();
        let mut unit: Option<(&str, Term)> = None;
        let mut gauges = vec![VCPUS];
        for edition in &product.edition {
            let of_edition = || edition.name.clone();
            if matches!(edition.metric, Metric::Users | Metric::Site | Metric::NamedUsers { .. }) {
                return Err(TariffError::Site { product: name(), edition: of_edition() });
            }
            let Some(price) = &edition.price else {
                return Err(TariffError::Price { product: name(), edition: of_edition() });
            };
            let (currency, term) = *unit.get_or_insert((&price.currency, price.term));
            if currency != price.currency {
                let (one, other) = (currency.to_owned(), price.currency.clone());
                return Err(TariffError::Currencies { product: name(), one, other });
            }
            if term != price.term {
                return Err(TariffError::Terms { product: name() });
            }
            if let Metric::VmCores { cores_per_vm_min } = edition.metric {
                let gauge = Gauge { cores_min: cores_per_vm_min, pack: edition.pack.max(1) };
                if !gauges.contains(&gauge) {
                    gauges.push(gauge);
                }
            }
            prices.push(price.amount.0);
        }
        let Some((currency, term)) = unit else { return Err(TariffError::Nothing { product: name() }) };
        if gauges.len() > GAUGES_MAX {
            return Err(TariffError::Gauges { product: name() });
        }
        let currency = currency.to_owned();
        Ok(Self { product: name(), currency, term, editions: product.edition.clone(), prices, gauges })
    }

    /// The name of an edition that a [`Part`](super::Part) is of.
    pub fn edition(&self, at: usize) -> &str {
        &self.editions[at].name
    }

    /// What a VM that needs the product adds to its host's tally.
    pub fn weigh(&self, vm: &Vm) -> Tally {
        let mut tally = Tally {
            vms: 1,
            loose: u64::from(vm.hard_partition.is_none()),
            bound_cores: u64::from(vm.hard_partition.unwrap_or(0)),
            by_gauge: [0; GAUGES_MAX],
        };
        for (sum, gauge) in tally.by_gauge.iter_mut().zip(&self.gauges) {
            *sum = gauge.packs(vm);
        }
        tally
    }

    /// What the editions make of hosts of one kind. Those that may not licence it are no choice there.
    pub fn on(&self, host: &Host, position: Position) -> HostTariff {
        let of = |(at, edition): (usize, &Edition)| self.choice(at, edition, host, position).ok();
        HostTariff { choices: self.editions.iter().enumerate().filter_map(of).collect() }
    }

    fn choice(
        &self,
        at: usize,
        edition: &Edition,
        host: &Host,
        position: Position,
    ) -> Result<Choice, CountError> {
        let cores = u64::from(host.cores);
        let gauge = |wanted: Gauge| {
            self.gauges.iter().position(|gauge| *gauge == wanted).expect("`new` has a gauge for each edition")
        };
        let policy = position == Position::Policy;
        let pack = edition.pack.max(1);
        let (rule, each_host, claims_pool) = match whole(&edition.metric, host)? {
            Whole::Cores { set, covers, each_host } => (by_cover(set, covers), each_host, false),
            Whole::Claimed { set, covers, each_host, claims_pool } => {
                (by_cover(set, covers), each_host, claims_pool && policy)
            }
            Whole::Factor { thousandths } => {
                let all = processors(cores, thousandths);
                let rule = if policy { Rule::Partition { all, cores, thousandths } } else { Rule::Flat(all) };
                (rule, false, policy)
            }
            Whole::Capped { units } => (Rule::Capped { cores, units }, false, false),
            Whole::Full { units } => (Rule::Flat(cores * units), false, false),
            Whole::EachVm { cores_min } => (Rule::EachVm(gauge(Gauge { cores_min, pack })), false, false),
            Whole::VmsPerLicence(vms) => (Rule::Sets { licences: 1, vms }, false, false),
            Whole::Minimum { users } => (Rule::Flat(users), false, policy),
            Whole::Nothing => (Rule::Flat(0), false, false),
        };
        Ok(Choice {
            edition: at,
            price: self.prices[at],
            pack: u64::from(pack),
            rule,
            each_host,
            claims_pool,
        })
    }
}

fn by_cover(set: u64, covers: Cover) -> Rule {
    match covers {
        Cover::All => Rule::Flat(set),
        Cover::Vms(vms) => Rule::Sets { licences: set, vms: u64::from(vms.max(1)) },
        Cover::OnePerLicence => Rule::AtLeast(set),
    }
}

/// How licences grow with the VMs of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// So many, whatever VMs there are.
    Flat(u64),
    /// So many for each begun number of VMs.
    Sets { licences: u64, vms: u64 },
    /// So many, and as many as there are VMs.
    AtLeast(u64),
    /// By the gauge of this number, in packs already.
    EachVm(usize),
    /// Virtual cores, up to the host's.
    Capped { cores: u64, units: u64 },
    /// All, or the cores of hard partitions where each VM is in one.
    Partition { all: u64, cores: u64, thousandths: u64 },
}

/// An edition on hosts of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub edition: usize,
    pub price: u64,
    pub pack: u64,
    pub rule: Rule,
    pub each_host: bool,
    pub claims_pool: bool,
}

impl Choice {
    /// In packs, for all VMs of a host.
    pub fn packs(&self, tally: &Tally, pool: Pool) -> u64 {
        let claimed = pool.may_arrive && self.claims_pool;
        if tally.vms == 0 && !self.each_host && !claimed {
            return 0;
        }
        let licences = match self.rule {
            Rule::Flat(licences) => licences,
            Rule::Sets { licences, vms } => licences.saturating_mul(tally.vms.div_ceil(vms).max(1)),
            Rule::AtLeast(licences) => licences.max(tally.vms),
            Rule::EachVm(gauge) => return tally.by_gauge[gauge],
            Rule::Capped { cores, units } => tally.by_gauge[0].min(cores) * units,
            Rule::Partition { all, .. } if claimed || !tally.bound() => all,
            Rule::Partition { cores, thousandths, .. } => {
                processors(tally.bound_cores.min(cores), thousandths)
            }
        };
        licences.div_ceil(self.pack)
    }

    pub fn cost(&self, packs: u64) -> u64 {
        packs.saturating_mul(self.price)
    }
}

/// The choices on hosts of one kind.
#[derive(Debug, Clone)]
pub struct HostTariff {
    pub(super) choices: Vec<Choice>,
}

impl HostTariff {
    /// What it costs to licence a host with these VMs by the one edition that is cheapest; `None` if no edition may
    /// licence this kind of host. One pass over the editions, without allocating.
    pub fn price(&self, tally: &Tally, pool: Pool) -> Option<Amount> {
        let cost = |choice: &Choice| choice.cost(choice.packs(tally, pool));
        self.choices.iter().map(cost).min().map(Amount)
    }

    /// Whether several editions for the VMs of a host may be cheaper than any one of them.
    pub fn may_mix(&self) -> bool {
        let by_vms = |choice: &&Choice| matches!(choice.rule, Rule::Sets { .. } | Rule::EachVm(_));
        self.choices.iter().filter(by_vms).count() > 1
    }
}
