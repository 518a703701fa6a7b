//! A plan with some servers on other hosts: what would be, by the same checks that prove a plan.

use std::collections::{BTreeMap, BTreeSet};

use tabane_model::{
    Objective, Plan, PlannedHost, Reserve, Traces,
    planning::{BreachKind, Trial, TrialBreach, TrialCost, TrialHost, TrialMove, TrialResource},
};
use thiserror::Error;

use super::judge::Judge;
use crate::{
    pack::{Breach, Demand, Packed, Packing, check_host},
    plan::{
        PlanError,
        needs::prices,
        peaks::peaks,
        risk::{Risks, capacities, overloaded_share},
        rules::domain_of,
        setting::Setting,
    },
};

#[derive(Debug, Error)]
pub enum TrialError {
    #[error("{server} is not among the servers that the plan is made for")]
    UnknownServer { at: usize, server: String },
    #[error("the plan has no host {host} that servers can be moved to, and no type is given for a new one")]
    UnknownHost { at: usize, host: String },
    #[error("there is no type of host {host_type}")]
    UnknownType { at: usize, host_type: String },
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// What is worked out once for all attempts at changing one plan.
pub struct Bench {
    demand: Demand,
}

impl Bench {
    pub fn new(plan: &Plan, traces: &Traces) -> Result<Self, PlanError> {
        let setting = setting(plan, traces)?;
        Ok(Self { demand: setting.demand_in_full() })
    }

    /// Judges the plan as it would be after these moves. `plan` and `traces` are those that this was made of.
    pub fn attempt(&self, plan: &Plan, traces: &Traces, moves: &[TrialMove]) -> Result<Trial, TrialError> {
        let setting = setting(plan, traces)?;
        let mut changed = plan.clone();
        let touched = apply(&mut changed, &setting, moves)?;
        let judge = Judge::of_demand(&changed, &setting, self.demand.clone())?;
        let before = packing(plan, &judge);
        let after = packing(&changed, &judge);
        let touched: Vec<usize> = touched.into_iter().collect();
        let risks = [&before, &after].map(|packing| self.risks(&setting, packing, &touched));
        let in_use: Vec<&PlannedHost> = changed.hosts.iter().filter(|host| !host.spare).collect();
        let hosts: Vec<TrialHost> = touched
            .iter()
            .enumerate()
            .map(|(place, at)| {
                let risk = |of: &Option<Vec<f64>>| of.as_ref().map(|all| all[place]);
                let earlier = before.hosts.get(*at);
                let mut host = judge.trial(in_use[*at], earlier, &after.hosts[*at], *at);
                host.overload_probability_before = earlier.and_then(|_| risk(&risks[0]));
                host.overload_probability = risk(&risks[1]);
                host
            })
            .collect();
        let breaches = judge.between_hosts(&after);
        let spares: Vec<usize> =
            changed.hosts.iter().filter(|host| host.spare).filter_map(|host| judge.kind(host)).collect();
        let emptied = without_empty(&after);
        let reserve_holds =
            (setting.policy.reserve == Reserve::Spare).then(|| judge.reserve(&emptied, &spares).is_empty());
        let fits = breaches.is_empty() && hosts.iter().all(|host| host.fits);
        changed.hosts.retain(|host| host.spare || !host.servers.is_empty());
        let cost = cost(plan, &changed, &setting);
        Ok(Trial { fits, hosts, breaches, reserve_holds, cost })
    }

    fn risks(&self, setting: &Setting<'_>, packing: &Packing, touched: &[usize]) -> Option<Vec<f64>> {
        let risks = Risks::new(setting, &self.demand)?;
        let of = |at: &usize| {
            let host = packing.hosts.get(*at).cloned().unwrap_or_default();
            risks.probability((*at, &host))
        };
        Some(touched.iter().map(of).collect())
    }
}

fn setting<'a>(plan: &'a Plan, traces: &'a Traces) -> Result<Setting<'a>, PlanError> {
    let assumed = &plan.assumptions;
    Setting::new(traces, &assumed.host_types, &assumed.policy, &assumed.products, &assumed.support)
}

/// Moves servers; the places of touched hosts among those that do not stand by.
fn apply(plan: &mut Plan, setting: &Setting<'_>, moves: &[TrialMove]) -> Result<BTreeSet<usize>, TrialError> {
    let planned: BTreeSet<&str> = setting.names().into_iter().collect();
    // Spare hosts come last, so that places among the others stay what they are.
    let (mut hosts, spares): (Vec<_>, Vec<_>) =
        std::mem::take(&mut plan.hosts).into_iter().partition(|h| !h.spare);
    let mut touched = BTreeSet::new();
    for (at, one) in moves.iter().enumerate() {
        if !planned.contains(one.server.as_str()) {
            return Err(TrialError::UnknownServer { at, server: one.server.clone() });
        }
        let known = hosts.iter().position(|host| host.id == one.host);
        let to = match (known, &one.host_type) {
            (Some(to), _) => to,
            (None, Some(host_type)) if !spares.iter().any(|host| host.id == one.host) => {
                if !setting.hosts.iter().any(|kind| kind.name == *host_type) {
                    return Err(TrialError::UnknownType { at, host_type: host_type.clone() });
                }
                hosts.push(PlannedHost {
                    id: one.host.clone(),
                    host_type: host_type.clone(),
                    servers: Vec::new(),
                    overload_probability: None,
                    spare: false,
                    peaks: Vec::new(),
                    curves: Vec::new(),
                });
                hosts.len() - 1
            }
            _ => return Err(TrialError::UnknownHost { at, host: one.host.clone() }),
        };
        for (place, host) in hosts.iter_mut().enumerate() {
            if let Some(found) = host.servers.iter().position(|server| *server == one.server) {
                host.servers.remove(found);
                touched.insert(place);
            }
        }
        plan.unplaced.retain(|unplaced| unplaced.server != one.server);
        hosts[to].servers.push(one.server.clone());
        hosts[to].servers.sort();
        touched.insert(to);
    }
    plan.hosts = hosts;
    plan.hosts.extend(spares);
    Ok(touched)
}

fn packing(plan: &Plan, judge: &Judge<'_>) -> Packing {
    let in_use = plan.hosts.iter().filter(|host| !host.spare);
    let of = |host: &PlannedHost| Packed {
        kind: judge.kind(host).unwrap_or_default(),
        servers: judge.places(&host.servers),
    };
    Packing { hosts: in_use.map(of).collect(), unplaced: Vec::new() }
}

fn without_empty(packing: &Packing) -> Packing {
    let hosts = packing.hosts.iter().filter(|host| !host.servers.is_empty()).cloned().collect();
    Packing { hosts, unplaced: Vec::new() }
}

fn cost(before: &Plan, after: &Plan, setting: &Setting<'_>) -> TrialCost {
    let price = prices(setting.hosts, Objective::Cost);
    let kind = |host: &PlannedHost| setting.hosts.iter().position(|kind| kind.name == host.host_type);
    let hosts_after = after.hosts.iter().filter_map(|host| kind(host).map(|kind| price[kind])).sum();
    let years = setting.policy.licence_years;
    let licences = setting.licensing.told(after, setting.traces, &setting.servers, years);
    TrialCost {
        hosts_before: before.cost,
        hosts_after,
        licences_before: before.licences.as_ref().map(|licences| licences.after),
        currency: licences.as_ref().map(|licences| licences.currency.clone()),
        licences_after: licences.map(|licences| licences.after),
    }
}

impl Judge<'_> {
    fn trial(&self, host: &PlannedHost, before: Option<&Packed>, after: &Packed, at: usize) -> TrialHost {
        let (kind, resources) = (&self.setting.hosts[after.kind], &self.setting.resources);
        let demand = self.problem.measured();
        let (_, curves) = peaks(demand, after, kind, resources);
        let grid = self.setting.traces.grid;
        let of = |dimension: usize| {
            let most = |packed: &Packed| {
                let sums = demand.sum(packed.servers.iter().copied(), dimension);
                // The first moment of all that are as high.
                let (mut bin, mut peak) = (0, 0);
                for (at, sum) in sums.into_iter().enumerate() {
                    if sum > peak {
                        (bin, peak) = (at, sum);
                    }
                }
                (bin, peak)
            };
            let (bin, peak) = most(after);
            TrialResource {
                resource: resources[dimension].name.into(),
                peak_before: before.map_or(0, |before| most(before).1),
                peak,
                at_unix: grid.first_bin_unix + bin as i64 * i64::from(grid.step_s),
                planned: self.problem.kinds()[after.kind].capacity[dimension],
                capacity: resources[dimension].capacity(kind),
            }
        };
        let one = Packing { hosts: vec![after.clone()], unplaced: Vec::new() };
        let breaches: Vec<TrialBreach> = check_host(&self.problem, at, after)
            .into_iter()
            .map(|breach| self.trial_breach(breach))
            .collect();
        TrialHost {
            id: host.id.clone(),
            host_type: host.host_type.clone(),
            servers: host.servers.clone(),
            fits: breaches.is_empty(),
            resources: (0..resources.len()).map(of).collect(),
            curves,
            overload_share: overloaded_share(demand, &one, &capacities(self.setting.hosts, resources)),
            overload_probability_before: None,
            overload_probability: None,
            breaches,
        }
    }

    fn trial_breach(&self, breach: Breach) -> TrialBreach {
        let server = |at: usize| self.server(at).to_owned();
        let (kind, names) = match &breach {
            Breach::Overload { dimension, .. } => {
                (BreachKind::Overload, vec![self.setting.resources[*dimension].name.to_owned()])
            }
            Breach::Together { one, other, .. } => (BreachKind::Apart, vec![server(*one), server(*other)]),
            Breach::Forbidden { server: at, kind } => {
                (BreachKind::HostType, vec![server(*at), self.setting.hosts[*kind].name.clone()])
            }
            _ => (BreachKind::Overload, Vec::new()),
        };
        TrialBreach { kind, names, text: self.told(breach).to_string() }
    }

    /// Rules that no host can tell by itself.
    fn between_hosts(&self, packing: &Packing) -> Vec<TrialBreach> {
        let rules = &self.setting.rules;
        let mut host_of = BTreeMap::new();
        for (at, host) in packing.hosts.iter().enumerate() {
            host_of.extend(host.servers.iter().map(|server| (*server, at)));
        }
        let told =
            |kind: BreachKind, name: &str, text: String| TrialBreach { kind, names: vec![name.into()], text };
        let mut breaches = Vec::new();
        for (name, members) in &rules.together {
            if members.windows(2).any(|pair| host_of.get(&pair[0]) != host_of.get(&pair[1])) {
                breaches.push(told(
                    BreachKind::Together,
                    name,
                    format!("keep_together {name} is on several hosts"),
                ));
            }
        }
        for (name, members) in &rules.spread {
            let hosts = members.iter().filter_map(|server| host_of.get(server));
            let domains: Vec<String> =
                hosts.map(|at| domain_of(&self.setting.hosts[packing.hosts[*at].kind])).collect();
            if domains.iter().collect::<BTreeSet<_>>().len() < domains.len() {
                breaches.push(told(
                    BreachKind::Domain,
                    name,
                    format!("keep_apart {name} has two in one domain"),
                ));
            }
        }
        for (at, kind) in self.setting.hosts.iter().enumerate() {
            let used =
                packing.hosts.iter().filter(|host| host.kind == at && !host.servers.is_empty()).count();
            let spare =
                self.plan.hosts.iter().filter(|host| host.spare && host.host_type == kind.name).count();
            if let Some(count) = kind.count.filter(|count| used + spare > *count as usize) {
                let text = format!("there are {} hosts of type {}, of {count}", used + spare, kind.name);
                breaches.push(told(BreachKind::Count, &kind.name, text));
            }
        }
        breaches
    }
}
