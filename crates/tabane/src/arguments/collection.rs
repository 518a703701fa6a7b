//! Collections: loads that are measured over SSH for the server.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tabane_model::Name;
use tabane_survey::collect::{Range, RangeError};

use super::{Change, List, Named, NamedChange, snapshot::span};

#[derive(Subcommand)]
pub enum CollectionCommand {
    /// Say which servers are to be measured; `tabane survey run --collection NAME` measures them, wherever it is run
    Create(CollectionCreate),
    /// List collections
    #[command(visible_alias = "ls")]
    List(List),
    /// Show a collection with each of its servers
    Get(Named),
    /// Have a survey made of what there is by now; measuring goes on
    Survey(CollectionSurvey),
    /// Measure no more, and have a survey made of all, with the name of the collection
    End(NamedChange),
    /// Delete collections; their surveys stay, and their samples where they were measured
    #[command(visible_alias = "rm")]
    Delete(NamedChange),
}

#[derive(Args)]
pub struct CollectionCreate {
    pub name: Name,
    /// Servers to look at: [USER@]HOST[:PORT], or a subnet: [USER@]10.1.2.0/28[:PORT]
    #[arg(required_unless_present = "list", value_parser = source)]
    pub sources: Vec<String>,
    /// A file with a server or a subnet on each line
    #[arg(long, value_name = "FILE")]
    pub list: Option<PathBuf>,
    /// Seconds between two samples
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub step: u32,
    /// How long to collect, for example 30m or 14d [default: until it is ended]
    #[arg(long = "for", value_parser = span, value_name = "TIME")]
    pub length: Option<jiff::SignedDuration>,
    /// What it is of
    #[arg(long, default_value = "", hide_default_value = true)]
    pub note: String,
    #[command(flatten)]
    pub change: Change,
}

/// What is no source is refused before it is sent.
fn source(text: &str) -> Result<String, RangeError> {
    text.parse::<Range>().map(|_| text.to_owned())
}

#[derive(Args)]
pub struct CollectionSurvey {
    pub name: Name,
    /// Name of the survey
    pub survey: Name,
    #[command(flatten)]
    pub change: Change,
}
