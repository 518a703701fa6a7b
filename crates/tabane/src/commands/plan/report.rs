//! A plan as a page or as tables.

use std::{io::Write, process::ExitCode};

use anyhow::{Context as _, Result};
use tabane_report::Language;

use crate::{
    arguments::{PlanReport, ReportLanguage},
    commands::DONE,
};

pub fn run(arguments: &PlanReport) -> Result<ExitCode> {
    let plan = super::read_plan(&arguments.plan)?;
    let language = match arguments.language {
        ReportLanguage::En => Language::English,
        ReportLanguage::Ja => Language::Japanese,
    };
    let text = match (arguments.csv, arguments.json) {
        (true, _) => tabane_report::csv(&plan),
        (_, true) => serde_json::to_string_pretty(&plan)? + "\n",
        _ => tabane_report::html(&plan, language),
    };
    match &arguments.out {
        Some(path) => tabane_survey::replace(path, &text)?,
        None => std::io::stdout().write_all(text.as_bytes()).context("cannot write the report")?,
    }
    Ok(DONE)
}
