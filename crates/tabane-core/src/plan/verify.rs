//! Judges a plan by what it says and by the traces.

mod failures;
mod judge;
mod read;
mod statements;
mod waves;

use std::collections::HashMap;

use tabane_model::{HostTypes, PLAN_VERSION, Plan, PlanLicences, Traces, support::TABANE};
use thiserror::Error;

use super::{PlanError, make::placed, setting::Setting, tco::tco};
use crate::{
    pack::{check_bound, check_packing},
    support,
};
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
    faults.extend(judge.reserve(&packing, &spares));
    faults.extend(judge.waves(&packing));
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
    if !same_licences(licences.as_ref(), plan.licences.as_ref()) {
        faults.push(Fault::Breach("the licences are not those that its hosts need".into()));
    }
    if let Some(fault) = other_tco(plan, traces) {
        faults.push(fault);
    }
    if (is - plan.cost).abs() > 1e-6 * is.abs().max(1.0) {
        faults.push(Fault::Cost { said: plan.cost, is });
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

/// Costs before and after that do not come of what they are said to come of.
fn other_tco(plan: &Plan, traces: &Traces) -> Option<Fault> {
    let is = match tco(plan, traces) {
        Ok(is) => is,
        Err(error) => return Some(error.into()),
    };
    let said = plan.tco.as_ref();
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(1.0);
    let same = match (&is, said) {
        (None, None) => true,
        (Some(is), Some(said)) => {
            near(is.before, said.before)
                && near(is.after, said.after)
                && is.positions.len() == said.positions.len()
                && is.positions.iter().zip(&said.positions).all(|(is, said)| {
                    is.item == said.item && near(is.before, said.before) && near(is.after, said.after)
                })
                && is.cumulative.len() == said.cumulative.len()
                && is.cumulative.iter().zip(&said.cumulative).all(|(is, said)| {
                    is.year == said.year && near(is.before, said.before) && near(is.after, said.after)
                })
                && is.break_even_months.is_some() == said.break_even_months.is_some()
                && near(is.break_even_months.unwrap_or(0.0), said.break_even_months.unwrap_or(0.0))
                && (&is.currency, is.years, &is.not_stated) == (&said.currency, said.years, &said.not_stated)
        }
        _ => false,
    };
    (!same).then(|| Fault::Breach("the costs before and after are not those of its assumptions".into()))
}

/// Whether licences are what they are said to be: packs exactly, money but for its last digits.
fn same_licences(is: Option<&PlanLicences>, said: Option<&PlanLicences>) -> bool {
    let (Some(is), Some(said)) = (is, said) else { return is.is_none() && said.is_none() };
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(1.0);
    (&is.currency, is.years) == (&said.currency, said.years)
        && near(is.before, said.before)
        && near(is.after, said.after)
        && near(is.lower_bound, said.lower_bound)
        && is.products.len() == said.products.len()
        && is.products.iter().zip(&said.products).all(|(is, said)| {
            (&is.product, is.servers, is.once) == (&said.product, said.servers, said.once)
                && [
                    (is.before, said.before),
                    (is.after, said.after),
                    (is.contract, said.contract),
                    (is.policy, said.policy),
                    (is.lower_bound, said.lower_bound),
                ]
                .into_iter()
                .all(|(is, said)| near(is, said))
                && is.hosts.len() == said.hosts.len()
                && is.hosts.iter().zip(&said.hosts).all(|(is, said)| {
                    is.host == said.host && is.bought == said.bought && near(is.cost, said.cost)
                })
        })
}
