//! Whether what is said to clash does, and nothing of it can be left out.

use std::collections::BTreeSet;

use tabane_model::{ClashHosts, PlanNote, Proof, UnplacedCause};

use super::{Fault, judge::Judge};
use crate::pack::Step;

/// A clash as a plan tells it.
struct Told<'a> {
    servers: &'a [String],
    rules: &'a [String],
    hosts: &'a [ClashHosts],
    proof: &'a Proof,
}

impl Judge<'_> {
    pub fn shortage(&self) -> Vec<Fault> {
        let is_left = |cause: &Option<UnplacedCause>| matches!(cause, Some(UnplacedCause::NoHostLeft));
        let left = self.plan.unplaced.iter().filter(|server| is_left(&server.cause)).count();
        let mut faults = Vec::new();
        let mut is_told = false;
        for note in &self.plan.assumptions.notes {
            let what = match note {
                PlanNote::NoPlaceFound { servers } => (*servers as usize != left || left == 0)
                    .then(|| "it says of others that no place was found".into()),
                PlanNote::Clash { servers, rules, hosts, proof, needed, there } => {
                    self.refuted(&Told { servers, rules, hosts, proof }, (*needed, *there)).err()
                }
                _ => continue,
            };
            is_told = true;
            faults.extend(what.map(Fault::Breach));
        }
        if left > 0 && !is_told {
            faults.push(Fault::Breach("it does not say why there are not enough hosts".into()));
        }
        faults
    }

    fn refuted(&self, told: &Told<'_>, said: (u64, u64)) -> Result<(), String> {
        let wrong = || "what it says to clash does not, as it says it".to_owned();
        let is = self.asked(told).ok_or_else(wrong)?;
        if is != said || is.0 <= is.1 {
            return Err(wrong());
        }
        let clashes = |told: &Told<'_>| self.asked(told).is_some_and(|(needed, there)| needed > there);
        let without = |list: &[String], at: usize| {
            let others = list.iter().enumerate().filter(|(place, _)| *place != at);
            others.map(|(_, name)| name.clone()).collect::<Vec<String>>()
        };
        for (at, server) in told.servers.iter().enumerate() {
            if clashes(&Told { servers: &without(told.servers, at), ..*told }) {
                return Err(format!("what it says to clash does so without {server}"));
            }
        }
        // The group that stays apart is what is counted.
        let is_counted = |rule: &String| rule.starts_with("keep_apart ");
        for (at, rule) in told.rules.iter().enumerate().filter(|(_, rule)| !is_counted(rule)) {
            if clashes(&Told { rules: &without(told.rules, at), ..*told }) {
                return Err(format!("what it says to clash does so without {rule}"));
            }
        }
        Ok(())
    }

    /// What the servers ask for, if they and the rules are those of the plan, and what the hosts have.
    fn asked(&self, told: &Told<'_>) -> Option<(u64, u64)> {
        let setting = self.setting;
        let servers: BTreeSet<usize> =
            told.servers.iter().map(|name| self.names.get(name.as_str()).copied()).collect::<Option<_>>()?;
        let mut kinds = BTreeSet::new();
        for host in told.hosts {
            let kind = setting.hosts.iter().position(|kind| kind.name == host.host_type)?;
            if setting.hosts[kind].count? != host.count || !kinds.insert(kind) {
                return None;
            }
        }
        let (mut pins, mut together, mut apart) = (Vec::new(), Vec::new(), None);
        for rule in told.rules {
            if let Some(at) = rule.strip_prefix("pin[").and_then(|rest| rest.strip_suffix(']')) {
                pins.push(setting.policy.pin.get(at.parse::<usize>().ok()?)?);
            } else if let Some(name) = rule.strip_prefix("keep_together ") {
                together.push(&setting.rules.together.iter().find(|(known, _)| known == name)?.1);
            } else {
                let name = rule.strip_prefix("keep_apart ")?;
                apart = Some(&setting.rules.apart.iter().find(|(known, _)| known == name)?.1);
            }
        }
        // Lots of servers that share a host, by joining those that share a group.
        let mut lots: Vec<BTreeSet<usize>> = servers.iter().map(|server| BTreeSet::from([*server])).collect();
        for group in together {
            let (joined, others): (Vec<_>, Vec<_>) =
                lots.into_iter().partition(|lot| lot.iter().any(|server| group.contains(server)));
            lots = others;
            lots.extend((!joined.is_empty()).then(|| joined.into_iter().flatten().collect()));
        }
        let may = |server: usize, kind: usize| {
            let source = &setting.traces.servers[setting.servers[server]];
            let is_meant = |pin: &&&tabane_model::Pin| pin.servers.iter().any(|p| p.matches(source));
            setting.licensing.may(server, kind)
                && pins.iter().filter(is_meant).all(|pin| pin.host_types.contains(&setting.hosts[kind].name))
        };
        let demand = self.problem.demand();
        // Of a single server the peak is known; sums are made for those that share a host.
        let peak = |lot: &BTreeSet<usize>, dimension: usize| match lot.first() {
            Some(one) if lot.len() == 1 => u64::from(demand.peak(*one, dimension)),
            _ => demand.sum(lot.iter().copied(), dimension).into_iter().max().unwrap_or(0),
        };
        let carries = |lot: &BTreeSet<usize>, kind: usize| {
            let capacity = self.problem.kinds()[kind].capacity.iter().enumerate();
            capacity.into_iter().all(|(dimension, most)| peak(lot, dimension) <= u64::from(*most))
        };
        lots.retain(|lot| {
            let goes = |kind: &usize| lot.iter().all(|server| may(*server, *kind)) && carries(lot, *kind);
            let reach: Vec<usize> = (0..setting.hosts.len()).filter(goes).collect();
            !reach.is_empty() && reach.iter().all(|kind| kinds.contains(kind))
        });
        let hosts: u64 = told.hosts.iter().map(|host| u64::from(host.count)).sum();
        if told.proof.function == "apart" {
            let named = format!("keep_apart {}", told.proof.resource);
            let group = apart.filter(|_| told.rules.contains(&named))?;
            let alone = lots.iter().flatten().filter(|server| group.contains(server)).count();
            return Some((alone as u64, hosts));
        }
        let dimension = setting.resources.iter().position(|resource| resource.name == told.proof.resource)?;
        let bin = Some(told.proof.bin).filter(|bin| *bin < demand.bins(dimension))?;
        let capacity = |kind: &usize| self.problem.kinds()[*kind].capacity[dimension];
        let sizes = lots.iter().map(|lot| -> u64 {
            lot.iter().map(|server| u64::from(demand.of(*server, dimension)[bin])).sum()
        });
        let step = match (told.proof.function.as_str(), told.proof.parameter) {
            ("all", None) => {
                let of = |kind: &usize| {
                    u64::from(setting.hosts[*kind].count.unwrap_or(0)).saturating_mul(capacity(kind).into())
                };
                return Some((sizes.sum(), kinds.iter().map(of).sum()));
            }
            ("volume", None) => Step::Volume,
            ("parts", Some(parts)) if (1..=1_000).contains(&parts) => Step::Parts(parts),
            ("fringe", Some(fringe)) => Step::Fringe(fringe),
            _ => return None,
        };
        let largest = kinds.iter().map(capacity).max().filter(|largest| *largest > 0)?;
        if matches!(step, Step::Fringe(fringe) if fringe > largest / 2) {
            return None;
        }
        let count = |size: u64| step.count(u32::try_from(size).unwrap_or(u32::MAX), largest);
        Some((sizes.map(count).sum::<u64>().div_ceil(step.whole(largest)), hosts))
    }
}
