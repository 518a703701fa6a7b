//! A plan goes on after some waves.

use std::{
    collections::BTreeSet,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use jiff::Timestamp;
use tabane_core::plan::{self, Request};
use tabane_model::{HostTypes, Plan};

use crate::{
    arguments::{Form, PlanReplan},
    commands::{DONE, plan::changes},
    output, progress,
};

pub fn run(form: Form, arguments: &PlanReplan) -> Result<ExitCode> {
    let before = super::read_plan(&arguments.plan)?;
    let done = waves_done(&before, arguments.done.as_deref())?;
    let assumed = &before.assumptions;
    let hosts = match &arguments.hosts {
        Some(path) => super::read_toml(path)?,
        None => HostTypes { host_type: assumed.host_types.clone() },
    };
    super::sound(arguments.hosts.as_deref().unwrap_or(&arguments.plan), hosts.faults())?;
    let policy = match &arguments.policy {
        Some(path) => {
            let mut policy = super::policy::read(Some(path), &[])?;
            // The plan's hosts are rated by this table, and servers have to be by the same.
            if policy.cpu.is_empty() {
                policy.cpu.clone_from(&assumed.policy.cpu);
            }
            policy
        }
        None => assumed.policy.clone(),
    };
    super::sound(arguments.policy.as_deref().unwrap_or(&arguments.plan), policy.faults())?;

    let bar = progress::bar("replan");
    bar.set_message("reading the traces");
    let mut traces = super::read_traces(&arguments.traces)?;
    if let (Some(measured), Some(combined)) = (&arguments.measured, &arguments.combined) {
        let moved = plan::moved(&before, done, &traces);
        traces = plan::since(&traces, &super::read_traces(measured)?, &moved)?;
        // Written first: a plan without the loads that it was made from cannot be proved.
        tabane_survey::write_folder(&traces, combined)?;
    }
    bar.set_message(format!("{} servers", traces.servers.len()));
    let request = Request {
        hosts: &hosts,
        policy: &policy,
        costs: assumed.costs.as_ref(),
        products: &assumed.products,
        support: &assumed.support,
    };
    let limit = Duration::from_secs(u64::from(policy.time_limit_s)).max(plan::FINISH_MIN);
    let began = Instant::now();
    let give_up = || began.elapsed() >= limit;
    let after = plan::replan(&before, done, &traces, request, Timestamp::now(), &give_up)?;
    bar.finish_and_clear();
    super::write(&arguments.out, &after)?;
    match form {
        Form::Table => output::lines(&told(&before, &after, done))?,
        form => output::value(form, &after)?,
    }
    Ok(DONE)
}

fn waves_done(plan: &Plan, done: Option<&str>) -> Result<usize> {
    let Some(done) = done else { return Ok(0) };
    let Some(at) = plan.waves.iter().position(|wave| wave.name == done) else {
        let there: Vec<&str> = plan.waves.iter().map(|wave| wave.name.as_str()).collect();
        bail!("there is no wave {done}; there are {}", there.join(", "))
    };
    Ok(at + 1)
}

fn told(before: &Plan, after: &Plan, done: usize) -> Vec<String> {
    let comparison = plan::compare(("before", before), ("now", after));
    let moved: BTreeSet<&String> = before.waves[..done].iter().flat_map(|wave| &wave.servers).collect();
    let mut lines = changes::compared(&comparison);
    let again: Vec<&str> = comparison
        .moved
        .iter()
        .filter(|change| moved.contains(&change.server) && change.b.is_some())
        .map(|change| change.server.as_str())
        .collect();
    if !again.is_empty() {
        lines.push(format!("these have moved already and have to move on: {}", again.join(", ")));
    }
    let unplaced = after.unplaced.iter();
    lines.extend(unplaced.map(|server| format!("without a host: {}: {}", server.server, server.reason)));
    lines.extend(after.assumptions.notes.iter().map(|note| format!("note: {note}")));
    lines
}
