//! In what two plans differ.

use std::process::ExitCode;

use anyhow::Result;
use tabane_core::plan;
use tabane_model::PlanComparison;

use crate::{
    arguments::{Form, PlanCompare},
    commands::DONE,
    output::{self, counted},
};

/// Moves that are told one by one; the rest is counted.
const MOVES_TOLD_MAX: usize = 40;

pub fn run(form: Form, arguments: &PlanCompare) -> Result<ExitCode> {
    let comparison =
        plan::compare(&super::read_plan(&arguments.first)?, &super::read_plan(&arguments.second)?);
    match form {
        Form::Table => tell(&comparison),
        form => output::value(form, &comparison)?,
    }
    Ok(DONE)
}

pub fn tell(comparison: &PlanComparison) {
    for figure in &comparison.figures {
        let [first, second] = [figure.first, figure.second].map(|value| told(&figure.name, value));
        let change = if first == second { "" } else { "  <" };
        println!("{:<20} {first:>14} {second:>14}{change}", words(&figure.name));
    }
    if comparison.moves.is_empty() {
        println!("every server is on the same host");
        return;
    }
    println!("{} elsewhere:", counted(comparison.moves.len(), "server"));
    for moved in comparison.moves.iter().take(MOVES_TOLD_MAX) {
        let [from, to] = [&moved.from, &moved.to].map(|host| host.as_deref().unwrap_or("no host"));
        println!("  {}: {from} -> {to}", moved.server);
    }
    if comparison.moves.len() > MOVES_TOLD_MAX {
        println!("  and {} more; all of them with -o json", comparison.moves.len() - MOVES_TOLD_MAX);
    }
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}

fn told(name: &str, value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(value) if name == "overload_share" => format!("{:.4} %", value * 100.0),
        Some(value) if name.ends_with("_share") || name == "fill" => format!("{:.1} %", value * 100.0),
        Some(value) => format!("{value:.0}"),
    }
}
