//! Plans.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use tabane_model::{Name, planning::TrialMove};

use super::{Change, List, Named, NamedChange};

#[derive(Subcommand)]
pub enum PlanCommand {
    /// Find out which servers fit onto which hosts, by their loads over time
    Make(PlanMake),
    /// Prove a plan again from the loads: every constraint, and its lower bound
    Verify(PlanVerify),
    /// Compare what was planned with what was measured after a wave, and say whether the next one may begin
    Review(PlanReview),
    /// Go on with a plan after some waves, by as few moves as can be
    Replan(PlanReplan),
    /// Make a page of a plan for managers and engineers, or tables for spreadsheets
    Report(PlanReport),
    /// Let the server make a plan of a survey that it keeps
    Create(Box<PlanCreate>),
    /// Let the server go on with a plan after some waves, by as few moves as can be
    Continue(PlanContinue),
    /// List the server's plans
    #[command(visible_alias = "ls")]
    List(List),
    /// Show how far a plan of the server is, and what came of it in short
    Get(Named),
    /// Fetch a plan of the server as plan.json
    Document(PlanDocument),
    /// Say what would be if servers of a plan were on other hosts; nothing is kept
    Try(PlanTry),
    /// Say what differs between two plans, and who is on another host
    Compare(PlanCompare),
    /// Delete plans; one that is being made is given up
    #[command(visible_alias = "rm")]
    Delete(NamedChange),
}

#[derive(Args)]
pub struct PlanMake {
    /// Folder with servers.csv and a matrix for each metric, such as cpu_mhz.csv
    #[arg(long, value_name = "FOLDER")]
    pub traces: PathBuf,
    #[command(flatten)]
    pub basis: PlanBasis,
    /// Where the plan is written
    #[arg(long, value_name = "plan.json")]
    pub out: PathBuf,
}

/// What a plan is made for, besides loads.
#[derive(Args)]
pub struct PlanBasis {
    /// Kinds of hosts that may be used
    #[arg(long, value_name = "hosts.toml")]
    pub hosts: PathBuf,
    /// What is accepted; without it, that hosts are overloaded in one of 10,000 samples
    #[arg(long, value_name = "policy.toml")]
    pub policy: Option<PathBuf>,
    /// What things cost, to compare before and after over years
    #[arg(long, value_name = "costs.toml")]
    pub costs: Option<PathBuf>,
    /// Licence catalogues, or folders of them, for what the policy says under [[licence]]
    #[arg(long, value_name = "FILE|FOLDER")]
    pub licences: Vec<PathBuf>,
    /// Your own prices, in the place of those of the catalogues
    #[arg(long, value_name = "prices.toml", requires = "licences")]
    pub prices: Option<PathBuf>,
    /// Support matrices, or folders of them: what vendors support on which hypervisor
    #[arg(long, value_name = "FILE|FOLDER")]
    pub support: Vec<PathBuf>,
    /// Tables of what CPUs do with a MHz, or folders of them, your own first: the first that knows a CPU counts
    #[arg(long, value_name = "FILE|FOLDER")]
    pub cpus: Vec<PathBuf>,
    /// Look for better plans so many seconds at most, whatever the policy says
    #[arg(long, value_name = "SECONDS")]
    pub time_limit: Option<u32>,
    /// Change the policy for once, such as growth.cpu_percent=40 or reserve=shared
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

#[derive(Args)]
pub struct PlanCreate {
    pub name: Name,
    /// The survey that it is made of
    #[arg(long)]
    pub survey: Name,
    #[command(flatten)]
    pub basis: PlanBasis,
    /// What it is for
    #[arg(long, default_value = "", hide_default_value = true)]
    pub note: String,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Args)]
pub struct PlanContinue {
    /// The plan before
    pub plan: Name,
    /// What the new one is called
    pub name: Name,
    /// The last wave that is done, such as pilot or wave-2; without it nothing has moved yet
    #[arg(long, value_name = "WAVE")]
    pub done: Option<String>,
    /// The survey that it is made of, if not the same
    #[arg(long)]
    pub survey: Option<Name>,
    /// What it is for
    #[arg(long, default_value = "", hide_default_value = true)]
    pub note: String,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Args)]
pub struct PlanTry {
    pub name: Name,
    /// Where a server goes: SERVER=HOST, or SERVER=HOST:TYPE for a new host of this type
    #[arg(long = "move", required = true, value_name = "SERVER=HOST[:TYPE]", value_parser = trial_move)]
    pub moves: Vec<TrialMove>,
}

fn trial_move(text: &str) -> Result<TrialMove, String> {
    let (server, host) = text.split_once('=').ok_or("write SERVER=HOST")?;
    let (host, host_type) =
        host.split_once(':').map_or((host, None), |(host, kind)| (host, Some(kind.into())));
    Ok(TrialMove { server: server.into(), host: host.into(), host_type })
}

#[derive(Args)]
pub struct PlanCompare {
    /// A plan of the server, or a file such as plan.json
    pub name: String,
    /// The other one; of the same sort
    pub other: String,
}

#[derive(Args)]
pub struct PlanDocument {
    pub name: Name,
    /// Where it is written, in place of standard output
    #[arg(long, value_name = "plan.json")]
    pub out: Option<PathBuf>,
}

#[derive(Args)]
pub struct PlanVerify {
    pub plan: PathBuf,
    /// The folder that the plan was made from
    #[arg(long, value_name = "FOLDER")]
    pub traces: PathBuf,
}

#[derive(Args)]
pub struct PlanReview {
    pub plan: PathBuf,
    /// Which wave, such as pilot or wave-2; everything before it counts, too
    #[arg(long)]
    pub wave: String,
    /// The folder that the plan was made from
    #[arg(long, value_name = "FOLDER")]
    pub traces: PathBuf,
    /// What was measured of the servers since they have moved
    #[arg(long, value_name = "FOLDER")]
    pub measured: PathBuf,
    /// What traces do not tell, by the metrics of the gates: migrations_failed_share = 0
    #[arg(long, value_name = "facts.toml")]
    pub facts: Option<PathBuf>,
}

#[derive(Args)]
pub struct PlanReplan {
    pub plan: PathBuf,
    /// The last wave that is over, such as pilot or wave-2; without it nothing has moved yet
    #[arg(long, value_name = "WAVE")]
    pub done: Option<String>,
    /// The folder that the plan was made from, or a newer one
    #[arg(long, value_name = "FOLDER")]
    pub traces: PathBuf,
    /// What was measured of the servers since they have moved: where it is more than was planned, it counts
    #[arg(long, value_name = "FOLDER", requires = "combined")]
    pub measured: Option<PathBuf>,
    /// Where the loads are written that the new plan is made from, to prove it by
    #[arg(long, value_name = "FOLDER", requires = "measured")]
    pub combined: Option<PathBuf>,
    /// Kinds of hosts that may be used from now on, in place of the plan's
    #[arg(long, value_name = "hosts.toml")]
    pub hosts: Option<PathBuf>,
    /// What is accepted from now on, in place of the plan's policy
    #[arg(long, value_name = "policy.toml")]
    pub policy: Option<PathBuf>,
    /// Where the new plan is written
    #[arg(long, value_name = "plan.json")]
    pub out: PathBuf,
}

#[derive(Args)]
pub struct PlanReport {
    pub plan: PathBuf,
    /// One page that needs nothing else
    #[arg(long, conflicts_with_all = ["csv", "json"])]
    pub html: bool,
    /// Tables: servers, hosts, costs
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// The plan itself
    #[arg(long)]
    pub json: bool,
    /// Of the page
    #[arg(long, value_enum, default_value_t = ReportLanguage::En)]
    pub language: ReportLanguage,
    /// Where it is written, in place of standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ReportLanguage {
    /// English
    En,
    /// 日本語
    Ja,
}
