//! Waves: plans as they are carried out.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tabane_model::Name;

use super::{Change, List, Named, NamedChange};

#[derive(Subcommand)]
pub enum WaveCommand {
    /// Take up a wave of a plan that is ready
    Create(WaveCreate),
    /// List waves
    #[command(visible_alias = "ls")]
    List(List),
    /// Show a wave with its last review
    Get(Named),
    /// Begin waves, or go on with them; all before have to be done
    Run(NamedChange),
    /// Say by what a wave's gates are judged
    Review(WaveReviewed),
    /// End waves whose gates have passed; then the next may begin
    Done(NamedChange),
    /// Move no further server
    Stop(NamedChange),
    /// Write down that the servers of waves are back where they were
    RollBack(NamedChange),
    /// Plan waves that were rolled back again
    Replan(NamedChange),
    /// Delete waves that do not run, the last first
    #[command(visible_alias = "rm")]
    Delete(NamedChange),
}

#[derive(Args)]
pub struct WaveCreate {
    pub name: Name,
    #[arg(long)]
    pub plan: Name,
    /// As the plan names it, such as pilot or wave-2
    #[arg(long)]
    pub wave: String,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Args)]
pub struct WaveReviewed {
    pub name: Name,
    /// A survey of what was measured since the servers have moved
    #[arg(long, value_name = "SURVEY")]
    pub measured: Name,
    /// What traces do not tell, by the metrics of the gates: migrations_failed_share = 0
    #[arg(long, value_name = "facts.toml")]
    pub facts: Option<PathBuf>,
    #[command(flatten)]
    pub change: Change,
}
