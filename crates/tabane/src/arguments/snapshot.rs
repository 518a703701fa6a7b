//! `tabane snapshot …`.

use clap::{Args, Subcommand};
use tabane_model::{Name, Quiesce};

use super::{Change, List, Named, NamedChange};

#[derive(Subcommand)]
pub enum SnapshotCommand {
    /// Take a snapshot of a VM, also while it runs
    Create(SnapshotCreate),
    /// List snapshots
    #[command(visible_alias = "ls")]
    List(List),
    /// Show the snapshots of a VM as a tree
    Tree { vm: Name },
    /// Show a snapshot
    Get(Named),
    /// Bring a VM back to what a snapshot holds; what it did since is lost
    Revert(SnapshotRevert),
    /// Change note or expiry
    Set(SnapshotSet),
    /// Delete snapshots and merge their layers, also while the VM runs
    #[command(visible_alias = "rm")]
    Delete(NamedChange),
}

#[derive(Args)]
pub struct SnapshotCreate {
    pub vm: Name,
    /// Name of the snapshot [default: the VM's name and the time]
    pub name: Option<Name>,
    /// With the memory: a revert goes on where the guest was
    #[arg(long)]
    pub memory: bool,
    /// Whether the guest's file systems are frozen for the moment
    #[arg(long, default_value_t)]
    pub quiesce: Quiesce,
    #[arg(long, default_value = "")]
    pub note: String,
    /// Delete it after this time, such as 7d or 12h
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub expires: Option<jiff::SignedDuration>,
    /// Do not wait until it is taken
    #[arg(long)]
    pub no_wait: bool,
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Args)]
pub struct SnapshotRevert {
    pub name: Name,
    /// Start from the disks alone, although the snapshot has the memory
    #[arg(long)]
    pub disks_only: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Args)]
pub struct SnapshotSet {
    pub name: Name,
    #[arg(long)]
    pub note: Option<String>,
    /// Delete it after this time from now, such as 7d or 12h; `never` keeps it
    #[arg(long, value_name = "TIME")]
    pub expires: Option<String>,
}

/// A time such as 90m, 12h or 7d.
pub fn span(text: &str) -> Result<jiff::SignedDuration, String> {
    let wrong = || format!("{text:?} is no time; write for example 90m, 12h or 7d");
    let (number, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    match number.checked_mul(seconds) {
        Some(span) if (60..=100 * 365 * 86_400).contains(&span) => Ok(jiff::SignedDuration::from_secs(span)),
        _ => Err(wrong()),
    }
}
