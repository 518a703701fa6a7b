//! Surveys: the load and inventory of servers that are to be virtualized.

use std::path::PathBuf;

use clap::{Args, Subcommand, builder::PossibleValuesParser};
use tabane_model::Name;
use tabane_survey::{collect::Range, dependencies::HUB_SHARE, import::Form};

use super::{Change, List, Named, NamedChange, snapshot::span};

#[derive(Subcommand)]
pub enum SurveyCommand {
    /// Collect load and inventory over SSH; nothing is installed, and it goes on where it was cut short
    Run(SurveyRun),
    /// Write what was collected as a folder of traces that plans are made from
    Export(SurveyExport),
    /// Say who talks to whom by what was collected, and what has to move together
    Dependencies(SurveyDependencies),
    /// Propose licences for a policy, from what the servers of traces seem to run
    Licences(SurveyLicences),
    /// Make a folder of traces of what other tools have measured
    Import(SurveyImport),
    /// Send a folder of traces to the server, which makes plans of it; goes on where it was cut short
    Push(SurveyPush),
    /// List the server's surveys
    #[command(visible_alias = "ls")]
    List(List),
    /// Show what a survey of the server holds
    Get(Named),
    /// Delete surveys that no plan stands on
    #[command(visible_alias = "rm")]
    Delete(NamedChange),
}

#[derive(Args)]
pub struct SurveyPush {
    /// Name of the survey
    pub name: Name,
    /// Folder with servers.csv and a matrix for each metric, such as cpu_mhz.csv
    #[arg(long, value_name = "FOLDER")]
    pub traces: PathBuf,
    /// What it is of
    #[arg(long, default_value = "", hide_default_value = true)]
    pub note: String,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Args)]
pub struct SurveyRun {
    /// Servers to look at: [USER@]HOST[:PORT], or a subnet: [USER@]10.1.2.0/28[:PORT]
    #[arg(required_unless_present_any = ["list", "collection"], conflicts_with = "collection")]
    pub sources: Vec<Range>,
    /// A file with a server or a subnet on each line
    #[arg(long, value_name = "FILE", conflicts_with = "collection")]
    pub list: Option<PathBuf>,
    /// A collection of the server: look at its servers, tell how far it is, make the surveys that are asked for
    #[arg(long, value_name = "NAME")]
    pub collection: Option<Name>,
    /// Folder that the samples are kept in [default for a collection: one of its name]
    #[arg(long, value_name = "FOLDER", required_unless_present = "collection")]
    pub out: Option<PathBuf>,
    /// Seconds between two samples
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=60), conflicts_with = "collection")]
    pub step: u32,
    /// How long to collect, for example 30m or 14d [default: until Ctrl-C]
    #[arg(long = "for", value_parser = span, value_name = "TIME", conflicts_with = "collection")]
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

#[derive(Args)]
pub struct SurveyDependencies {
    /// Folder of the collection
    pub collection: PathBuf,
    /// As a piece of policy.toml
    #[arg(long)]
    pub toml: bool,
    /// What at least this share of the others talks to, as to a directory, joins nobody
    #[arg(long, value_name = "SHARE", default_value_t = HUB_SHARE, value_parser = share)]
    pub hub_share: f64,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "write a share above 0, at most 1, such as 0.5".into())
}

#[derive(Args)]
pub struct SurveyLicences {
    /// Folder of traces, or a servers.csv
    #[arg(value_name = "FOLDER")]
    pub traces: PathBuf,
}

#[derive(Args)]
pub struct SurveyImport {
    /// What wrote the files
    #[arg(value_name = "FORM", value_parser = PossibleValuesParser::new(Form::ALL.map(Form::name)))]
    pub form: String,
    /// What it wrote; gzip is unpacked
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Folder that the traces are written into; it must not have any
    #[arg(long, value_name = "FOLDER")]
    pub to: PathBuf,
    /// Length of a bin of the traces, in seconds
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub bin: u32,
    /// Speed of a core, in MHz, where neither the files nor the list say it
    #[arg(long, value_name = "MHZ", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub core_mhz: Option<u32>,
    /// Cores of a server, where neither the files nor the list say it
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub cores: Option<u32>,
    /// Memory of a server, in MiB, where neither the files nor the list say it
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    pub memory_mib: Option<u32>,
    /// Where the time line begins, in seconds since 1970 [default: with the bin of the first sample]
    #[arg(long, value_name = "UNIX", value_parser = clap::value_parser!(i64).range(0..4_102_444_800))]
    pub first_bin: Option<i64>,
    /// A list of servers and what they have, as servers.csv of traces
    #[arg(long, value_name = "FILE")]
    pub servers: Option<PathBuf>,
}
