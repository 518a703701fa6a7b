//! Servers that stay together are packed as one.
//!
//! The packer sees units; everything else (bounds, reserves, probabilities, the checker) sees servers.

use std::collections::HashMap;

use super::rules::Rules;
use crate::pack::{Demand, DemandBuilder, Packed, Packing};

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Units(Vec<Vec<usize>>);

impl Units {
    /// Groups that share a server are one.
    pub fn new<'a>(servers: usize, groups: impl IntoIterator<Item = &'a (String, Vec<usize>)>) -> Self {
        let mut unit: Vec<usize> = (0..servers).collect();
        for (_, members) in groups {
            let Some(least) = members.iter().map(|server| unit[*server]).min() else { continue };
            let merged: Vec<usize> = members.iter().map(|server| unit[*server]).collect();
            unit.iter_mut().filter(|unit| merged.contains(unit)).for_each(|unit| *unit = least);
        }
        let mut units = vec![Vec::new(); servers];
        unit.into_iter().enumerate().for_each(|(server, unit)| units[unit].push(server));
        units.retain(|members: &Vec<usize>| !members.is_empty());
        Self(units)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Vec<usize>> {
        self.0.iter()
    }

    /// In which unit servers of these names are.
    pub fn by_name<'a>(&self, names: &[&'a str]) -> HashMap<&'a str, usize> {
        let all = self.0.iter().enumerate();
        all.flat_map(|(at, members)| members.iter().map(move |server| (names[*server], at))).collect()
    }

    /// What units need, from what servers need.
    pub fn demand(&self, demand: &Demand) -> Demand {
        let bins: Vec<usize> = (0..demand.dimensions()).map(|dimension| demand.bins(dimension)).collect();
        let mut builder = DemandBuilder::new(&bins, self.0.len());
        for members in &self.0 {
            let sum = |dimension: usize| -> Vec<u32> {
                let sums = demand.sum(members.iter().copied(), dimension).into_iter();
                sums.map(|sum| u32::try_from(sum).unwrap_or(u32::MAX)).collect()
            };
            let rows: Vec<Vec<u32>> = (0..demand.dimensions()).map(sum).collect();
            builder.push(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
        builder.finish()
    }

    /// The rules, of units in place of servers.
    pub fn rules(&self, rules: &Rules) -> Rules {
        let units = |members: &[usize]| -> Vec<usize> {
            let has = |at: &usize| self.0[*at].iter().any(|server| members.contains(server));
            (0..self.0.len()).filter(has).collect()
        };
        let groups = |groups: &[(String, Vec<usize>)]| {
            groups.iter().map(|(name, members)| (name.clone(), units(members))).collect()
        };
        let mut allowed = std::collections::BTreeMap::new();
        for (at, members) in self.0.iter().enumerate() {
            let mut limits = members.iter().filter_map(|server| rules.allowed.get(server));
            if let Some(first) = limits.next() {
                let both = limits.fold(first.clone(), |mut left, kinds| {
                    left.retain(|kind| kinds.contains(kind));
                    left
                });
                allowed.insert(at, both);
            }
        }
        Rules { apart: groups(&rules.apart), spread: groups(&rules.spread), allowed, ..Rules::default() }
    }

    /// A packing of servers from one of units.
    pub fn expand(&self, packing: &Packing) -> Packing {
        let of = |units: &[usize]| units.iter().flat_map(|unit| self.0[*unit].iter().copied()).collect();
        let hosts = packing.hosts.iter().map(|host| Packed { kind: host.kind, servers: of(&host.servers) });
        Packing { hosts: hosts.collect(), unplaced: of(&packing.unplaced) }
    }

    /// A packing of units from one of servers that keeps them together.
    pub fn collect(&self, packing: &Packing) -> Packing {
        let mut unit_of = HashMap::new();
        for (at, members) in self.0.iter().enumerate() {
            unit_of.extend(members.iter().map(|server| (*server, at)));
        }
        let units = |servers: &[usize]| {
            let mut units: Vec<usize> = servers.iter().map(|server| unit_of[server]).collect();
            units.sort_unstable();
            units.dedup();
            units
        };
        let hosts =
            packing.hosts.iter().map(|host| Packed { kind: host.kind, servers: units(&host.servers) });
        Packing { hosts: hosts.collect(), unplaced: units(&packing.unplaced) }
    }
}
