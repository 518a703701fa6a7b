//! Judges a plan by what it says and by the traces.

mod attempt;
mod entries;
mod failures;
mod judge;
mod margin;
mod money;
mod read;
mod shortage;
mod statements;
mod steps;
mod unplaced;
mod waves;
mod windows;

use std::collections::HashMap;

use tabane_model::{HostTypes, PLAN_VERSION, Plan, Traces, support::TABANE};
use thiserror::Error;

use super::{PlanError, make::placed, risk::Risks, setting::Setting};
use crate::{
    pack::{check_bound, check_packing},
    support,
};
pub use attempt::{Bench, TrialError};
use judge::Judge;

/// What is wrong with a plan.
#[derive(Debug, Error)]
pub enum Fault {
    #[error("the plan is of version {0}; this program knows {PLAN_VERSION}")]
    Version(u32),
    #[error("{0}")]
    Assumption(String),
    #[error(transparent)]
    Traces(#[from] PlanError),
    #[error("{host} is of the unknown type {host_type}")]
    UnknownType { host: String, host_type: String },
    #[error("there is no trace of {0}")]
    UnknownServer(String),
    #[error("{0}")]
    Breach(String),
    #[error("the certificate of the lower bound cannot be read: {0}")]
    Certificate(String),
    #[error(
        "the failure of {promised} hosts is said to be absorbed; {found} can be, by what stands by for any of them"
    )]
    Spare { promised: u32, found: usize },
    #[error("the plan says that it costs {said}; its hosts cost {is}")]
    Cost { said: f64, is: f64 },
}

/// Everything that is wrong with a plan; nothing, if it keeps what it promises and its bound is proved.
pub fn verify(plan: &Plan, traces: &Traces) -> Vec<Fault> {
    if plan.version != PLAN_VERSION {
        return vec![Fault::Version(plan.version)];
    }
    let assumed = &plan.assumptions;
    let types = HostTypes { host_type: assumed.host_types.clone() };
    let mut faults: Vec<Fault> = types
        .faults()
        .0
        .into_iter()
        .chain(assumed.policy.faults().0)
        .chain(assumed.costs.iter().flat_map(|costs| costs.faults().0))
        .chain(entries::faults(plan, traces))
        .map(|fault| Fault::Assumption(format!("{}: {}", fault.field, fault.message)))
        .collect();
    if !(assumed.fill > 0.0 && assumed.fill <= assumed.policy.fill_max) {
        faults.push(Fault::Assumption(format!("a fill of {} is more than the policy's", assumed.fill)));
    }
    if !faults.is_empty() {
        return faults;
    }
    let setting =
        match Setting::new(traces, &types.host_type, &assumed.policy, &assumed.products, &assumed.support) {
            Ok(setting) => setting,
            Err(error) => return vec![error.into()],
        };
    let judge = match Judge::new(plan, &setting) {
        Ok(judge) => judge,
        Err(error) => return vec![error.into()],
    };
    let (packing, spares) = read::hosts(plan, traces, &judge.names, &mut faults);
    let breaches = check_packing(&judge.problem, &packing).into_iter();
    faults.extend(breaches.filter(|breach| !judge.may_be_left_out(breach)).map(|breach| judge.told(breach)));
    faults.extend(once_each(plan, traces));
    faults.extend(statements::statements(plan, &setting));
    faults.extend(judge.rules(&packing));
    faults.extend(judge.numbers(&packing, &spares));
    faults.extend(judge.peaks(&packing));
    let risks = Risks::new(&setting, judge.problem.measured()).map(|risks| risks.of(&packing));
    faults.extend(judge.probabilities(risks.as_deref()));
    faults.extend(judge.overcommitment(&packing));
    faults.extend(judge.large(&packing));
    faults.extend(judge.reserve(&packing, &spares));
    faults.extend(judge.waves(&packing));
    faults.extend(judge.steps());
    faults.extend(judge.windows());
    faults.extend(judge.causes());
    faults.extend(judge.shortage());
    match read::bound(plan, &setting) {
        Ok(bound) => {
            let breaches = check_bound(&judge.problem, &placed(&packing), &bound);
            faults.extend(breaches.into_iter().map(|breach| judge.told(breach)));
        }
        Err(what) => faults.push(Fault::Certificate(what)),
    }
    let price = |host: &tabane_model::PlannedHost| {
        types.host_type.iter().find(|kind| kind.name == host.host_type).map_or(0.0, |kind| kind.price)
    };
    let is: f64 = plan.hosts.iter().map(price).sum();
    // Where no entry is about any of them, there is nothing in the assumptions to tell that there was a matrix.
    let judged = match (plan.support.is_empty(), assumed.support.is_empty()) {
        (false, true) => support::judge(&traces.servers, &[], TABANE),
        _ => setting.judged.clone(),
    };
    if judged != plan.support {
        faults.push(Fault::Breach("support is not what the matrix says of these servers".into()));
    }
    let licences = setting.licensing.told(plan, traces, &setting.servers, assumed.policy.licence_years);
    if !money::same_licences(licences.as_ref(), plan.licences.as_ref()) {
        faults.push(Fault::Breach("the licences are not those that its hosts need".into()));
    }
    if let Some(fault) = money::other_tco(plan, traces) {
        faults.push(fault);
    }
    if (is - plan.cost).abs() > 1e-6 * is.abs().max(1.0) {
        faults.push(Fault::Cost { said: plan.cost, is });
    }
    // Only a plan that is one can be the cheapest, or is worth the time that judging its margin again takes.
    if faults.is_empty() {
        faults.extend(judge.exhaustion(&packing));
        faults.extend(margin::margin(plan, &setting, risks.as_deref().unwrap_or_default()));
    }
    faults
}

/// Each server of the traces has a host, or is told to have none.
fn once_each(plan: &Plan, traces: &Traces) -> Vec<Fault> {
    let placed = plan.hosts.iter().flat_map(|host| &host.servers);
    let mut times: HashMap<&str, usize> = HashMap::new();
    for name in placed.chain(plan.unplaced.iter().map(|server| &server.server)) {
        *times.entry(name).or_default() += 1;
    }
    let count = |name: &str| times.get(name).copied().unwrap_or(0);
    let wrong = traces.servers.iter().filter(|server| count(&server.name) != 1);
    wrong
        .map(|server| Fault::Breach(format!("{} is named {} times", server.name, count(&server.name))))
        .collect()
}
