//! A policy's rules, with patterns resolved to servers, and whether they can be kept at all.
//!
//! Servers are counted by their place in the list that is planned for. What is said here is exact: rules that clash are told
//! as the smallest set that does, and no plan is made.

use std::collections::{BTreeMap, BTreeSet};

use tabane_model::{Across, HostType, PlanPolicy, ServerPattern, Traces, support::SupportRefusal};

use super::{PlanError, quality::suffices, units::Units};
use crate::pack::Problem;

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rules {
    /// Name and members, no two of which share a host.
    pub apart: Vec<(String, Vec<usize>)>,
    /// Name and members, no two of which share a domain.
    pub spread: Vec<(String, Vec<usize>)>,
    pub together: Vec<(String, Vec<usize>)>,
    /// Name and members, which move in the same wave.
    pub dependencies: Vec<(String, Vec<usize>)>,
    /// Those that move last.
    pub critical: BTreeSet<usize>,
    /// The types of hosts that a server may go to, where not all.
    pub allowed: BTreeMap<usize, Vec<usize>>,
}

/// Servers that are measured for long enough, and that neither the policy nor their vendors' support leave out.
pub(super) fn planned(traces: &Traces, policy: &PlanPolicy, refused: &[SupportRefusal]) -> Vec<usize> {
    let refused: BTreeSet<&str> = refused.iter().map(|refusal| refusal.server.as_str()).collect();
    (0..traces.servers.len())
        .filter(|server| traces.is_measured(*server) && !is_excluded(traces, policy, *server))
        .filter(|server| suffices(traces, policy, *server))
        .filter(|server| !refused.contains(traces.servers[*server].name.as_str()))
        .collect()
}

pub(super) fn is_excluded(traces: &Traces, policy: &PlanPolicy, server: usize) -> bool {
    policy.exclude.iter().any(|pattern| pattern.matches(&traces.servers[server]))
}

impl Rules {
    /// Of the servers in this list.
    pub fn new(
        traces: &Traces,
        servers: &[usize],
        hosts: &[HostType],
        policy: &PlanPolicy,
    ) -> Result<Self, PlanError> {
        let members = |field: String, patterns: &[ServerPattern]| {
            for pattern in patterns {
                // A rule for nobody is a slip of the pen that would go unnoticed.
                if !traces.servers.iter().any(|server| pattern.matches(server)) {
                    return Err(PlanError::NobodyMeant { field, pattern: pattern.0.clone() });
                }
            }
            let meant = |at: &usize| patterns.iter().any(|p| p.matches(&traces.servers[servers[*at]]));
            Ok((0..servers.len()).filter(meant).collect::<Vec<usize>>())
        };
        members("exclude".into(), &policy.exclude)?;
        let mut rules = Self::default();
        for group in &policy.keep_apart {
            let meant = members(format!("keep_apart {}", group.name), &group.servers)?;
            let list = if group.across == Across::Host { &mut rules.apart } else { &mut rules.spread };
            list.push((group.name.clone(), meant));
        }
        for group in &policy.keep_together {
            rules.together.push((
                group.name.clone(),
                members(format!("keep_together {}", group.name), &group.servers)?,
            ));
        }
        for group in &policy.phases.dependency {
            let meant = members(format!("dependency {}", group.name), &group.servers)?;
            rules.dependencies.push((group.name.clone(), meant));
        }
        rules.critical = members("phases.critical".into(), &policy.phases.critical)?.into_iter().collect();
        for (at, overhead) in policy.overhead.iter().enumerate() {
            members(format!("overhead[{at}]"), &overhead.servers)?;
        }
        for (at, pin) in policy.pin.iter().enumerate() {
            let mut kinds = Vec::new();
            for name in &pin.host_types {
                let found = hosts.iter().position(|host| host.name == *name);
                kinds.push(found.ok_or_else(|| PlanError::UnknownType {
                    field: format!("pin[{at}]"),
                    name: name.clone(),
                })?);
            }
            for server in members(format!("pin[{at}]"), &pin.servers)? {
                let allowed = rules.allowed.entry(server).or_insert_with(|| (0..hosts.len()).collect());
                allowed.retain(|kind| kinds.contains(kind));
            }
        }
        Ok(rules)
    }

    /// Of these servers alone, which are counted by their place in this list. It is in order.
    pub fn of(&self, servers: &[usize]) -> Self {
        let place = |server: &usize| servers.binary_search(server).ok();
        let groups = |groups: &[(String, Vec<usize>)]| {
            groups
                .iter()
                .map(|(name, group)| (name.clone(), group.iter().filter_map(place).collect()))
                .collect()
        };
        Self {
            apart: groups(&self.apart),
            spread: groups(&self.spread),
            together: groups(&self.together),
            dependencies: groups(&self.dependencies),
            critical: self.critical.iter().filter_map(place).collect(),
            allowed: self
                .allowed
                .iter()
                .filter_map(|(at, kinds)| Some((place(at)?, kinds.clone())))
                .collect(),
        }
    }

    /// Tells a packing problem of them, save for domains. Its servers are those of the rules.
    pub fn apply(&self, problem: &mut Problem) {
        self.apart.iter().for_each(|(_, members)| problem.keep_apart(members));
        self.allowed.iter().for_each(|(server, kinds)| problem.allow(*server, kinds));
    }

    /// Deals domains out: members of a group that is spread keep to types of hosts of a domain of their own.
    pub fn deal_domains(mut self, hosts: &[HostType]) -> Result<Self, PlanError> {
        for (name, members) in std::mem::take(&mut self.spread) {
            let dealt = self.domains(&name, &members, hosts)?;
            self.allowed.extend(dealt);
        }
        Ok(self)
    }

    pub fn allowed(&self, server: usize, hosts: usize) -> Vec<usize> {
        self.allowed.get(&server).cloned().unwrap_or_else(|| (0..hosts).collect())
    }

    /// For each member of a group the types of hosts of a domain that no other has: a matching, by augmenting paths.
    fn domains(
        &self,
        name: &str,
        members: &[usize],
        hosts: &[HostType],
    ) -> Result<Vec<(usize, Vec<usize>)>, PlanError> {
        if hosts.iter().all(|host| host.domain.is_none()) {
            return Err(PlanError::Clash(vec![
                format!("keep_apart {name} wants its servers in different domains"),
                "no type of host says which domain it is in: add domain = \"…\" to hosts.toml".into(),
            ]));
        }
        let of = |kind: usize| domain_of(&hosts[kind]);
        let mut domains: Vec<String> = (0..hosts.len()).map(of).collect();
        domains.sort();
        domains.dedup();
        let may = |member: usize, domain: usize| {
            self.allowed(members[member], hosts.len()).into_iter().any(|kind| of(kind) == domains[domain])
        };
        let mut holder: Vec<Option<usize>> = vec![None; domains.len()];
        for member in 0..members.len() {
            if !give(member, &may, &mut holder, &mut vec![false; domains.len()]) {
                let what =
                    format!("keep_apart {name} wants {} servers in domains of their own", members.len());
                let why = match domains.len() {
                    few if few < members.len() => format!("there are {few} for them"),
                    _ => {
                        "no way was found to deal domains out, with its pins and the groups before it".into()
                    }
                };
                return Err(PlanError::Clash(vec![what, why]));
            }
        }
        let given = holder.iter().enumerate().filter_map(|(domain, member)| member.map(|m| (m, domain)));
        Ok(given
            .map(|(member, domain)| {
                let mut kinds = self.allowed(members[member], hosts.len());
                kinds.retain(|kind| of(*kind) == domains[domain]);
                (members[member], kinds)
            })
            .collect())
    }

    /// Rules that no packing can keep, whatever the loads are.
    pub fn clash(&self, names: &[&str], hosts: &[HostType]) -> Result<(), PlanError> {
        // Groups that share a server are on one host together.
        let units = Units::new(names.len(), &self.together);
        for (apart, members) in self.apart.iter().chain(&self.spread) {
            for unit in units.iter().filter(|unit| unit.len() > 1) {
                let both: Vec<usize> =
                    members.iter().copied().filter(|at| unit.binary_search(at).is_ok()).collect();
                let [one, other, ..] = both[..] else { continue };
                let joining =
                    self.together.iter().filter(|(_, group)| group.iter().any(|at| unit.contains(at)));
                let joining: Vec<&str> = joining.map(|(name, _)| name.as_str()).collect();
                return Err(PlanError::Clash(vec![
                    format!("keep_apart {apart} has {} and {}", names[one], names[other]),
                    format!("keep_together {} has both, too", joining.join(" with ")),
                ]));
            }
        }
        for (apart, members) in &self.apart {
            let most = hosts.iter().map(|host| host.count.map(|count| count as usize)).sum::<Option<usize>>();
            if let Some(most) = most.filter(|most| *most < members.len()) {
                return Err(PlanError::Clash(vec![
                    format!("keep_apart {apart} has {} servers", members.len()),
                    format!("there are {most} hosts of all types together"),
                ]));
            }
        }
        if let Some((server, _)) = self.allowed.iter().find(|(_, kinds)| kinds.is_empty()) {
            return Err(PlanError::Clash(vec![format!(
                "the pins of {} leave it no type of host",
                names[*server]
            )]));
        }
        for (together, members) in &self.together {
            let mut left: Vec<usize> = (0..hosts.len()).collect();
            for server in members {
                let allowed = self.allowed(*server, hosts.len());
                left.retain(|kind| allowed.contains(kind));
                if left.is_empty() {
                    return Err(PlanError::Clash(vec![
                        format!("keep_together {together} has {}", names[*server]),
                        "the pins of its servers have no type of host in common".into(),
                    ]));
                }
            }
        }
        Ok(())
    }
}

/// Hosts of a type that names no domain are one by themselves.
pub(super) fn domain_of(host: &HostType) -> String {
    host.domain.clone().unwrap_or_else(|| format!("type {}", host.name))
}

fn give(
    member: usize,
    may: &dyn Fn(usize, usize) -> bool,
    holder: &mut [Option<usize>],
    seen: &mut [bool],
) -> bool {
    for domain in 0..holder.len() {
        if !may(member, domain) || std::mem::replace(&mut seen[domain], true) {
            continue;
        }
        let free = match holder[domain] {
            None => true,
            Some(other) => give(other, may, holder, seen),
        };
        if free {
            holder[domain] = Some(member);
            return true;
        }
    }
    false
}
