//! Whether a plan can be introduced as it says: each wave, and what there is after it.

use std::collections::{BTreeMap, BTreeSet};

use tabane_model::{PlannedHost, Reserve};

use super::{Fault, judge::Judge};
use crate::{pack::Packing, plan::phases};

impl Judge<'_> {
    pub fn waves(&self, packing: &Packing) -> Vec<Fault> {
        if self.plan.waves.is_empty() {
            return Vec::new();
        }
        let mut faults = Vec::new();
        let mut fault = |what: String| faults.push(Fault::Breach(what));
        let mut wave_of: BTreeMap<usize, usize> = BTreeMap::new();
        let mut installed: BTreeSet<&str> = BTreeSet::new();
        let limits = &self.setting.policy.phases;
        for (at, wave) in self.plan.waves.iter().enumerate() {
            let name = &wave.name;
            for server in &wave.servers {
                let Some(place) = self.names.get(server.as_str()) else {
                    fault(format!("{name} moves {server}, which is not planned for"));
                    continue;
                };
                if wave_of.insert(*place, at).is_some() {
                    fault(format!("{server} moves twice, again in {name}"));
                }
            }
            if wave.servers.len() > limits.servers_max(false).max(limits.servers_max(at == 0)) {
                fault(format!("{name} has {} servers, more than there are hands for", wave.servers.len()));
            }
            for host in &wave.new_hosts {
                let is_known = self.plan.hosts.iter().any(|known| known.id == *host);
                if !is_known || !installed.insert(host) {
                    fault(format!("{name} asks for {host}, which is unknown or there already"));
                }
            }
        }
        let mut host_of: BTreeMap<usize, &PlannedHost> = BTreeMap::new();
        for host in &self.plan.hosts {
            host_of.extend(self.places(&host.servers).into_iter().map(|server| (server, host)));
        }
        for server in packing.hosts.iter().flat_map(|host| &host.servers) {
            if !wave_of.contains_key(server) {
                fault(format!("{} is in no wave", self.server(*server)));
            }
        }
        match phases::groups(self.setting) {
            Err(error) => fault(error.to_string()),
            Ok(groups) => {
                let (mut last_plain, mut first_critical) = (None, None);
                for members in groups.iter() {
                    let mut waves = members.iter().filter_map(|server| wave_of.get(server).copied());
                    let Some(first) = waves.next() else { continue };
                    if waves.any(|wave| wave != first) {
                        fault(format!(
                            "{} and who depends on it move at different times",
                            self.server(members[0])
                        ));
                    }
                    if members.iter().any(|server| self.setting.rules.critical.contains(server)) {
                        first_critical = Some(first_critical.map_or(first, |known: usize| known.min(first)));
                    } else {
                        last_plain = Some(last_plain.map_or(first, |known: usize| known.max(first)));
                    }
                }
                if let (Some(critical), Some(plain)) = (first_critical, last_plain)
                    && critical < plain
                {
                    fault("critical servers move before others".into());
                }
            }
        }
        faults.extend(self.ways(&wave_of));
        faults
    }

    /// What there is after each wave: hosts for all that have moved, and the same reserve as in the end.
    fn ways(&self, wave_of: &BTreeMap<usize, usize>) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut installed: BTreeSet<&str> = BTreeSet::new();
        let last = self.plan.waves.len() - 1;
        for (at, wave) in self.plan.waves.iter().enumerate() {
            installed.extend(wave.new_hosts.iter().map(String::as_str));
            let has_moved = |server: &&String| {
                self.names
                    .get(server.as_str())
                    .and_then(|place| wave_of.get(place))
                    .is_some_and(|wave| *wave <= at)
            };
            let mut present = Vec::new();
            for host in &self.plan.hosts {
                let servers: Vec<String> = host.servers.iter().filter(has_moved).cloned().collect();
                if installed.contains(host.id.as_str()) {
                    present.push(PlannedHost { servers, ..host.clone() });
                } else if !servers.is_empty() {
                    faults.push(Fault::Breach(format!(
                        "{} needs {}, which is not there yet",
                        wave.name, host.id
                    )));
                } else if host.spare && self.plan.failures_absorbed > 0 {
                    faults.push(Fault::Breach(format!("{}: {} does not stand by yet", wave.name, host.id)));
                }
            }
            if self.setting.policy.reserve == Reserve::Shared && self.plan.failures_absorbed > 0 && at < last
            {
                let told = self.failures(&present, &wave.failover).into_iter();
                faults.extend(told.map(|fault| Fault::Breach(format!("after {}: {fault}", wave.name))));
            }
        }
        faults
    }
}
