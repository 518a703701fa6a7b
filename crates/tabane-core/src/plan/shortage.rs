//! Why servers have no host although each would fit one: as few servers, rules and types of hosts as were found to ask for
//! more than there is.
//!
//! ```text
//!  types of hosts whose numbers are limited ─┐
//!  servers that may go to no others ─────────┴─► a bound that is more than there is ─► leave out what it holds without
//! ```
//!
//! A bound is a proof. Where none is more than there is, no more is said than that no place was found.

use std::collections::BTreeSet;

use tabane_model::{ClashHosts, PlanNote, Proof};

use super::{make::told_step, setting::Setting, units::Units};
use crate::pack::{Certificate, DemandBuilder, Packing, Problem, Step, lower_bound};

/// Sets of types of hosts that are looked at, those of the fewest types first.
const SETS_MAX: usize = 16;

/// Nothing, if each server that fits a host has one.
pub(super) fn note(setting: &Setting<'_>, problem: &Problem, packing: &Packing) -> Option<PlanNote> {
    let left = packing.unplaced.iter().filter(|server| problem.fits_any(**server)).count();
    if left == 0 {
        return None;
    }
    let search = Search::new(setting, problem);
    Some(search.clash().unwrap_or(PlanNote::NoPlaceFound { servers: left as u32 }))
}

/// Rules that may be left out.
#[derive(Debug, Clone, PartialEq)]
struct Rules {
    /// Of the policy.
    pins: Vec<usize>,
    together: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq)]
struct Clash {
    servers: BTreeSet<usize>,
    rules: Rules,
    /// Types of hosts, each of which there are so many of.
    kinds: Vec<usize>,
    by: By,
}

/// How what is asked for is counted.
#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    /// In the resource's own unit, against all hosts together.
    Volume { dimension: usize, bin: usize },
    /// In hosts.
    Hosts(Certificate),
}

struct Search<'a> {
    setting: &'a Setting<'a>,
    problem: &'a Problem,
    /// Of each pin the servers, and the types of hosts that they may go to.
    pins: Vec<(Vec<usize>, Vec<usize>)>,
}

impl<'a> Search<'a> {
    fn new(setting: &'a Setting<'a>, problem: &'a Problem) -> Self {
        let sources = |at: &usize| &setting.traces.servers[setting.servers[*at]];
        let pins = setting.policy.pin.iter().map(|pin| {
            let meant = |at: &usize| pin.servers.iter().any(|pattern| pattern.matches(sources(at)));
            let named = |kind: &usize| pin.host_types.contains(&setting.hosts[*kind].name);
            (
                (0..setting.servers.len()).filter(meant).collect(),
                (0..setting.hosts.len()).filter(named).collect(),
            )
        });
        Self { setting, problem, pins: pins.collect() }
    }

    fn clash(&self) -> Option<PlanNote> {
        let all = Clash {
            servers: (0..self.setting.servers.len()).collect(),
            rules: Rules {
                pins: (0..self.pins.len()).collect(),
                together: (0..self.setting.rules.together.len()).collect(),
            },
            kinds: Vec::new(),
            by: By::Hosts(Certificate::Nothing),
        };
        let units = self.units(&all.servers, &all.rules);
        let limited = |kinds: &Vec<usize>| {
            !kinds.is_empty() && kinds.iter().all(|kind| self.problem.kinds()[*kind].count.is_some())
        };
        let mut sets: BTreeSet<(usize, Vec<usize>)> = BTreeSet::new();
        for (_, kinds) in units.iter().filter(|(_, kinds)| limited(kinds)) {
            sets.insert((kinds.len(), kinds.clone()));
        }
        let every: Vec<usize> = (0..self.setting.hosts.len()).collect();
        if limited(&every) {
            sets.insert((every.len(), every));
        }
        let found = sets.into_iter().take(SETS_MAX).find_map(|(_, kinds)| {
            let by = self.proof(&units, &kinds)?;
            Some(Clash { kinds, by, ..all.clone() })
        })?;
        self.told(&self.smallest(found, &units))
    }

    /// Servers that stay together, each lot with the types of hosts that may carry it. Those that none may are left out.
    fn units(&self, servers: &BTreeSet<usize>, rules: &Rules) -> Vec<(Vec<usize>, Vec<usize>)> {
        let groups: Vec<(String, Vec<usize>)> = rules
            .together
            .iter()
            .map(|at| &self.setting.rules.together[*at])
            .map(|(name, members)| {
                (name.clone(), members.iter().copied().filter(|at| servers.contains(at)).collect())
            })
            .collect();
        let units = Units::new(self.setting.servers.len(), &groups);
        let meant = units.iter().filter(|members| servers.contains(&members[0]));
        let reaching = meant.map(|members| (members.clone(), self.reach(members, &rules.pins)));
        reaching.filter(|(_, kinds)| !kinds.is_empty()).collect()
    }

    fn reach(&self, members: &[usize], pins: &[usize]) -> Vec<usize> {
        let may = |kind: &usize| {
            members.iter().all(|server| {
                self.setting.licensing.may(*server, *kind)
                    && pins
                        .iter()
                        .map(|pin| &self.pins[*pin])
                        .all(|(pinned, kinds)| pinned.binary_search(server).is_err() || kinds.contains(kind))
            })
        };
        (0..self.setting.hosts.len()).filter(|kind| self.carries(*kind, members)).filter(may).collect()
    }

    fn carries(&self, kind: usize, members: &[usize]) -> bool {
        let demand = self.problem.demand();
        let capacity = self.problem.kinds()[kind].capacity.iter().copied().enumerate();
        capacity.into_iter().all(|(dimension, most)| match members {
            [one] => demand.peak(*one, dimension) <= most,
            _ => demand.sum(members.iter().copied(), dimension).iter().all(|sum| *sum <= u64::from(most)),
        })
    }

    fn hosts(&self, kinds: &[usize]) -> u64 {
        kinds.iter().map(|kind| self.problem.kinds()[*kind].count.unwrap_or(usize::MAX) as u64).sum()
    }

    /// What all hosts of these types have together.
    fn volume(&self, kinds: &[usize], dimension: usize) -> u64 {
        let of = |kind: &usize| {
            let kind = &self.problem.kinds()[*kind];
            (kind.count.unwrap_or(usize::MAX) as u64).saturating_mul(kind.capacity[dimension].into())
        };
        kinds.iter().map(of).fold(0, u64::saturating_add)
    }

    /// A bound by which those who may go to no other types need more than there is.
    fn proof(&self, units: &[(Vec<usize>, Vec<usize>)], kinds: &[usize]) -> Option<By> {
        let within = units.iter().filter(|(_, reach)| reach.iter().all(|kind| kinds.contains(kind)));
        let units: Vec<&Vec<usize>> = within.map(|(members, _)| members).collect();
        let demand = self.problem.demand();
        let fullest = (0..demand.dimensions()).find_map(|dimension| {
            let there = self.volume(kinds, dimension);
            let sums = demand.sum(units.iter().flat_map(|members| members.iter().copied()), dimension);
            let (bin, most) = sums.into_iter().enumerate().max_by_key(|(_, sum)| *sum)?;
            (most > there).then_some(By::Volume { dimension, bin })
        });
        if fullest.is_some() || units.is_empty() {
            return fullest;
        }
        let bins: Vec<usize> = (0..demand.dimensions()).map(|dimension| demand.bins(dimension)).collect();
        let mut builder = DemandBuilder::new(&bins, units.len());
        for members in &units {
            let rows = (0..bins.len()).map(|dimension| -> Vec<u32> {
                let sums = demand.sum(members.iter().copied(), dimension);
                sums.into_iter().map(|sum| u32::try_from(sum).unwrap_or(u32::MAX)).collect()
            });
            let rows: Vec<Vec<u32>> = rows.collect();
            builder.push(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
        let of = kinds.iter().map(|kind| self.problem.kinds()[*kind].clone()).collect();
        let mut part = Problem::new(builder.finish(), of).ok()?;
        for (_, group) in &self.setting.rules.apart {
            let has = |at: &usize| units[*at].iter().any(|server| group.contains(server));
            part.keep_apart(&(0..units.len()).filter(has).collect::<Vec<_>>());
        }
        let bound = lower_bound(&part, &(0..units.len()).collect::<Vec<_>>());
        (bound.hosts as u64 > self.hosts(kinds)).then_some(By::Hosts(bound.hosts_by))
    }

    /// What is asked for and what there is, by the clash's own way to count.
    fn measure(&self, clash: &Clash, units: &[(Vec<usize>, Vec<usize>)]) -> (u64, u64) {
        let within = units.iter().filter(|(_, reach)| reach.iter().all(|kind| clash.kinds.contains(kind)));
        let counts = within.map(|(members, _)| self.count(clash, members));
        let needed = counts.fold(0, u64::saturating_add);
        match clash.by {
            By::Volume { dimension, .. } => (needed, self.volume(&clash.kinds, dimension)),
            By::Hosts(Certificate::Moment { dimension, step, .. }) => {
                (needed.div_ceil(step.whole(self.largest(&clash.kinds, dimension))), self.hosts(&clash.kinds))
            }
            By::Hosts(_) => (needed, self.hosts(&clash.kinds)),
        }
    }

    /// What a unit adds, in the unit of the way to count.
    fn count(&self, clash: &Clash, members: &[usize]) -> u64 {
        let size = |dimension: usize, bin: usize| -> u64 {
            members.iter().map(|s| u64::from(self.problem.demand().of(*s, dimension)[bin])).sum()
        };
        match clash.by {
            By::Volume { dimension, bin } => size(dimension, bin),
            By::Hosts(Certificate::Moment { dimension, bin, step }) => {
                let size = u32::try_from(size(dimension, bin)).unwrap_or(u32::MAX);
                step.count(size, self.largest(&clash.kinds, dimension))
            }
            By::Hosts(Certificate::Apart { group }) => {
                let group = &self.setting.rules.apart[group as usize].1;
                members.iter().filter(|server| group.contains(server)).count() as u64
            }
            By::Hosts(Certificate::Nothing) => 0,
        }
    }

    fn largest(&self, kinds: &[usize], dimension: usize) -> u32 {
        kinds.iter().map(|kind| self.problem.kinds()[*kind].capacity[dimension]).max().unwrap_or(0).max(1)
    }

    fn clashes(&self, clash: &Clash) -> bool {
        let (needed, there) = self.measure(clash, &self.units(&clash.servers, &clash.rules));
        needed > there
    }

    /// Leaves out whatever the clash remains one without, the smallest servers first.
    fn smallest(&self, mut clash: Clash, units: &[(Vec<usize>, Vec<usize>)]) -> Clash {
        let (needed, there) = self.measure(&clash, units);
        // What a unit adds is known, so those that may go are seen at once.
        let whole = match clash.by {
            By::Hosts(Certificate::Moment { dimension, step, .. }) => {
                step.whole(self.largest(&clash.kinds, dimension))
            }
            _ => 1,
        };
        let mut sizes: Vec<(u64, &Vec<usize>)> =
            units.iter().map(|(members, _)| (self.count(&clash, members), members)).collect();
        sizes.sort();
        let within = |members: &Vec<usize>| {
            units
                .iter()
                .any(|(known, reach)| known == members && reach.iter().all(|kind| clash.kinds.contains(kind)))
        };
        let (kept, gone): (Vec<_>, Vec<_>) = sizes.into_iter().partition(|(_, members)| within(members));
        let mut left: u64 = kept.iter().map(|(count, _)| *count).fold(0, u64::saturating_add);
        debug_assert!(left.div_ceil(whole) == needed && needed > there);
        let mut servers: BTreeSet<usize> =
            kept.iter().flat_map(|(_, members)| members.iter().copied()).collect();
        debug_assert!(gone.iter().all(|(_, members)| members.iter().all(|at| !servers.contains(at))));
        for (count, members) in &kept {
            if (left - count).div_ceil(whole) > there {
                left -= count;
                servers.retain(|server| !members.contains(server));
            }
        }
        clash.servers = servers;
        // Rules and members of groups, one after the other, until nothing can go.
        loop {
            let before = clash.clone();
            for pin in before.rules.pins.iter().copied() {
                let mut without = clash.clone();
                without.rules.pins.retain(|known| *known != pin);
                clash = if self.clashes(&without) { without } else { clash };
            }
            for group in before.rules.together.iter().copied() {
                let mut without = clash.clone();
                without.rules.together.retain(|known| *known != group);
                clash = if self.clashes(&without) { without } else { clash };
            }
            for server in &before.servers {
                let mut without = clash.clone();
                without.servers.remove(server);
                clash = if self.clashes(&without) { without } else { clash };
            }
            if clash == before {
                return clash;
            }
        }
    }

    fn told(&self, clash: &Clash) -> Option<PlanNote> {
        let (needed, there) = self.measure(clash, &self.units(&clash.servers, &clash.rules));
        let proof = |dimension: usize, bin: usize, step: Step| {
            let (function, parameter) = told_step(step);
            let resource = self.setting.resources[dimension].name.to_owned();
            Proof { resource, bin, function: function.into(), parameter }
        };
        let names = self.setting.names();
        let rules = &self.setting.rules;
        let pins = clash.rules.pins.iter().map(|at| format!("pin[{at}]"));
        let together =
            clash.rules.together.iter().map(|at| format!("keep_together {}", rules.together[*at].0));
        let (apart, proof) = match clash.by {
            By::Volume { dimension, bin } => {
                (None, Proof { function: "all".into(), ..proof(dimension, bin, Step::Volume) })
            }
            By::Hosts(Certificate::Moment { dimension, bin, step }) => (None, proof(dimension, bin, step)),
            By::Hosts(Certificate::Apart { group }) => {
                let resource = rules.apart[group as usize].0.clone();
                let apart = format!("keep_apart {resource}");
                (Some(apart), Proof { resource, bin: 0, function: "apart".into(), parameter: None })
            }
            By::Hosts(Certificate::Nothing) => return None,
        };
        let host = |kind: &usize| ClashHosts {
            host_type: self.setting.hosts[*kind].name.clone(),
            count: self.setting.hosts[*kind].count.unwrap_or(0),
        };
        Some(PlanNote::Clash {
            servers: clash.servers.iter().map(|at| names[*at].to_owned()).collect(),
            rules: apart.into_iter().chain(pins).chain(together).collect(),
            hosts: clash.kinds.iter().map(host).collect(),
            proof,
            needed,
            there,
        })
    }
}
