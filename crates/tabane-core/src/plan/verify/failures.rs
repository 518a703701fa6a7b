//! Whether what is said of failing hosts is so: in the end, and on the way.

use std::collections::BTreeSet;

use tabane_model::{Failover, Objective, PlannedHost, Reserve};

use super::{Fault, judge::Judge};
use crate::{
    pack::{Breach, Packed, Packing, Problem, check_packing},
    plan::{reserve, spare},
};

impl Judge<'_> {
    /// Whether so many failures are absorbed as the plan says.
    pub fn reserve(&self, packing: &Packing, spares: &[usize]) -> Vec<Fault> {
        let promised = self.plan.failures_absorbed;
        if promised == 0 || packing.hosts.is_empty() {
            return Vec::new();
        }
        let missing = |found: usize| {
            (found < promised as usize).then_some(Fault::Spare { promised, found }).into_iter().collect()
        };
        if self.setting.policy.reserve == Reserve::Spare {
            let able = spares.iter().filter(|kind| {
                (0..packing.hosts.len()).all(|host| spare::takes_over(&self.problem, packing, host, **kind))
            });
            return missing(able.count());
        }
        // A spare host that takes servers over at the first failure is none for the second.
        let used: BTreeSet<&str> =
            self.plan.failover.iter().flat_map(|f| &f.takeovers).map(|t| &*t.host).collect();
        let idle = self.plan.hosts.iter().filter(|host| host.spare && !used.contains(host.id.as_str()));
        let hosts = self.setting.hosts;
        let able = idle
            .filter_map(|host| hosts.iter().position(|kind| kind.name == host.host_type))
            .filter(|kind| reserve::stands_in(&self.problem, packing, hosts, &self.setting.resources, *kind));
        let mut faults: Vec<Fault> = missing(able.count() + 1);
        faults.extend(self.failures(&self.plan.hosts, &self.plan.failover));
        faults
    }

    /// What hosts carry when one of them has failed, for each.
    pub fn failures(&self, hosts: &[PlannedHost], failover: &[Failover]) -> Vec<Fault> {
        let demand = self.problem.demand().clone();
        match self.setting.problem(demand, Objective::Cost, self.setting.policy.fill_failed) {
            Ok(crowded) => {
                let in_use = hosts.iter().filter(|host| !host.servers.is_empty());
                in_use.flat_map(|host| self.failure(hosts, failover, host, &crowded)).collect()
            }
            Err(error) => vec![error.into()],
        }
    }

    fn failure(
        &self,
        hosts: &[PlannedHost],
        failover: &[Failover],
        failed: &PlannedHost,
        crowded: &Problem,
    ) -> Vec<Fault> {
        let fault = |what: String| Fault::Breach(format!("if {} fails: {what}", failed.id));
        let Some(failover) = failover.iter().find(|failover| failover.host == failed.id) else {
            return vec![fault("nothing is said of where its servers go".into())];
        };
        let mut packing = Packing::default();
        let mut ids = Vec::new();
        for host in hosts {
            let kind = self.setting.hosts.iter().position(|kind| kind.name == host.host_type);
            let Some(kind) = kind.filter(|_| host.id != failed.id) else { continue };
            let mut servers: Vec<usize> = self.places(&host.servers);
            for takeover in failover.takeovers.iter().filter(|takeover| takeover.host == host.id) {
                servers.extend(self.places(&takeover.servers));
            }
            ids.push(host.id.as_str());
            packing.hosts.push(Packed { kind, servers });
        }
        let present: BTreeSet<usize> = hosts.iter().flat_map(|host| self.places(&host.servers)).collect();
        // Those without a host now, and those that have not moved yet.
        packing.unplaced =
            (0..self.setting.servers.len()).filter(|server| !present.contains(server)).collect();
        let told = check_packing(crowded, &packing).into_iter().filter_map(|breach| match breach {
            // What had no host before has none now.
            Breach::LeftOut { .. } => None,
            // The plan as a whole is asked for that.
            Breach::TooMany { .. } => None,
            Breach::Overload { host, dimension, bin, load, capacity } => Some(fault(format!(
                "{} would have to carry {load} of {capacity} {} in bin {bin}",
                ids[host], self.setting.resources[dimension].name
            ))),
            other => Some(fault(self.told(other).to_string())),
        });
        told.chain(self.rules(&packing).into_iter().map(|broken| fault(broken.to_string()))).collect()
    }
}
