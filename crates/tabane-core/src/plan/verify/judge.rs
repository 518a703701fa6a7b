//! A plan beside the problem that it says it solves.

use std::collections::HashMap;

use tabane_model::{HostType, Objective, Plan, PlanNote, PlanResource, PlannedHost};

use super::Fault;
use crate::{
    pack::{Breach, Demand, Packing, Problem},
    plan::{
        PlanError, make,
        peaks::peaks,
        risk::{self, Risk},
        rules::domain_of,
        setting::Setting,
    },
};

pub(super) struct Judge<'a> {
    pub plan: &'a Plan,
    pub setting: &'a Setting<'a>,
    pub problem: Problem,
    /// The same while a host has failed.
    pub crowded: Problem,
    /// Servers that are planned for, by name.
    pub names: HashMap<&'a str, usize>,
}

impl<'a> Judge<'a> {
    pub fn new(plan: &'a Plan, setting: &'a Setting<'a>) -> Result<Self, PlanError> {
        Self::of_demand(plan, setting, setting.demand_in_full())
    }

    /// As [`Self::new`], where the needs of all servers are known already.
    pub fn of_demand(plan: &'a Plan, setting: &'a Setting<'a>, demand: Demand) -> Result<Self, PlanError> {
        let problem = setting.problem(demand, Objective::Cost, plan.assumptions.fill)?;
        let measured = problem.measured().clone();
        let crowded = setting.problem(measured, Objective::Cost, setting.policy.fill_failed)?;
        let names = setting.names().into_iter().enumerate().map(|(at, name)| (name, at)).collect();
        Ok(Self { plan, setting, problem, crowded, names })
    }

    pub fn server(&self, at: usize) -> &str {
        self.setting.servers.get(at).map_or("?", |server| self.setting.traces.servers[*server].name.as_str())
    }

    fn host(&self, at: usize) -> &str {
        self.plan.hosts.iter().filter(|host| !host.spare).nth(at).map_or("?", |host| &host.id)
    }

    pub fn told(&self, breach: Breach) -> Fault {
        Fault::Breach(match breach {
            Breach::NotOnce { server, times } => format!("{} is named {times} times", self.server(server)),
            Breach::Overload { host, dimension, bin, load, capacity } => format!(
                "{} would have to carry {load} of {capacity} {} in bin {bin}",
                self.host(host),
                self.setting.resources[dimension].name
            ),
            Breach::LeftOut { server, .. } => {
                format!("{} has no host, though there is one for it", self.server(server))
            }
            Breach::Together { host, one, other } => format!(
                "{} and {} are kept apart, and both on {}",
                self.server(one),
                self.server(other),
                self.host(host)
            ),
            Breach::Forbidden { server, kind } => format!(
                "{} must not be on a host of type {}",
                self.server(server),
                self.setting.hosts[kind].name
            ),
            other => other.to_string(),
        })
    }

    pub fn kind(&self, host: &PlannedHost) -> Option<usize> {
        self.setting.hosts.iter().position(|kind| kind.name == host.host_type)
    }

    /// What the packing problem does not know: who stays together, and domains.
    pub fn rules(&self, packing: &Packing) -> Vec<Fault> {
        let rules = &self.setting.rules;
        if rules.together.is_empty() && rules.spread.is_empty() {
            return Vec::new();
        }
        let mut host_of = vec![None; self.setting.servers.len()];
        for (at, host) in packing.hosts.iter().enumerate() {
            host.servers.iter().for_each(|server| host_of[*server] = Some(at));
        }
        let mut faults = Vec::new();
        for (name, members) in &self.setting.rules.together {
            if members.windows(2).any(|pair| host_of[pair[0]] != host_of[pair[1]]) {
                faults.push(Fault::Breach(format!("keep_together {name} is on several hosts")));
            }
        }
        for (name, members) in &self.setting.rules.spread {
            let domain = |server: &usize| {
                host_of[*server].map(|host| domain_of(&self.setting.hosts[packing.hosts[host].kind]))
            };
            let mut domains: Vec<String> = members.iter().filter_map(domain).collect();
            let all = domains.len();
            domains.sort();
            domains.dedup();
            if domains.len() < all {
                faults.push(Fault::Breach(format!("keep_apart {name} has two in one domain")));
            }
        }
        faults
    }

    /// Members of groups may have no host though there is one for each by itself.
    pub fn may_be_left_out(&self, breach: &Breach) -> bool {
        let Breach::LeftOut { server, .. } = breach else { return false };
        let rules = &self.setting.rules;
        rules.together.iter().chain(&rules.spread).any(|(_, members)| members.binary_search(server).is_ok())
    }

    /// More hosts of a type than there are, those that stand by among them.
    pub fn numbers(&self, packing: &Packing, spares: &[usize]) -> Vec<Fault> {
        let of = |(at, kind): (usize, &HostType)| {
            let used = packing.hosts.iter().filter(|host| host.kind == at).count();
            let all = used + spares.iter().filter(|spare| **spare == at).count();
            let count = kind.count? as usize;
            // Without those that stand by it is told already.
            (used <= count && all > count)
                .then(|| Fault::Breach(format!("there are {all} hosts of type {}, of {count}", kind.name)))
        };
        self.setting.hosts.iter().enumerate().filter_map(of).collect()
    }

    /// Servers by name, those that are planned for.
    pub fn places(&self, names: &[String]) -> Vec<usize> {
        names.iter().filter_map(|name| self.names.get(name.as_str()).copied()).collect()
    }

    /// Peaks and curves that are not what the traces say.
    pub fn peaks(&self, packing: &Packing) -> Vec<Fault> {
        let hosts = self.plan.hosts.iter().filter(|host| !host.spare).zip(&packing.hosts);
        let wrong = hosts.filter(|(told, host)| {
            let kind = &self.setting.hosts[host.kind];
            let (peaks, curves) = peaks(self.problem.measured(), host, kind, &self.setting.resources);
            // A plan without curves says nothing that could be wrong.
            !are_near(&peaks, &told.peaks) || !(told.curves.is_empty() || curves == told.curves)
        });
        wrong.map(|(told, _)| Fault::Breach(format!("{} has other peaks than it says", told.id))).collect()
    }

    /// Probabilities that are not what the traces say.
    pub fn probabilities(&self, risks: Option<&[Risk]>) -> Vec<Fault> {
        let hosts = self.plan.hosts.iter().filter(|host| !host.spare).enumerate();
        let is_wrong = |(at, told): &(usize, &PlannedHost)| {
            let is = risks.and_then(|all| all.get(*at)).map(Risk::probability);
            match (is, told.overload_probability) {
                (Some(is), Some(told)) => (is - told).abs() > 1e-9,
                (is, told) => is.is_some() != told.is_some(),
            }
        };
        let told = |(_, host): (usize, &PlannedHost)| {
            Fault::Breach(format!("{} is overloaded more or less often than it says", host.id))
        };
        hosts.filter(is_wrong).map(told).collect()
    }

    /// Hosts that are filled to more than they have, where that is not said, or not as it is.
    pub fn overcommitment(&self, packing: &Packing) -> Option<Fault> {
        let fill = self.plan.assumptions.fill;
        if fill > 1.0 && self.plan.predicted_overload_share.is_none() {
            return Some(Fault::Breach("it overcommits hosts, and states no risk".into()));
        }
        let notes = self.plan.assumptions.notes.iter();
        let said: Vec<&PlanNote> =
            notes.filter(|note| matches!(note, PlanNote::Overcommitted { .. })).collect();
        let is = risk::overcommitted(self.setting, self.problem.measured(), packing, fill);
        let is_so = match (&is, said.as_slice()) {
            (None, []) => true,
            (Some(is), [said]) => is_same(is, said),
            _ => false,
        };
        (!is_so).then(|| Fault::Breach("it does not say, as it is, how hosts are overcommitted".into()))
    }

    /// Servers that need more of a host than a margin leaves, where that is not said as it is.
    pub fn large(&self, packing: &Packing) -> Option<Fault> {
        let notes = self.plan.assumptions.notes.iter();
        let said: Vec<&PlanNote> = notes.filter(|note| matches!(note, PlanNote::Large { .. })).collect();
        let is = make::large(self.setting, &self.problem, packing, self.plan.assumptions.fill);
        let is_so = said == is.iter().collect::<Vec<_>>();
        (!is_so).then(|| Fault::Breach("it does not say which servers are too large for its margin".into()))
    }
}

fn is_same(is: &PlanNote, said: &PlanNote) -> bool {
    let numbers = |note: &PlanNote| match note {
        PlanNote::Overcommitted { fill, measured_share, accepted_share } => {
            Some([*fill, *measured_share, *accepted_share])
        }
        _ => None,
    };
    let (Some(is), Some(said)) = (numbers(is), numbers(said)) else { return false };
    is.iter().zip(said).all(|(is, said)| (is - said).abs() <= 1e-9 * is.abs())
}

/// Numbers that were written and read are the same but for their last digit.
fn are_near(is: &[PlanResource], told: &[PlanResource]) -> bool {
    let near = |(a, b): (&PlanResource, &PlanResource)| {
        a.resource == b.resource && (a.share - b.share).abs() <= 1e-9 * a.share.max(1.0)
    };
    is.len() == told.len() && is.iter().zip(told).all(near)
}
