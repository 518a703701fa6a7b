//! What came of a wave, and whether the next one may begin.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Result;
use tabane_core::plan;
use tabane_model::{Comparison, GateKind, JudgedGate, Review, Verdict};

use crate::{
    arguments::{Form, PlanReview},
    commands::DONE,
    output,
};

/// Fails unless the wave passes, so that scripts can wait for it.
pub fn run(form: Form, arguments: &PlanReview) -> Result<ExitCode> {
    let plan = super::read_plan(&arguments.plan)?;
    let planned = super::read_traces(&arguments.traces)?;
    let measured = super::read_traces(&arguments.measured)?;
    let facts: BTreeMap<String, f64> =
        arguments.facts.as_deref().map_or_else(|| Ok(BTreeMap::new()), super::read_toml)?;
    let review = plan::review(&plan, &arguments.wave, &planned, &measured, &facts)?;
    match form {
        Form::Table => tell(&review),
        form => output::value(form, &review)?,
    }
    Ok(if review.verdict == Verdict::Pass { DONE } else { ExitCode::FAILURE })
}

fn tell(review: &Review) {
    for host in &review.hosts {
        let peak = |peak: &tabane_model::ReviewedPeak| {
            format!(
                "{} {:.0} % (planned {:.0} %)",
                peak.resource,
                peak.measured * 100.0,
                peak.planned * 100.0
            )
        };
        let peaks: Vec<String> = host.peaks.iter().map(peak).collect();
        println!("{}, {}: {}", host.host, output::counted(host.servers as usize, "server"), peaks.join(", "));
    }
    for server in &review.unmeasured {
        println!("nothing was measured of {server} since");
    }
    for it in &review.gates {
        println!("{:>9}  {}", state(it), gate(it));
    }
    let (verdict, next) = match review.verdict {
        Verdict::Pass => ("passed", "the next wave may begin"),
        Verdict::Wait => ("not passed yet", "see to what does not hold or is not known, and review again"),
        Verdict::Stop => ("stop", "move no further server; plan the rest anew with what was measured"),
        Verdict::RollBack => ("roll back", "take the servers of this wave back to where they were"),
    };
    println!("{}: {verdict}: {next}", review.wave);
}

fn state(it: &JudgedGate) -> &'static str {
    match (it.gate.kind, it.holds) {
        (_, None) => "not known",
        (GateKind::Pass, Some(true)) => "ok",
        (GateKind::Pass, Some(false)) => "not yet",
        (GateKind::Stop, Some(true)) => "STOP",
        (GateKind::RollBack, Some(true)) => "ROLL BACK",
        (_, Some(false)) => "ok",
    }
}

fn gate(it: &JudgedGate) -> String {
    let comparison = match it.gate.comparison {
        Comparison::AtMost => "<=",
        Comparison::AtLeast => ">=",
        Comparison::Above => ">",
    };
    let kind = match it.gate.kind {
        GateKind::Pass => "wanted",
        GateKind::Stop => "stops",
        GateKind::RollBack => "goes back",
    };
    let value = it.value.map_or_else(|| "?".into(), |value| format!("{value:.4}"));
    format!("{} = {value}, {kind} if {comparison} {}", it.gate.metric, it.gate.threshold)
}
