//! Whether servers have no host for the reason that the plan gives.

use tabane_model::{Lack, UnplacedCause, UnplacedServer};

use super::{Fault, judge::Judge};
use crate::plan::quality::measured;

impl Judge<'_> {
    pub fn causes(&self) -> Vec<Fault> {
        let servers = &self.setting.traces.servers;
        let place = |told: &UnplacedServer| servers.iter().position(|server| server.name == told.server);
        // Who is not known at all is told elsewhere.
        let known = self.plan.unplaced.iter().filter_map(|told| Some((told, place(told)?)));
        let wrong = known.filter(|(told, server)| !self.is_so(told, *server));
        wrong
            .map(|(told, _)| {
                Fault::Breach(format!("{} is without a host for another reason than it says", told.server))
            })
            .collect()
    }

    /// A plan of an early version has the reason in words alone.
    fn is_so(&self, told: &UnplacedServer, server: usize) -> bool {
        match &told.cause {
            Some(cause) => cause.to_string() == told.reason && self.is_cause(cause, server),
            None => self.possible(server).iter().any(|cause| cause.to_string() == told.reason),
        }
    }

    fn is_cause(&self, said: &UnplacedCause, server: usize) -> bool {
        let near = |is: f64, said: f64| (is - said).abs() <= 1e-9 * is.abs().max(1.0);
        self.possible(server).iter().any(|is| match (is, said) {
            (
                UnplacedCause::TooLittle { days, days_min },
                UnplacedCause::TooLittle { days: said, days_min: least },
            ) => near(*days, *said) && near(*days_min, *least),
            _ => is == said,
        })
    }

    /// The first reason that holds counts. It may be put in several ways if several types of hosts lack as little.
    fn possible(&self, server: usize) -> Vec<UnplacedCause> {
        let Self { setting, .. } = self;
        let (traces, policy) = (setting.traces, setting.policy);
        let name = traces.servers[server].name.as_str();
        if policy.exclude.iter().any(|pattern| pattern.matches(&traces.servers[server])) {
            return vec![UnplacedCause::Excluded];
        }
        if !traces.is_measured(server) {
            return vec![UnplacedCause::NotMeasured];
        }
        if let Some(refusal) = setting.refused.iter().find(|refusal| refusal.server == name) {
            return vec![UnplacedCause::NotSupported { refusal: refusal.clone() }];
        }
        let Some(place) = self.names.get(name).copied() else {
            let days = measured(traces, server).0;
            return vec![UnplacedCause::TooLittle { days, days_min: policy.days_min }];
        };
        let lacking = self.lacking(place);
        if lacking.iter().any(Vec::is_empty) {
            return vec![UnplacedCause::NoHostLeft];
        }
        let least = lacking.iter().map(Vec::len).min();
        let mut fewest: Vec<Vec<Lack>> =
            lacking.into_iter().filter(|lacks| Some(lacks.len()) == least).collect();
        if fewest.is_empty() {
            fewest.push(Vec::new());
        }
        fewest.into_iter().map(|lacking| UnplacedCause::TooLarge { lacking }).collect()
    }

    /// For each type of host that a server may go to, what that has too little of.
    fn lacking(&self, server: usize) -> Vec<Vec<Lack>> {
        let (problem, resources) = (&self.problem, &self.setting.resources);
        let of = |kind: usize| {
            let there = problem.kinds()[kind].capacity.iter().copied().enumerate();
            let lack = |(dimension, there): (usize, u32)| {
                let needed = problem.demand().of(server, dimension).iter().copied().max().unwrap_or(0);
                let resource = resources[dimension].name.to_owned();
                (needed > there).then_some(Lack { resource, needed, there })
            };
            there.filter_map(lack).collect()
        };
        (0..problem.kinds().len()).filter(|kind| problem.may(server, *kind)).map(of).collect()
    }
}
