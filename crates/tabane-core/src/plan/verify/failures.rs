//! Whether what is said of failing hosts is so: in the end, and on the way.

use std::collections::{BTreeSet, HashMap};

use tabane_model::{Failover, Reserve};

use super::{Fault, judge::Judge};
use crate::{
    pack::{Breach, Packed, Packing, check_host},
    plan::{reserve, spare},
};

/// Hosts that are there at some time, by their ids, and what each carries.
#[derive(Default)]
pub(super) struct State<'a> {
    ids: Vec<&'a str>,
    places: HashMap<&'a str, usize>,
    packing: Packing,
}

impl<'a> State<'a> {
    pub fn add(&mut self, id: &'a str, kind: usize, servers: Vec<usize>) {
        self.places.insert(id, self.ids.len());
        self.ids.push(id);
        self.packing.hosts.push(Packed { kind, servers });
    }
}

impl Judge<'_> {
    /// Whether so many failures are absorbed as the plan says.
    pub fn reserve(&self, packing: &Packing, spares: &[usize]) -> Vec<Fault> {
        let promised = self.plan.failures_absorbed;
        let is_shared = self.setting.policy.reserve == Reserve::Shared && promised > 0;
        let mut said = self.plan.waves.iter().map(|wave| &wave.failover).chain([&self.plan.failover]);
        if !is_shared && said.any(|failover| !failover.is_empty()) {
            return vec![Fault::Breach(
                "it says where servers go when hosts fail, and nothing is shared".into(),
            )];
        }
        if promised == 0 || packing.hosts.is_empty() {
            return Vec::new();
        }
        let missing = |found: usize| {
            (found < promised as usize).then_some(Fault::Spare { promised, found }).into_iter().collect()
        };
        if self.setting.policy.reserve == Reserve::Spare {
            let able: Vec<bool> = (0..self.setting.hosts.len())
                .map(|kind| {
                    spares.contains(&kind)
                        && (0..packing.hosts.len())
                            .all(|host| spare::takes_over(&self.problem, packing, host, kind))
                })
                .collect();
            return missing(spares.iter().filter(|kind| able[**kind]).count());
        }
        // A spare host that takes servers over at the first failure is none for the second.
        let used: BTreeSet<&str> =
            self.plan.failover.iter().flat_map(|f| &f.takeovers).map(|t| &*t.host).collect();
        let idle = self.plan.hosts.iter().filter(|host| host.spare && !used.contains(host.id.as_str()));
        let hosts = self.setting.hosts;
        let able = idle
            .filter_map(|host| self.kind(host))
            .filter(|kind| reserve::stands_in(&self.problem, packing, hosts, &self.setting.resources, *kind));
        let mut faults: Vec<Fault> = missing(able.count() + 1);
        let mut state = State::default();
        for host in &self.plan.hosts {
            if let Some(kind) = self.kind(host) {
                state.add(&host.id, kind, self.places(&host.servers));
            }
        }
        faults.extend(self.failures(&state, &self.plan.failover));
        faults
    }

    /// What hosts carry when one of them has failed, for each.
    pub fn failures(&self, state: &State<'_>, failover: &[Failover]) -> Vec<Fault> {
        let told: HashMap<&str, &Failover> = failover.iter().map(|f| (f.host.as_str(), f)).collect();
        let in_use = state.packing.hosts.iter().enumerate().filter(|(_, host)| !host.servers.is_empty());
        let in_use: Vec<usize> = in_use.map(|(at, _)| at).collect();
        let judged = in_use.iter().flat_map(|at| self.failure(state, *at, told.get(state.ids[*at]).copied()));
        let mut faults: Vec<Fault> = judged.collect();
        if failover.len() > in_use.len() {
            faults.push(Fault::Breach(
                "it says more than once where the servers of a host go, or of one without any".into(),
            ));
        }
        faults
    }

    /// Only hosts that take something over carry more than before, so only they are added up.
    fn failure(&self, state: &State<'_>, failed: usize, failover: Option<&Failover>) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault =
            |what: String| faults.push(Fault::Breach(format!("if {} fails: {what}", state.ids[failed])));
        let Some(failover) = failover else {
            fault("nothing is said of where its servers go".into());
            return faults;
        };
        let mut waiting: BTreeSet<usize> = state.packing.hosts[failed].servers.iter().copied().collect();
        let mut after = state.packing.clone();
        after.hosts[failed].servers.clear();
        let mut changed = BTreeSet::new();
        for takeover in &failover.takeovers {
            let Some(at) = state.places.get(takeover.host.as_str()).filter(|at| **at != failed) else {
                fault(format!("{} is not there to take anything over", takeover.host));
                continue;
            };
            for name in &takeover.servers {
                match self.names.get(name.as_str()).filter(|server| waiting.remove(server)) {
                    Some(server) => after.hosts[*at].servers.push(*server),
                    None => fault(format!("{name} does not wait to be taken over")),
                }
            }
            changed.insert(*at);
        }
        for server in waiting {
            fault(format!("{} is named 0 times", self.server(server)));
        }
        for at in changed {
            for breach in check_host(&self.crowded, at, &after.hosts[at]) {
                fault(match breach {
                    Breach::Overload { dimension, bin, load, capacity, .. } => format!(
                        "{} would have to carry {load} of {capacity} {} in bin {bin}",
                        state.ids[at], self.setting.resources[dimension].name
                    ),
                    other => self.told(other).to_string(),
                });
            }
        }
        for broken in self.rules(&after) {
            fault(broken.to_string());
        }
        faults
    }
}
