//! Surveys: the load and inventory of servers that are to be virtualized.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tabane_survey::collect::Target;

use super::snapshot::span;

#[derive(Subcommand)]
pub enum SurveyCommand {
    /// Collect load and inventory over SSH; nothing is installed, and it goes on where it was cut short
    Run(SurveyRun),
    /// Write what was collected as a folder of traces that plans are made from
    Export(SurveyExport),
}

#[derive(Args)]
pub struct SurveyRun {
    /// Servers to look at: [USER@]HOST[:PORT]
    #[arg(required_unless_present = "list")]
    pub sources: Vec<Target>,
    /// A file with a server on each line
    #[arg(long, value_name = "FILE")]
    pub list: Option<PathBuf>,
    /// Folder that the collection is kept in
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
    /// Seconds between two samples
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub step: u32,
    /// How long to collect, for example 30m or 14d [default: until Ctrl-C]
    #[arg(long = "for", value_parser = span, value_name = "TIME")]
    pub length: Option<jiff::SignedDuration>,
    /// Private key to sign in with [default: what ssh tries by itself]
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// Configuration of ssh [default: the user's]
    #[arg(long, value_name = "FILE")]
    pub ssh_config: Option<PathBuf>,
}

#[derive(Args)]
pub struct SurveyExport {
    /// Folder of the collection
    pub collection: PathBuf,
    /// Folder that the traces are written into
    #[arg(long, value_name = "FOLDER")]
    pub to: PathBuf,
    /// Length of a bin of the traces, in seconds
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub bin: u32,
}
