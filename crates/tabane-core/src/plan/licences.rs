//! What licences cost on the hosts of a plan, and on those that the servers have now.
//!
//! ```text
//!  policy: who needs what ─┐
//!  catalogues: products ───┴─► Licensing ─► toll of a host for the search    ─► told: PlanLicences
//!                                      └──► types of hosts that may not be licensed are forbidden
//! ```
//!
//! A search counts one edition for a host; what is told may mix editions, and is never more.

use tabane_model::{
    HostLicences, HostType, LicencePacks, LicencePosition, Plan, PlanLicences, PlanPolicy, PlanProduct,
    ProductLicences, Source, Traces, licence::Term,
};

use super::{PlanError, rules::Rules};
use crate::{
    licence::{Host, HostTariff, Pool, Position, Room, Tally, Tariff, Vm, cheapest, lower_bound},
    pack::Toll,
};

const TEN_THOUSANDTHS: f64 = 10_000.0;
const MONTHS: f64 = 12.0;

/// The products that servers of a plan need.
#[derive(Debug, Default)]
pub(super) struct Licensing {
    products: Vec<Needed>,
}

#[derive(Debug)]
struct Needed {
    name: String,
    tariff: Tariff,
    /// Places of servers, in order.
    members: Vec<usize>,
    /// What each type of host asks for it.
    hosts: Vec<HostTariff>,
    /// Whether members may go to the type, so that a policy may claim it.
    reachable: Vec<bool>,
    position: Position,
    /// From what a pack costs to its cost over the years.
    times: f64,
}

/// A kind of host, as those who count licences see it.
fn host(kind: &HostType) -> Host {
    Host::new(kind.sockets, kind.cpu_cores, &kind.cpu_family)
}

/// The machine that a server is now.
fn machine(server: &Source) -> Host {
    let label = |wanted: &str| {
        server
            .labels
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.trim())
    };
    let sockets =
        label("sockets").and_then(|text| text.parse().ok()).unwrap_or(1).clamp(1, server.cores.max(1));
    Host::new(sockets, server.cores.max(1), label("cpu_family").unwrap_or("x86"))
}

fn vm(server: &Source) -> Vm {
    Vm::new(server.cores.max(1))
}

impl Licensing {
    /// `servers` are those that are planned for.
    pub fn new(
        traces: &Traces,
        servers: &[usize],
        hosts: &[HostType],
        policy: &PlanPolicy,
        products: &[PlanProduct],
        rules: &mut Rules,
    ) -> Result<Self, PlanError> {
        let mut needed: Vec<Needed> = Vec::new();
        for need in &policy.licence {
            for pattern in &need.servers {
                if !traces.servers.iter().any(|server| pattern.matches(server)) {
                    let field = format!("licence {}", need.product);
                    return Err(PlanError::NobodyMeant { field, pattern: pattern.0.clone() });
                }
            }
            let meant = |at: &usize| need.servers.iter().any(|p| p.matches(&traces.servers[servers[*at]]));
            let members: Vec<usize> = (0..servers.len()).filter(meant).collect();
            let found = products.iter().find(|product| product.product.name == need.product);
            let found = found.ok_or_else(|| PlanError::UnknownProduct(need.product.clone()))?;
            let mut product = found.product.clone();
            let chosen = |name: &str| need.editions.is_empty() || need.editions.iter().any(|e| e == name);
            if let Some(unknown) = need.editions.iter().find(|name| product.edition(name).is_none()) {
                return Err(PlanError::UnknownProduct(format!("{} {unknown}", need.product)));
            }
            // Without a price an edition is no choice, unless it was asked for.
            product.edition.retain(|edition| {
                chosen(&edition.name) && (!need.editions.is_empty() || edition.price.is_some())
            });
            let tariff = Tariff::new(&product)?;
            let position = match policy.licence_position {
                LicencePosition::Contract => Position::Contract,
                LicencePosition::Policy => Position::Policy,
            };
            let on: Vec<HostTariff> = hosts.iter().map(|kind| tariff.on(&host(kind), position)).collect();
            // Where no edition may be used, the servers may not go.
            let may: Vec<usize> = (0..hosts.len())
                .filter(|kind| on[*kind].price(&Tally::default(), Pool::default()).is_some())
                .collect();
            for server in &members {
                let allowed = rules.allowed.entry(*server).or_insert_with(|| (0..hosts.len()).collect());
                allowed.retain(|kind| may.contains(kind));
            }
            let reachable = (0..hosts.len())
                .map(|kind| members.iter().any(|s| rules.allowed(*s, hosts.len()).contains(&kind)));
            let times = match tariff.term {
                Term::Perpetual => 1.0,
                Term::Year => f64::from(policy.licence_years),
                Term::Month => f64::from(policy.licence_years) * MONTHS,
            };
            if let Some(other) = needed.iter().find(|other| other.tariff.currency != tariff.currency) {
                return Err(PlanError::Currencies(other.tariff.currency.clone(), tariff.currency));
            }
            needed.push(Needed {
                name: need.product.clone(),
                reachable: reachable.collect(),
                tariff,
                members,
                hosts: on,
                position,
                times,
            });
        }
        Ok(Self { products: needed })
    }

    /// Whether there is an edition for all that the server needs on hosts of this type.
    pub fn may(&self, server: usize, kind: usize) -> bool {
        let needs = self.products.iter().filter(|needed| needed.members.binary_search(&server).is_ok());
        needs.into_iter().all(|needed| needed.hosts[kind].price(&Tally::default(), Pool::default()).is_some())
    }

    pub fn is_empty(&self) -> bool {
        self.products.is_empty()
    }

    /// Of all prices.
    pub fn currency(&self) -> Option<&str> {
        self.products.first().map(|needed| needed.tariff.currency.as_str())
    }

    /// For a search over units: each of them is some servers.
    pub fn toll<'a>(
        &'a self,
        units: &[Vec<usize>],
        traces: &Traces,
        servers: &[usize],
        types: &'a [HostType],
    ) -> LicenceToll<'a> {
        let weigh = |needed: &Needed| -> Vec<Tally> {
            let of = |unit: &Vec<usize>| {
                let mut tally = Tally::default();
                unit.iter()
                    .filter(|server| needed.members.binary_search(server).is_ok())
                    .for_each(|server| tally += needed.tariff.weigh(&vm(&traces.servers[servers[*server]])));
                tally
            };
            units.iter().map(of).collect()
        };
        let weights: Vec<Vec<Tally>> = self.products.iter().map(weigh).collect();
        let class = |tallies: &Vec<Tally>| {
            tallies.iter().enumerate().filter(|(_, tally)| tally.vms() > 0).map(|(unit, _)| unit).collect()
        };
        let vms = |needed: &Needed| -> Vec<Vec<Vm>> {
            let of = |unit: &Vec<usize>| {
                let members = unit.iter().filter(|server| needed.members.binary_search(server).is_ok());
                members.map(|server| vm(&traces.servers[servers[*server]])).collect()
            };
            units.iter().map(of).collect()
        };
        LicenceToll {
            licensing: self,
            classes: weights.iter().map(class).collect(),
            vms: self.products.iter().map(vms).collect(),
            weights,
            types,
            is_mixing: false,
            scale: 1.0,
        }
    }

    /// What the plan's hosts need, and what the servers needed before.
    pub fn told(&self, plan: &Plan, traces: &Traces, servers: &[usize], years: u32) -> Option<PlanLicences> {
        let first = self.products.first()?;
        let types = &plan.assumptions.host_types;
        let products: Vec<ProductLicences> =
            self.products.iter().map(|needed| needed.told(plan, types, traces, servers)).collect();
        let sum = |of: &dyn Fn(&ProductLicences) -> f64| products.iter().map(of).sum();
        Some(PlanLicences {
            currency: first.tariff.currency.clone(),
            years,
            before: sum(&|product| product.before),
            after: sum(&|product| product.after),
            lower_bound: sum(&|product| product.lower_bound),
            products,
        })
    }
}

impl Needed {
    fn pool(&self, kind: usize) -> Pool {
        Pool { may_arrive: self.position == Position::Policy && self.reachable[kind] }
    }

    fn money(&self, ten_thousandths: u64) -> f64 {
        ten_thousandths as f64 / TEN_THOUSANDTHS * self.times
    }

    fn told(&self, plan: &Plan, types: &[HostType], traces: &Traces, servers: &[usize]) -> ProductLicences {
        let named: std::collections::HashMap<&str, usize> = self
            .members
            .iter()
            .map(|at| (traces.servers[servers[*at]].name.as_str(), servers[*at]))
            .collect();
        let mut placed: Vec<&Source> = Vec::new();
        let mut hosts = Vec::new();
        let (mut contract, mut policy) = (0.0, 0.0);
        for planned in &plan.hosts {
            let Some(kind) = types.iter().position(|kind| kind.name == planned.host_type) else { continue };
            let here: Vec<&Source> = planned
                .servers
                .iter()
                .filter_map(|name| named.get(name.as_str()).map(|at| &traces.servers[*at]))
                .collect();
            let vms: Vec<Vm> = here.iter().map(|server| vm(server)).collect();
            let cost = |position: Position, may_arrive: bool| {
                cheapest(&self.tariff, &host(&types[kind]), &vms, Pool { may_arrive }, position)
            };
            let by_contract = cost(Position::Contract, false);
            let by_policy = cost(Position::Policy, self.reachable[kind]);
            contract += by_contract.as_ref().map_or(0.0, |mix| self.money(mix.cost.0));
            policy += by_policy.as_ref().map_or(0.0, |mix| self.money(mix.cost.0));
            placed.extend(here);
            let paid = if self.position == Position::Contract { by_contract } else { by_policy };
            let Some(mix) = paid.filter(|mix| mix.cost.0 > 0) else { continue };
            let bought = mix.parts.iter().map(|part| LicencePacks {
                edition: self.tariff.edition(part.edition).to_owned(),
                packs: part.packs,
            });
            hosts.push(HostLicences {
                host: planned.id.clone(),
                cost: self.money(mix.cost.0),
                bought: bought.collect(),
            });
        }
        let before = placed.iter().map(|server| {
            let own = machine(server);
            let mix = cheapest(&self.tariff, &own, &[vm(server)], Pool::default(), Position::Contract);
            mix.map_or(0.0, |mix| self.money(mix.cost.0))
        });
        let rooms: Vec<Room> =
            types.iter().map(|kind| Room { host: host(kind), vms_max: None, vcpus_max: None }).collect();
        let vms: Vec<Vm> = placed.iter().map(|server| vm(server)).collect();
        let bound = lower_bound(&self.tariff, &rooms, &vms, self.position);
        ProductLicences {
            product: self.name.clone(),
            servers: placed.len() as u32,
            once: self.tariff.term == Term::Perpetual,
            before: before.sum(),
            after: hosts.iter().map(|host: &HostLicences| host.cost).sum(),
            contract,
            policy,
            lower_bound: bound.map_or(0.0, |amount| self.money(amount.0)),
            hosts,
        }
    }
}

/// What licences add to the price of a host.
pub(super) struct LicenceToll<'a> {
    licensing: &'a Licensing,
    /// Of each product what each unit weighs.
    weights: Vec<Vec<Tally>>,
    /// Of each product the VMs of each unit that need it.
    vms: Vec<Vec<Vec<Vm>>>,
    classes: Vec<Vec<usize>>,
    types: &'a [HostType],
    /// Whether a host's VMs may be licensed by several editions, which takes longer to count.
    is_mixing: bool,
    /// How much money counts beside the prices of the search.
    pub scale: f64,
}

impl LicenceToll<'_> {
    /// To the last cent, and without units that have no host.
    pub fn exact(mut self, unplaced: &[usize]) -> Self {
        self.is_mixing = true;
        for units in &mut self.vms {
            unplaced.iter().for_each(|unit| units[*unit].clear());
        }
        self
    }

    fn of_vms(&self, class: usize, kind: usize, vms: &[Vm]) -> f64 {
        let needed = &self.licensing.products[class];
        if self.is_mixing && needed.hosts[kind].may_mix() {
            let (host, pool) = (host(&self.types[kind]), needed.pool(kind));
            let mix = cheapest(&needed.tariff, &host, vms, pool, needed.position);
            return mix.map_or(f64::INFINITY, |mix| needed.money(mix.cost.0) * self.scale);
        }
        let mut tally = Tally::default();
        vms.iter().for_each(|vm| tally += needed.tariff.weigh(vm));
        self.of_tally(class, kind, &tally)
    }

    fn of_tally(&self, class: usize, kind: usize, tally: &Tally) -> f64 {
        let needed = &self.licensing.products[class];
        match needed.hosts[kind].price(tally, needed.pool(kind)) {
            Some(amount) => needed.money(amount.0) * self.scale,
            None if tally.vms() > 0 => f64::INFINITY,
            None => 0.0,
        }
    }
}

impl Toll for LicenceToll<'_> {
    fn classes(&self) -> &[Vec<usize>] {
        &self.classes
    }

    fn of_class(&self, class: usize, kind: usize, servers: &[u32]) -> f64 {
        if self.is_mixing && self.licensing.products[class].hosts[kind].may_mix() {
            let vms = servers.iter().flat_map(|server| &self.vms[class][*server as usize]);
            return self.of_vms(class, kind, &vms.copied().collect::<Vec<Vm>>());
        }
        let mut tally = Tally::default();
        servers.iter().for_each(|server| tally += self.weights[class][*server as usize]);
        self.of_tally(class, kind, &tally)
    }

    /// Those with the fewest and smallest VMs; VMs differ by their cores alone, and fewer cores never cost more.
    fn least_of(&self, class: usize, kind: usize, count: usize) -> f64 {
        let mut units: Vec<usize> = self.vms[class].iter().map(Vec::len).filter(|vms| *vms > 0).collect();
        units.sort_unstable();
        let mut vms: Vec<Vm> = self.vms[class].iter().flatten().copied().collect();
        vms.sort_unstable_by_key(|vm| vm.vcpus);
        vms.truncate(units.iter().take(count).sum());
        self.of_vms(class, kind, &vms)
    }

    fn least(&self, class: usize, most: &[u32]) -> f64 {
        let needed = &self.licensing.products[class];
        let mut sizes: Vec<u64> = self.vms[class].iter().map(|vms| vms.len() as u64).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let room = |(kind, units): (&HostType, &u32)| {
            let vms: u64 = sizes.iter().take(*units as usize).sum();
            Room { host: host(kind), vms_max: Some(u32::try_from(vms).unwrap_or(u32::MAX)), vcpus_max: None }
        };
        let rooms: Vec<Room> = self.types.iter().zip(most).map(room).collect();
        let vms: Vec<Vm> = self.vms[class].iter().flatten().copied().collect();
        let bound = lower_bound(&needed.tariff, &rooms, &vms, needed.position);
        bound.map_or(0.0, |amount| needed.money(amount.0) * self.scale)
    }
}
