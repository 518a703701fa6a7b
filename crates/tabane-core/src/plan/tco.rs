//! What it costs to go on as it is, and what the plan costs, over years.
//!
//! Amounts are those of the costs that were stated; nothing is assumed for what was not. Servers without a host go on as they
//! are, and cost what they cost before. No interest and no inflation: who discounts has the sums of each year.

use std::collections::HashSet;

use tabane_model::{
    Costs, HostType, Plan, PlanLicences, ProductLicences, Source, Tco, TcoItem, TcoPosition, TcoYear, Traces,
};

use super::PlanError;

const HOURS_YEAR: f64 = 8_766.0;
const MONTHS_YEAR: f64 = 12.0;
const WATTS_MAX: f64 = 1e6;

/// What something costs at once, and each year.
#[derive(Debug, Clone, Copy, Default)]
struct Flow {
    once: f64,
    year: f64,
}

fn once(once: f64) -> Flow {
    Flow { once, year: 0.0 }
}

fn yearly(year: f64) -> Flow {
    Flow { once: 0.0, year }
}

/// Amounts are added up, so they have to be of one currency.
pub(super) fn one_currency(costs: &Costs, licences: Option<&str>) -> Result<(), PlanError> {
    match licences.filter(|currency| *currency != costs.currency) {
        Some(other) => Err(PlanError::Currencies(costs.currency.clone(), other.into())),
        None => Ok(()),
    }
}

/// Before and after; `None` if nothing was said of costs.
pub(super) fn tco(plan: &Plan, traces: &Traces) -> Result<Option<Tco>, PlanError> {
    let Some(costs) = &plan.assumptions.costs else { return Ok(None) };
    one_currency(costs, plan.licences.as_ref().map(|licences| licences.currency.as_str()))?;
    let names: HashSet<&str> = plan.hosts.iter().flat_map(|host| &host.servers).map(String::as_str).collect();
    let placed = |server: &&Source| names.contains(server.name.as_str());
    // What nobody knows anything of is a server, too.
    let (moving, staying): (Vec<&Source>, Vec<&Source>) = traces.servers.iter().partition(|s| placed(s));
    let all: Vec<&Source> = traces.servers.iter().collect();
    let (mut before, mut after) = (as_it_is(costs, &all), as_it_is(costs, &staying));
    if let Some(licences) = &plan.licences {
        add_software(&mut before, licences, |product| product.before);
        add_software(&mut after, licences, |product| product.after);
    }
    for (sum, (item, flow)) in after.iter_mut().zip(on_hosts(plan, costs, &moving)) {
        debug_assert_eq!(sum.0, item);
        sum.1.once += flow.once;
        sum.1.year += flow.year;
    }
    let years = f64::from(costs.years);
    let over = |flow: Flow| flow.once + flow.year * years;
    let positions: Vec<TcoPosition> = before
        .iter()
        .zip(&after)
        .map(|((item, before), (_, after))| TcoPosition {
            item: *item,
            before: over(*before),
            after: over(*after),
        })
        .collect();
    let sum = |flows: &[(TcoItem, Flow)]| {
        flows.iter().fold(Flow::default(), |sum, (_, flow)| Flow {
            once: sum.once + flow.once,
            year: sum.year + flow.year,
        })
    };
    let (before, after) = (sum(&before), sum(&after));
    let at = |flow: Flow, year: u32| flow.once + flow.year * f64::from(year);
    let saved = before.year - after.year;
    let break_even = (after.once - before.once).max(0.0) / saved * MONTHS_YEAR;
    Ok(Some(Tco {
        currency: costs.currency.clone(),
        years: costs.years,
        before: over(before),
        after: over(after),
        cumulative: (0..=costs.years)
            .map(|year| TcoYear { year, before: at(before, year), after: at(after, year) })
            .collect(),
        break_even_months: (saved > 0.0 && break_even <= years * MONTHS_YEAR).then_some(break_even),
        not_stated: positions.iter().filter(|p| p.before == 0.0 && p.after == 0.0).map(|p| p.item).collect(),
        positions,
    }))
}

/// What is bought once counts once; what is paid all the time as much each year.
fn add_software(
    flows: &mut [(TcoItem, Flow)],
    licences: &PlanLicences,
    of: impl Fn(&ProductLicences) -> f64,
) {
    for (_, flow) in flows.iter_mut().filter(|(item, _)| *item == TcoItem::Software) {
        for product in &licences.products {
            if product.once {
                flow.once += of(product);
            } else {
                flow.year += of(product) / f64::from(licences.years.max(1));
            }
        }
    }
}

fn watts(server: &Source, costs: &Costs) -> f64 {
    let label = server.labels.iter().find(|(name, _)| name.eq_ignore_ascii_case("watts"));
    let stated = label.and_then(|(_, value)| value.trim().parse::<f64>().ok());
    stated.filter(|watts| (0.0..=WATTS_MAX).contains(watts)).unwrap_or(costs.before.watts)
}

/// Energy of a year, for servers and for what cools them.
fn energy(costs: &Costs, watts: f64) -> (f64, f64) {
    let power = watts / 1_000.0 * HOURS_YEAR * costs.rates.energy_kwh;
    (power, power * (costs.rates.pue - 1.0).max(0.0))
}

fn as_it_is(costs: &Costs, servers: &[&Source]) -> Vec<(TcoItem, Flow)> {
    let (each, rates, count) = (&costs.before, &costs.rates, servers.len() as f64);
    let (power, cooling) = energy(costs, servers.iter().map(|server| watts(server, costs)).sum());
    let replaced = if each.replacement_years > 0.0 { each.replacement / each.replacement_years } else { 0.0 };
    let flow = |item: TcoItem| match item {
        TcoItem::Hardware => yearly(replaced * count),
        TcoItem::Maintenance => yearly(each.maintenance_year * count),
        TcoItem::Power => yearly(power),
        TcoItem::Cooling => yearly(cooling),
        TcoItem::Space => yearly(each.rack_units * rates.rack_unit_year * count),
        TcoItem::Network => yearly(each.network_ports * rates.network_port_year * count),
        TcoItem::Storage => yearly(each.storage_year * count),
        TcoItem::Software => yearly(each.software_year * count),
        TcoItem::Support => yearly(each.support_year * count),
        TcoItem::Administration => yearly(each.admin_hours_year * rates.labour_hour * count),
        TcoItem::Migration | TcoItem::DoubleRunning | TcoItem::Training | TcoItem::Disposal => {
            Flow::default()
        }
    };
    ITEMS.map(|item| (item, flow(item))).to_vec()
}

fn on_hosts(plan: &Plan, costs: &Costs, moving: &[&Source]) -> Vec<(TcoItem, Flow)> {
    let (each, rates, servers) = (&costs.after, &costs.rates, moving.len() as f64);
    let types = &plan.assumptions.host_types;
    let kinds: Vec<&HostType> =
        plan.hosts.iter().filter_map(|host| types.iter().find(|kind| kind.name == host.host_type)).collect();
    let hosts = kinds.len() as f64;
    let (power, cooling) = energy(costs, kinds.iter().map(|kind| kind.watts).sum());
    let hours = plan.assumptions.policy.phases.labour_hours_per_server;
    // Whatever runs costs the same while both run; what is bought or done by hand does not.
    let running: f64 = as_it_is(costs, moving)
        .iter()
        .filter(|(item, _)| !matches!(item, TcoItem::Hardware | TcoItem::Administration))
        .map(|(_, flow)| flow.year)
        .sum();
    let months = costs.migration.double_running_months;
    let flow = |item: TcoItem| match item {
        TcoItem::Hardware => once(kinds.iter().map(|kind| kind.price).sum()),
        TcoItem::Maintenance => yearly(each.host_maintenance_year * hosts),
        TcoItem::Power => yearly(power),
        TcoItem::Cooling => yearly(cooling),
        TcoItem::Space => yearly(each.host_rack_units * rates.rack_unit_year * hosts),
        TcoItem::Network => {
            Flow { once: each.network, year: each.host_network_ports * rates.network_port_year * hosts }
        }
        TcoItem::Storage => Flow { once: each.storage, year: each.storage_year },
        TcoItem::Software => yearly(each.host_software_year * hosts + each.server_software_year * servers),
        TcoItem::Support => yearly(each.host_support_year * hosts + each.server_support_year * servers),
        TcoItem::Administration => yearly(
            (each.host_admin_hours_year * hosts + each.server_admin_hours_year * servers) * rates.labour_hour,
        ),
        TcoItem::Migration => once(hours * rates.labour_hour * servers + costs.migration.project),
        TcoItem::DoubleRunning => once(running * months / MONTHS_YEAR),
        TcoItem::Training => once(costs.migration.training),
        TcoItem::Disposal => once(costs.migration.disposal * servers),
    };
    ITEMS.map(|item| (item, flow(item))).to_vec()
}

const ITEMS: [TcoItem; 14] = [
    TcoItem::Hardware,
    TcoItem::Maintenance,
    TcoItem::Power,
    TcoItem::Cooling,
    TcoItem::Space,
    TcoItem::Network,
    TcoItem::Storage,
    TcoItem::Software,
    TcoItem::Support,
    TcoItem::Administration,
    TcoItem::Migration,
    TcoItem::DoubleRunning,
    TcoItem::Training,
    TcoItem::Disposal,
];
