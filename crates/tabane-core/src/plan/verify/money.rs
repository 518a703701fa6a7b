//! Whether amounts are those that come of a plan's assumptions.

use tabane_model::{Plan, PlanLicences, Traces};

use super::{Fault, judge::Judge};
use crate::{
    pack::Packing,
    plan::{make::EXHAUST_TURNS_MAX, tco::tco},
};

/// What was written and read may differ in its last digits, and no more.
fn near(is: f64, said: f64) -> bool {
    (is - said).abs() <= 1e-6 * is.abs().max(1.0)
}

impl Judge<'_> {
    /// Whether there is a cheaper way to place the servers, where it is said that there is none. All are tried again.
    pub fn exhaustion(&self, packing: &Packing) -> Option<Fault> {
        let said = self.plan.lower_bound.exhausted?;
        let in_use: Vec<_> = self.plan.hosts.iter().filter(|host| !host.spare).collect();
        let prices =
            in_use.iter().filter_map(|host| self.kind(host)).map(|kind| self.setting.hosts[kind].price);
        // Those of hosts that stand by do not depend on who is placed where.
        let bought = self.plan.licences.iter().flat_map(|licences| &licences.products);
        let bought = bought.flat_map(|product| &product.hosts);
        let licences = bought.filter(|bought| in_use.iter().any(|host| host.id == bought.host));
        let is = prices.sum::<f64>() + licences.map(|bought| bought.cost).sum::<f64>();
        let wrong =
            |what: String| Some(Fault::Breach(format!("it is said that no placement costs less; {what}")));
        if !near(is, said.cost) {
            return wrong(format!("this one costs {is}, not {}", said.cost));
        }
        let fill = self.plan.assumptions.fill;
        let packing = packing.clone();
        match self.setting.exhaust(&self.problem, packing, fill, 2 * EXHAUST_TURNS_MAX, &|_, _| false) {
            Ok((_, Some(least))) if near(least.cost, is) => None,
            Ok((_, Some(least))) => wrong(format!("one costs {}", least.cost)),
            Ok((_, None)) => wrong("that takes longer to see than is allowed".into()),
            Err(error) => Some(error.into()),
        }
    }
}

/// Costs before and after that do not come of what they are said to come of.
pub(super) fn other_tco(plan: &Plan, traces: &Traces) -> Option<Fault> {
    let is = match tco(plan, traces) {
        Ok(is) => is,
        Err(error) => return Some(error.into()),
    };
    let said = plan.tco.as_ref();
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
pub(super) fn same_licences(is: Option<&PlanLicences>, said: Option<&PlanLicences>) -> bool {
    let (Some(is), Some(said)) = (is, said) else { return is.is_none() && said.is_none() };
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
