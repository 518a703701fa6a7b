//! What would be different: a server on another host, or another plan.

use std::{collections::BTreeSet, path::Path, process::ExitCode};

use anyhow::{Result, bail};
use tabane_core::plan;
use tabane_model::{
    Name, TcoItem,
    planning::{ComparedCosts, PlanComparison, PlanFigures, Trial, TrialRequest},
};

use crate::{
    arguments::{Form, PlanCompare, PlanTry},
    commands::DONE,
    context::Context,
    output::{self, counted},
};

/// Ends with success only if every constraint and rule is kept.
pub async fn attempt(context: &Context, attempt: PlanTry) -> Result<ExitCode> {
    let request = TrialRequest { moves: attempt.moves };
    let trial = context.client().await?.try_plan(attempt.name.as_str(), &request).await?;
    match context.form()? {
        Form::Table => output::lines(&told(&trial))?,
        form => output::value(form, &trial)?,
    }
    Ok(if trial.fits { DONE } else { ExitCode::FAILURE })
}

fn told(trial: &Trial) -> Vec<String> {
    let mut lines = Vec::new();
    for host in &trial.hosts {
        let fits = if host.fits { "fits" } else { "does not fit" };
        lines.push(format!(
            "{} ({}): {}, {fits}",
            host.id,
            host.host_type,
            counted(host.servers.len(), "server")
        ));
        for resource in &host.resources {
            let share = |amount: u64| 100.0 * amount as f64 / f64::from(resource.capacity.max(1));
            lines.push(format!(
                "  {}: {:.0} % -> {:.0} % of {}, planned for {:.0} %",
                resource.resource,
                share(resource.peak_before),
                share(resource.peak),
                resource.capacity,
                share(resource.planned.into())
            ));
        }
        if let Some(risk) = host.overload_probability {
            let before =
                host.overload_probability_before.map_or("-".into(), |p| format!("{:.4} %", p * 100.0));
            lines.push(format!("  overloaded: {before} -> {:.4} % of the time", risk * 100.0));
        }
        lines.extend(host.breaches.iter().map(|breach| format!("  breach: {}", breach.text)));
    }
    lines.extend(trial.breaches.iter().map(|breach| format!("breach: {}", breach.text)));
    match trial.reserve_holds {
        Some(true) => {}
        Some(false) => {
            lines.push("breach: the failures that the plan promises are not absorbed any more".into())
        }
        None => lines.push("note: takeovers of a shared reserve are found when a plan is made".into()),
    }
    let cost = &trial.cost;
    lines.push(format!("cost of hosts: {} -> {}", cost.hosts_before, cost.hosts_after));
    if let (Some(before), Some(after), Some(currency)) =
        (cost.licences_before, cost.licences_after, &cost.currency)
    {
        lines.push(format!("licences: {before:.0} -> {after:.0} {currency}"));
    }
    lines
}

pub async fn compare(context: &Context, compare: &PlanCompare) -> Result<()> {
    let comparison = match (as_file(&compare.name), as_file(&compare.other)) {
        (Some(one), Some(other)) => plan::compare(
            (&compare.name, &super::read_plan(one)?),
            (&compare.other, &super::read_plan(other)?),
        ),
        (None, None) => {
            let [name, other] = [&compare.name, &compare.other].map(|name| name.parse::<Name>());
            let client = context.client().await?;
            client.compare_plans(name?.as_str(), other?.as_str()).await?
        }
        _ => bail!("one is a file and the other is not: `tabane plan document NAME --out FILE` makes it one"),
    };
    match context.form()? {
        Form::Table => output::lines(&compared(&comparison)),
        form => output::value(form, &comparison),
    }
}

/// Names have neither a folder nor an ending.
fn as_file(text: &str) -> Option<&Path> {
    text.contains(['/', '.']).then(|| Path::new(text))
}

pub fn compared(comparison: &PlanComparison) -> Vec<String> {
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let percent = |share: Option<f64>| dash(share.map(|share| format!("{:.4} %", share * 100.0)));
    let row = |what: &str, of: &dyn Fn(&PlanFigures) -> String| {
        vec![what.to_owned(), of(&comparison.a), of(&comparison.b)]
    };
    let mut rows = vec![
        row("hosts", &|f| f.hosts.to_string()),
        row("no fewer than", &|f| f.lower_bound_hosts.to_string()),
        row("spare hosts", &|f| f.spare_hosts.to_string()),
        row("without a host", &|f| f.unplaced.to_string()),
        row("cost of hosts", &|f| f.cost.to_string()),
        row("licences", &|f| dash(f.licences.map(|amount| format!("{amount:.0}")))),
        row("filled to", &|f| format!("{:.0} %", f.fill * 100.0)),
        row("overloaded", &|f| percent(f.predicted_overload_share)),
        row("waves", &|f| f.waves.to_string()),
        row("last wave on day", &|f| dash(f.last_day.map(|day| day.to_string()))),
    ];
    let both = [&comparison.a, &comparison.b];
    if both.iter().any(|figures| figures.last_date.is_some()) {
        rows.push(row("last window", &|f| dash(f.last_date.map(|date| date.to_string()))));
    }
    let costs = both.iter().filter_map(|figures| figures.costs.as_ref());
    let items: BTreeSet<TcoItem> =
        costs.flat_map(|costs| &costs.positions).filter(|item| item.after != 0.0).map(|p| p.item).collect();
    if both.iter().any(|figures| figures.costs.is_some()) {
        rows.push(row("cost over the years", &|f| {
            dash(f.costs.as_ref().map(|costs| {
                format!("{:.0} {} in {}", costs.after, costs.currency, counted(costs.years as usize, "year"))
            }))
        }));
    }
    for item in items {
        let name = format!("  {}", tabane_report::cost_item(tabane_report::Language::English, item));
        rows.push(row(&name, &|f| {
            let position = |costs: &ComparedCosts| {
                costs
                    .positions
                    .iter()
                    .find(|position| position.item == item)
                    .map(|p| format!("{:.0}", p.after))
            };
            dash(f.costs.as_ref().and_then(position))
        }));
    }
    let headers = ["", comparison.a.name.as_str(), comparison.b.name.as_str()];
    let mut lines: Vec<String> =
        output::table(&headers, rows.into_iter()).lines().map(String::from).collect();
    lines.push(format!(
        "{} elsewhere",
        match comparison.moved.len() {
            0 => "no server is".into(),
            1 => "1 server is".into(),
            more => format!("{more} servers are"),
        }
    ));
    let moved = comparison.moved.iter();
    lines.extend(moved.map(|m| format!("  {}: {} -> {}", m.server, dash(m.a.clone()), dash(m.b.clone()))));
    if !comparison.rescheduled.is_empty() {
        lines.push(format!("{} with another wave", counted(comparison.rescheduled.len(), "server")));
    }
    for server in &comparison.rescheduled {
        lines.push(format!("  {}: {} -> {}", server.server, dash(server.a.clone()), dash(server.b.clone())));
    }
    lines
}
