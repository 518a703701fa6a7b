//! `tabane template …` and `tabane flavor …`.

use clap::{Args, Subcommand};
use tabane_model::{GeneraliseStep, Name};

use super::{List, Named, NamedChange, bytes};

#[derive(Subcommand)]
pub enum TemplateCommand {
    /// Make a template of a VM, also while it runs: its copy is generalised, the VM stays as it is
    Create(TemplateCreate),
    /// Show the steps that generalise a copy
    Steps,
    /// List templates
    #[command(visible_alias = "ls")]
    List(List),
    /// Show a template, and what was taken out of it
    Get(Named),
    /// Delete templates; VMs made from them stay
    #[command(visible_alias = "rm")]
    Delete(NamedChange),
}

#[derive(Args)]
pub struct TemplateCreate {
    pub name: Name,
    /// The VM to make it of
    #[arg(long)]
    pub vm: Name,
    /// Which disk, by its name inside the VM [default: the first]
    #[arg(long)]
    pub disk: Option<Name>,
    /// A snapshot of the VM [default: one is taken, and deleted at the end]
    #[arg(long)]
    pub snapshot: Option<Name>,
    /// Leave a step out; see `tabane template steps`
    #[arg(long, value_name = "STEP")]
    pub skip: Vec<GeneraliseStep>,
    /// Remove a user, with the home folder
    #[arg(long = "remove-user", value_name = "USER")]
    pub remove_users: Vec<String>,
    /// Copy the disk as it is: for guests that were generalised inside
    #[arg(long, conflicts_with_all = ["skip", "remove_users"])]
    pub no_generalise: bool,
    /// Name of the operating system [default: what the guest says]
    #[arg(long)]
    pub os: Option<String>,
    /// User that cloud-init makes in it [default: as in the image of the VM]
    #[arg(long)]
    pub default_user: Option<String>,
    /// Show the steps, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Subcommand)]
pub enum FlavorCommand {
    /// Make a flavor
    Create(FlavorCreate),
    /// List flavors
    #[command(visible_alias = "ls")]
    List(List),
    /// Show a flavor
    Get(Named),
    /// Delete flavors; VMs made by them stay as they are
    #[command(visible_alias = "rm")]
    Delete(NamedChange),
}

#[derive(Args)]
pub struct FlavorCreate {
    pub name: Name,
    #[arg(long)]
    pub cpus: u32,
    #[arg(long, value_parser = bytes, value_name = "SIZE")]
    pub memory: u64,
    /// Size of the first disk [default: the image's]
    #[arg(long, value_parser = bytes, value_name = "SIZE")]
    pub disk: Option<u64>,
    /// What it is for
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub description: String,
}
