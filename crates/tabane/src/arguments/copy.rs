//! `tabane vm clone|export|import`: a VM once more, here or elsewhere.

use std::path::PathBuf;

use clap::Args;
use tabane_model::{Name, api::ExportFormat};

use super::{Change, label};

fn network_map(text: &str) -> Result<(Option<String>, Name), String> {
    let (theirs, ours) = match text.rsplit_once('=') {
        Some((theirs, ours)) => (Some(theirs.to_owned()), ours),
        None => (None, text),
    };
    Ok((theirs, ours.parse().map_err(|error| format!("{error}"))?))
}

#[derive(Args)]
pub struct VmClone {
    pub vm: Name,
    /// Name of the copy; with --count the beginning of the names
    pub name: Name,
    /// How many: NAME-1, NAME-2, …
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub count: Option<u32>,
    /// Copy all data instead of standing on a snapshot of the VM
    #[arg(long, conflicts_with = "instant")]
    pub full: bool,
    /// Go on where the VM's memory stands, in place of booting: it has to run, and its guest agent to answer
    #[arg(long)]
    pub instant: bool,
    /// Let the copies take themselves for the VM: do not renew machine-id, host name, SSH host keys
    #[arg(long, conflicts_with = "instant")]
    pub keep_identity: bool,
    /// A snapshot of the VM to copy [default: one is taken, and goes with the last clone that stands on it]
    #[arg(long)]
    pub snapshot: Option<Name>,
    /// Switch them on; --instant does
    #[arg(long)]
    pub start: bool,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Args)]
pub struct VmExport {
    pub vm: Name,
    /// ova has the whole VM; the others have one disk
    #[arg(long, default_value_t)]
    pub format: ExportFormat,
    /// Which disk, by its name inside the VM [default: the first]
    #[arg(long)]
    pub disk: Option<Name>,
    /// A snapshot of the VM to save [default: one is taken, and deleted at the end]
    #[arg(long)]
    pub snapshot: Option<Name>,
    /// Write an OVF 2.0 descriptor in place of 1.1, which more systems read
    #[arg(long)]
    pub ovf2: bool,
    /// Replace the file if it is there
    #[arg(long)]
    pub force: bool,
}

#[derive(Args)]
pub struct VmImport {
    /// An .ova file, or an .ovf with its disks beside it
    pub file: PathBuf,
    /// Name of the VM [default: made from the package's]
    #[arg(long)]
    pub name: Option<Name>,
    /// Pool of the disks
    #[arg(long)]
    pub pool: Option<Name>,
    /// Network for all nics, or for those of one network: THEIRS=NETWORK; can be repeated
    #[arg(long = "network", value_name = "NETWORK", value_parser = network_map)]
    pub networks: Vec<(Option<String>, Name)>,
    /// Which of the sizes that the package offers
    #[arg(long, value_name = "ID")]
    pub configuration: Option<String>,
    /// Keep the MAC addresses that the package states; the VM that it was made from must be gone
    #[arg(long)]
    pub keep_macs: bool,
    /// Agree to the licences in the package
    #[arg(long)]
    pub accept_licences: bool,
    /// This host and no other
    #[arg(long)]
    pub host: Option<Name>,
    /// Label, as key=value
    #[arg(short = 'l', long = "label", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Switch it on
    #[arg(long)]
    pub start: bool,
    /// Say what would be made, and make nothing
    #[arg(long)]
    pub dry_run: bool,
}
