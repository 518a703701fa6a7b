//! Whether a plan can be introduced as it says: each wave, and what there is after it.

use std::collections::{BTreeMap, BTreeSet};

use tabane_model::Reserve;

use super::{Fault, failures::State, judge::Judge};
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
            if self.plan.waves[..at].iter().any(|other| other.name == *name) {
                fault(format!("two waves are called {name}"));
            }
            // What is over had the hands that it needed, whatever there are now.
            let most = if wave.done { usize::MAX } else { limits.servers_max(at == 0) };
            // A pilot may be one group that is larger.
            let is_one = at == 0
                && wave.servers.len() <= limits.servers_max(false)
                && self.is_one_group(&wave.servers);
            if wave.servers.len() > most && !is_one {
                fault(format!("{name} has {} servers, more than there are hands for", wave.servers.len()));
            }
            for host in &wave.new_hosts {
                let is_known = self.plan.hosts.iter().any(|known| known.id == *host);
                if !is_known || !installed.insert(host) {
                    fault(format!("{name} asks for {host}, which is unknown or there already"));
                }
            }
        }
        let placed: BTreeSet<usize> =
            packing.hosts.iter().flat_map(|host| host.servers.iter().copied()).collect();
        for server in placed.iter().filter(|server| !wave_of.contains_key(server)) {
            fault(format!("{} is in no wave", self.server(*server)));
        }
        for server in wave_of.keys().filter(|server| !placed.contains(server)) {
            fault(format!("{} moves, and has no host", self.server(*server)));
        }
        if let Some(host) = self.plan.hosts.iter().find(|host| !installed.contains(host.id.as_str())) {
            fault(format!("{} is never installed", host.id));
        }
        match phases::groups(self.setting) {
            Err(error) => fault(error.to_string()),
            Ok(groups) => {
                let (mut last_plain, mut first_critical) = (None, None);
                for members in groups.iter() {
                    // Who has moved with a wave that is over waits for nobody.
                    let is_ahead = |wave: &usize| !self.plan.waves[*wave].done;
                    let waves = members.iter().filter_map(|server| wave_of.get(server).copied());
                    let mut waves = waves.filter(is_ahead);
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

    fn is_one_group(&self, servers: &[String]) -> bool {
        let places: BTreeSet<usize> = self.places(servers).into_iter().collect();
        phases::groups(self.setting).is_ok_and(|groups| {
            groups.iter().any(|members| places.iter().all(|place| members.binary_search(place).is_ok()))
        })
    }

    /// What there is after each wave: hosts for all that have moved, and the same reserve as in the end.
    fn ways(&self, wave_of: &BTreeMap<usize, usize>) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut installed: BTreeSet<&str> = BTreeSet::new();
        let last = self.plan.waves.len() - 1;
        for (at, wave) in self.plan.waves.iter().enumerate() {
            installed.extend(wave.new_hosts.iter().map(String::as_str));
            let has_moved = |server: &usize| wave_of.get(server).is_some_and(|wave| *wave <= at);
            let mut state = State::default();
            for host in &self.plan.hosts {
                let servers: Vec<usize> = self.places(&host.servers).into_iter().filter(has_moved).collect();
                match self.kind(host).filter(|_| installed.contains(host.id.as_str())) {
                    Some(kind) => state.add(&host.id, kind, servers),
                    None if !servers.is_empty() => {
                        let what = format!("{} needs {}, which is not there yet", wave.name, host.id);
                        faults.push(Fault::Breach(what));
                    }
                    None if host.spare && self.plan.failures_absorbed > 0 => {
                        let what = format!("{}: {} does not stand by yet", wave.name, host.id);
                        faults.push(Fault::Breach(what));
                    }
                    None => {}
                }
            }
            if self.setting.policy.reserve == Reserve::Shared && self.plan.failures_absorbed > 0 && at < last
            {
                let told = self.failures(&state, &wave.failover).into_iter();
                faults.extend(told.map(|fault| Fault::Breach(format!("after {}: {fault}", wave.name))));
            }
        }
        faults
    }
}
