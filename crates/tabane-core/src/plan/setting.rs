//! What a plan is made in: servers, their needs, hosts, and the rules between them.

use std::ops::Range;

use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};
use tabane_model::{
    Exhaustion, HostType, Objective, PlanPolicy, PlanProduct, Traces,
    support::{Support, SupportJudgement, SupportRefusal, SupportRule},
};

use super::{
    PlanError,
    licences::Licensing,
    make::placed,
    needs::{self, Resource},
    rules::{self, Rules},
    supported,
    units::Units,
};
use crate::pack::{
    Bound, Demand, Packing, Problem, SERVERS_MAX, construct, exhaust, improve, level, lower_bound, settle,
    total,
};

/// Attempts at better packings by load alone, before licences are looked at or all ways are tried.
const TURNS_BY_LOAD: u64 = 50_000;

pub(super) struct Setting<'a> {
    pub traces: &'a Traces,
    pub hosts: &'a [HostType],
    pub policy: &'a PlanPolicy,
    /// Those that are planned for, by their place in the traces. Everything else counts in this list.
    pub servers: Vec<usize>,
    pub resources: Vec<Resource>,
    pub rules: Rules,
    pub licensing: Licensing,
    /// Of all servers of the traces, where there is a support matrix.
    pub judged: Vec<SupportJudgement>,
    pub refused: Vec<SupportRefusal>,
    units: Units,
}

impl<'a> Setting<'a> {
    pub fn new(
        traces: &'a Traces,
        hosts: &'a [HostType],
        policy: &'a PlanPolicy,
        products: &[PlanProduct],
        support: &[Support],
    ) -> Result<Self, PlanError> {
        if policy.support != SupportRule::Warn && support.is_empty() {
            return Err(PlanError::NoSupportMatrix);
        }
        let judged = supported::judged(traces, support);
        let refused = supported::refused(&judged, policy);
        let servers = rules::planned(traces, policy, &refused);
        if servers.is_empty() {
            let measured = (0..traces.servers.len()).filter(|server| traces.is_measured(*server)).count();
            return Err(if measured == 0 { PlanError::NoServer } else { PlanError::NobodyLeft(measured) });
        }
        let resources = needs::resources(traces, hosts, policy)?;
        let mut rules = Rules::new(traces, &servers, hosts, policy)?;
        let licensing = Licensing::new(traces, &servers, hosts, policy, products, &mut rules)?;
        let units = Units::new(servers.len(), &rules.together);
        let setting =
            Self { traces, hosts, policy, servers, resources, rules, licensing, judged, refused, units };
        setting.rules.clash(&setting.names(), hosts)?;
        Ok(setting)
    }

    pub fn names(&self) -> Vec<&'a str> {
        self.servers.iter().map(|server| self.traces.servers[*server].name.as_str()).collect()
    }

    /// The same for so many of its servers at most, drawn at random, each with those that it stays with; without licences. With
    /// all of them where hosts are counted, or where domains are dealt out, since then it matters how many there are.
    pub fn drawn(&self, most: usize) -> Self {
        let is_counted = self.hosts.iter().any(|host| host.count.is_some());
        let mut places: Vec<usize> = (0..self.servers.len()).collect();
        if places.len() > most && !is_counted && self.rules.spread.is_empty() {
            let mut units: Vec<&Vec<usize>> = self.units.iter().collect();
            units.shuffle(&mut SmallRng::seed_from_u64(self.policy.seed));
            places.clear();
            for unit in units {
                if places.len() >= most {
                    break;
                }
                places.extend(unit);
            }
            places.sort_unstable();
        }
        let rules = self.rules.of(&places);
        Self {
            traces: self.traces,
            hosts: self.hosts,
            policy: self.policy,
            servers: places.iter().map(|place| self.servers[*place]).collect(),
            resources: self.resources.clone(),
            units: Units::new(places.len(), &rules.together),
            rules,
            licensing: Licensing::default(),
            judged: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// The most that a server can use.
    pub fn memory_ceiling(&self, server: usize) -> u32 {
        needs::memory_ceiling(&self.traces.servers[self.servers[server]], self.policy)
    }

    /// At all moments.
    pub fn demand_in_full(&self) -> Demand {
        let all = 0..self.traces.grid.bins;
        self.demand(std::slice::from_ref(&all))
    }

    /// In these parts of the time line, one after the other.
    pub fn demand(&self, bins: &[Range<usize>]) -> Demand {
        needs::demand(self.traces, &self.servers, &self.resources, self.policy, bins)
    }

    /// Of servers, hosts filled to `fill` at most.
    pub fn problem(&self, demand: Demand, objective: Objective, fill: f64) -> Result<Problem, PlanError> {
        let mut problem = needs::problem(demand, self.hosts, &self.resources, objective, fill)?;
        self.rules.apply(&mut problem);
        let alone = self.units.iter().filter(|members| members.len() == 1).map(|members| members[0]);
        self.let_have_whole(&mut problem, alone, fill);
        Ok(problem)
    }

    /// A margin keeps nobody out who fits the policy's own: who fits no host that is filled so far may have one to itself.
    fn let_have_whole(&self, problem: &mut Problem, alone: impl Iterator<Item = usize>, fill: f64) {
        let most = self.policy.fill_max.min(1.0);
        if fill < most {
            let whole = needs::kinds(self.hosts, &self.resources, self.policy.objective, most);
            problem.let_have_whole(alone, &whole);
        }
    }

    /// The same of units: servers that stay together are one, and each knows its domain.
    pub fn problem_of_units(
        &self,
        demand: &Demand,
        objective: Objective,
        fill: f64,
    ) -> Result<Problem, PlanError> {
        let rules = self.units.rules(&self.rules).deal_domains(self.hosts)?;
        let demand = self.units.demand(demand);
        let mut problem = needs::problem(demand, self.hosts, &self.resources, objective, fill)?;
        rules.apply(&mut problem);
        let units = self.units.iter().enumerate();
        let alone = units.filter(|(_, members)| members.len() == 1).map(|(unit, _)| unit);
        self.let_have_whole(&mut problem, alone, fill);
        Ok(problem)
    }

    pub fn units(&self) -> &Units {
        &self.units
    }

    /// Packs the servers, looking for better packings until `stop` says so, and then, unless it says so from the beginning,
    /// for one with hosts that are about as full as each other. None is looked for that costs less than `bound` says of the
    /// servers that are placed.
    pub fn pack(
        &self,
        problem: &Problem,
        fill: f64,
        workers: usize,
        bound: fn(&Problem, &[usize]) -> Bound,
        stop: &(dyn Fn(u64, f64) -> bool + Sync),
    ) -> Result<Packing, PlanError> {
        let units = if self.rules.together.is_empty() && self.rules.spread.is_empty() {
            problem.clone()
        } else {
            let units = self.problem_of_units(problem.measured(), self.policy.objective, fill)?;
            self.fits_somewhere(problem, &units)?;
            units
        };
        let first = construct(&units);
        let enough = bound(problem, &placed(&self.units.expand(&first))).cost;
        let is_hurried = stop(0, first.cost(units.kinds()));
        let packing = improve(&units, first, enough, self.policy.seed, workers, stop).packing;
        if is_hurried {
            return Ok(self.units.expand(&packing));
        }
        let kinds = |fill: f64| needs::kinds(self.hosts, &self.resources, self.policy.objective, fill);
        Ok(self.units.expand(&level(&units, packing, fill, &kinds, self.policy.seed)))
    }

    /// Whether all ways to place these servers may be tried. Who goes to which domain is dealt out beforehand, so with such
    /// rules not all are.
    fn is_exhaustible(&self) -> bool {
        self.policy.objective == Objective::Cost
            && self.rules.spread.is_empty()
            && self.units.iter().count() <= SERVERS_MAX
    }

    /// The cheapest of all packings with the same servers placed, where they are few and cost is the objective; the cheapest
    /// that is found, without a proof, if that takes longer than `turns_max` or `stop` says.
    pub fn exhaust(
        &self,
        problem: &Problem,
        packing: Packing,
        fill: f64,
        turns_max: u64,
        stop: &dyn Fn(u64, f64) -> bool,
    ) -> Result<(Packing, Option<Exhaustion>), PlanError> {
        if !self.is_exhaustible() {
            return Ok((packing, None));
        }
        let units = self.problem_of_units(problem.measured(), Objective::Cost, fill)?;
        let packing = self.units.collect(&packing);
        let members: Vec<Vec<usize>> = self.units.iter().cloned().collect();
        let toll = self.licensing.toll(&members, self.traces, &self.servers, self.hosts);
        let toll = toll.exact(&packing.unplaced);
        let cost = total(&units, &packing, &toll);
        let proved = exhaust(&units, packing, &toll, &|turns| turns > turns_max || stop(turns, cost));
        let told = Exhaustion { cost: proved.least, turns: proved.turns };
        Ok((self.units.expand(&proved.packing), proved.is_proved.then_some(told)))
    }

    /// As [`Self::pack`], with what licences cost as part of the objective: of money, or of hosts what is left to choose.
    pub fn pack_with_licences(
        &self,
        problem: &Problem,
        fill: f64,
        workers: usize,
        stop: &(dyn Fn(u64, f64) -> bool + Sync),
    ) -> Result<Packing, PlanError> {
        if self.licensing.is_empty() && !self.is_exhaustible() {
            return self.pack(problem, fill, workers, lower_bound, stop);
        }
        let by_load = |turns: u64, cost: f64| turns > TURNS_BY_LOAD || stop(turns, cost);
        let packing = self.pack(problem, fill, workers, lower_bound, &by_load)?;
        if self.licensing.is_empty() {
            return Ok(packing);
        }
        let units = self.problem_of_units(problem.measured(), self.policy.objective, fill)?;
        let packing = self.units.collect(&packing);
        let members: Vec<Vec<usize>> = self.units.iter().cloned().collect();
        let mut toll = self.licensing.toll(&members, self.traces, &self.servers, self.hosts);
        if self.policy.objective == Objective::Hosts {
            // All licences together count less than a host.
            let all = total(&units, &packing, &toll) - packing.cost(units.kinds());
            toll.scale = 0.5 / (all + 1.0);
        }
        Ok(self.units.expand(&settle(&units, packing, &toll, self.policy.seed, &stop)))
    }

    /// Servers that fit a host each and none together are a contradiction that nobody should look for in a plan. Told are as
    /// few of them as clash, and what they ask for too much of.
    pub fn fits_somewhere(&self, servers: &Problem, units: &Problem) -> Result<(), PlanError> {
        for (at, members) in self.units.iter().enumerate() {
            if members.len() > 1 && !units.fits_any(at) {
                return Err(PlanError::Clash(self.too_large(servers, members)));
            }
        }
        Ok(())
    }

    fn too_large(&self, problem: &Problem, members: &[usize]) -> Vec<String> {
        let lack = |members: &[usize], kind: usize| {
            problem.kinds()[kind].capacity.iter().copied().enumerate().find_map(|(dimension, there)| {
                let sums = problem.measured().sum(members.iter().copied(), dimension);
                let needed = sums.into_iter().max().unwrap_or(0);
                (needed > u64::from(there)).then_some((dimension, needed, there))
            })
        };
        let allowed: Vec<usize> = (0..self.hosts.len())
            .filter(|kind| members.iter().all(|server| problem.may(*server, *kind)))
            .collect();
        let clashes = |members: &[usize]| allowed.iter().all(|kind| lack(members, *kind).is_some());
        let mut left = members.to_vec();
        for server in members {
            let without: Vec<usize> = left.iter().copied().filter(|other| other != server).collect();
            if clashes(&without) {
                left = without;
            }
        }
        let names = self.names();
        let named: Vec<&str> = left.iter().map(|server| names[*server]).collect();
        let groups = self.rules.together.iter().filter(|(_, group)| left.iter().any(|at| group.contains(at)));
        let groups: Vec<String> = groups.map(|(name, _)| format!("keep_together {name}")).collect();
        let mut told = vec![
            format!("{} stay together by {}", named.join(", "), groups.join(" with ")),
            "no host that they may go to carries all of them".into(),
        ];
        for kind in allowed {
            if let Some((dimension, needed, there)) = lack(&left, kind) {
                let (name, resource) = (&self.hosts[kind].name, self.resources[dimension].name);
                told.push(format!("of {resource} they need {needed}, and {there} of a {name} may be used"));
            }
        }
        let kept_from = |kind: &usize| lack(&left, *kind).is_none();
        let others: Vec<&str> =
            (0..self.hosts.len()).filter(kept_from).map(|kind| self.hosts[kind].name.as_str()).collect();
        if !others.is_empty() {
            told.push(format!(
                "pins or licences keep them from {}, which would carry them",
                others.join(", ")
            ));
        }
        told
    }
}
