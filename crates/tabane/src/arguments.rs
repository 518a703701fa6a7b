//! The command line, each flag defined once.

mod collection;
mod copy;
mod device;
mod plan;
mod snapshot;
mod survey;
mod template;
mod wave;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use tabane_model::{
    Accel, CloneMode, DiskBus, Firmware, ImageFormat, Name, NetworkKind, NicModel, OnCrash, Role, parse_bytes,
};

pub use collection::{CollectionCommand, CollectionCreate};
pub use copy::{VmClone, VmExport, VmImport};
pub use device::{CdCommand, CdDrive, CdInsert, Limit, VmLimit};
pub use plan::{
    PlanBasis, PlanCommand, PlanCompare, PlanContinue, PlanCreate, PlanDocument, PlanMake, PlanReplan,
    PlanReport, PlanReview, PlanTry, PlanVerify, ReportLanguage,
};
pub use snapshot::{SnapshotCommand, SnapshotCreate, SnapshotRevert, SnapshotSet, span};
pub use survey::{SurveyCommand, SurveyDependencies, SurveyExport, SurveyImport, SurveyPush, SurveyRun};
pub use template::{FlavorCommand, FlavorCreate, TemplateCommand, TemplateCreate};
pub use wave::{WaveCommand, WaveReviewed};

#[derive(Parser)]
#[command(name = "tabane", version, about = "Server virtualization: measure, plan, move, run, protect, watch, serve", long_about = None)]
#[command(propagate_version = true, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Args, Clone)]
pub struct Global {
    /// Server: https://HOST:PORT/#FINGERPRINT or the path of its socket [default: the server on this machine]
    #[arg(long, env = "TABANE_URL", global = true, value_name = "URL")]
    pub url: Option<String>,
    /// Token for the server; not needed by root on the server's own machine
    #[arg(long, env = "TABANE_TOKEN", global = true, hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Where server and host agent keep everything
    #[arg(long, env = "TABANE_DATA_DIR", global = true, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Form of the output: table, json or yaml; for pictures the file to write
    #[arg(short, long, global = true, value_name = "FORM")]
    pub output: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    #[default]
    Table,
    Json,
    Yaml,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run server and host agent on this machine
    Up(Up),
    /// Run the server alone
    Server(Up),
    /// Virtual machines
    #[command(subcommand)]
    Vm(VmCommand),
    /// Images that VMs are made from
    #[command(subcommand)]
    Image(ImageCommand),
    /// Templates: images made of VMs, without what is one machine's own
    #[command(subcommand)]
    Template(TemplateCommand),
    /// Sizes that VMs come in
    #[command(subcommand)]
    Flavor(FlavorCommand),
    /// Disks of VMs
    #[command(subcommand)]
    Disk(DiskCommand),
    /// Snapshots of VMs: what disks, and memory, held at one moment
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Pools of storage for disks
    #[command(subcommand)]
    Pool(PoolCommand),
    /// Networks that VMs are plugged into
    #[command(subcommand)]
    Network(NetworkCommand),
    /// Physical servers that run VMs
    #[command(subcommand)]
    Host(HostCommand),
    /// Surveys: load and inventory of servers that are to be virtualized
    #[command(subcommand)]
    Survey(SurveyCommand),
    /// Collections: loads that are measured over SSH for the server, to make surveys of
    #[command(subcommand)]
    Collection(CollectionCommand),
    /// Plans: which servers go onto which hosts
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Waves: plans as they are carried out, through their gates
    #[command(subcommand)]
    Wave(WaveCommand),
    /// What happened
    #[command(subcommand)]
    Event(EventCommand),
    /// Keys to the API
    #[command(subcommand)]
    Token(TokenCommand),
    /// The log of every change
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Make objects from a YAML or JSON file, or change them to what it says
    Apply(Apply),
    /// Check this machine and say how to mend what is missing
    Doctor,
    /// Print completions for a shell
    Completions { shell: clap_complete::Shell },
    /// Write the manual pages into a folder
    Man { folder: PathBuf },
}

#[derive(Args)]
pub struct Up {
    /// Address and port of the API
    #[arg(long, default_value = "127.0.0.1:8440", env = "TABANE_LISTEN")]
    pub listen: SocketAddr,
    /// Further names or addresses that clients reach this server by
    #[arg(long = "san", value_name = "NAME")]
    pub names: Vec<String>,
    /// Name of this host [default: the machine's name]
    #[arg(long)]
    pub name: Option<Name>,
}

/// What can be waited for. Checked here too: the server hears of it only after the change was made.
const WAITS: [&str; 8] =
    ["running", "agent", "identity", "stopped", "paused", "ready", "observed", "deleted"];

/// How a change is made.
#[derive(Args, Clone, Default)]
pub struct Change {
    /// Say what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Wait until it is so far
    #[arg(long, value_name = "STATE", value_parser = WAITS)]
    pub wait: Option<String>,
    /// How long to wait
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,
}

#[derive(Args)]
pub struct List {
    /// Only those with these labels, such as env=prod,!old
    #[arg(short = 'l', long)]
    pub labels: Option<String>,
    /// Only those with these fields: name, phase, host, vm
    #[arg(short = 'f', long)]
    pub fields: Option<String>,
    /// Go on and show each change
    #[arg(short, long)]
    pub watch: bool,
}

#[derive(Args)]
pub struct Named {
    pub name: Name,
}

#[derive(Args)]
pub struct NamedChange {
    #[arg(required = true)]
    pub names: Vec<Name>,
    #[command(flatten)]
    pub change: Change,
}

fn addresses(text: &str) -> Result<(std::net::Ipv4Addr, std::net::Ipv4Addr), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let address = |text: &str| text.parse().map_err(|_| format!("{text:?} is no IPv4 address"));
    let (first, last): (std::net::Ipv4Addr, std::net::Ipv4Addr) = (address(first)?, address(last)?);
    if last < first { Err("the range ends before it begins".into()) } else { Ok((first, last)) }
}

fn bytes(text: &str) -> Result<u64, String> {
    parse_bytes(text).map_err(|e| e.to_string())
}

#[derive(Subcommand)]
pub enum VmCommand {
    /// Create a VM
    Create(Box<VmCreate>),
    /// List VMs
    #[command(visible_alias = "ls")]
    List(List),
    /// Show a VM
    Get(Named),
    /// Switch VMs on
    Start(NamedChange),
    /// Ask guests to shut down
    #[command(visible_alias = "stop")]
    Shutdown(NamedChange),
    /// Cut the power of VMs without asking the guests
    ForceOff(NamedChange),
    /// Pause VMs
    Pause(NamedChange),
    /// Let paused VMs go on
    Resume(NamedChange),
    /// Reset VMs as their reset buttons would
    Reset(NamedChange),
    /// Make copies of a VM, also while it runs
    Clone(VmClone),
    /// Save a VM as one file for other systems, also while it runs: -o FILE
    Export(VmExport),
    /// Make a VM from an OVA or OVF package of VMware, VirtualBox, oVirt or Tabane
    Import(Box<VmImport>),
    /// Change CPUs, memory, labels and more, also while the VM runs
    Set(Box<VmSet>),
    /// Attach a disk, also while the VM runs
    Attach(VmAttach),
    /// Detach a disk and keep it
    Detach(VmDetach),
    /// Plug a nic into a network, also while the VM runs
    Plug(VmPlug),
    /// Take a nic out
    Unplug(VmUnplug),
    /// CD drives and what is in them
    #[command(subcommand)]
    Cd(CdCommand),
    /// Limit what a disk or nic gets, also while the VM runs
    Limit(VmLimit),
    /// Delete VMs and their disks
    #[command(visible_alias = "rm")]
    Delete(NamedChange),
    /// Open the serial console
    Console(VmConsole),
    /// Run a command in the guest
    Exec(VmExec),
    /// Show which VMs use the most, again and again
    Top(Top),
    /// Show what was measured of a VM
    Metrics(MetricsOf),
    /// Save a picture of the display as PNG: -o FILE
    Screenshot(Named),
    /// Make a ticket, good once, for the display's websocket
    Vnc(Named),
}

#[derive(Args)]
pub struct VmCreate {
    /// Name of the VM; with --count the beginning of the names
    pub name: Name,
    /// How many: NAME-1, NAME-2, …
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub count: Option<u32>,
    /// Image or template to make the first disk from
    #[arg(long, visible_alias = "template")]
    pub image: Option<Name>,
    /// Size: CPUs, memory and first disk, unless stated; see `tabane flavor list`
    #[arg(long)]
    pub flavor: Option<Name>,
    /// Number of CPUs [default: the flavor's, the template's, or 1]
    #[arg(long)]
    pub cpus: Option<u32>,
    /// Size of the memory [default: the flavor's, the template's, or 1GiB]
    #[arg(long, value_parser = bytes, value_name = "SIZE")]
    pub memory: Option<u64>,
    /// Size of the first disk [default: the image's]
    #[arg(long, value_parser = bytes, value_name = "SIZE")]
    pub disk: Option<u64>,
    /// ISO in a CD drive, to install from beside a blank disk (--disk); repeat it for more drives
    #[arg(long = "cdrom", value_name = "IMAGE")]
    pub cdroms: Vec<Name>,
    /// What to boot from, in this order: names of disks (root), CD drives (cd0) and nics (nic0) [default: disks, then CDs]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub boot: Vec<Name>,
    /// Where the first disk sits: virtio, or sata for guests without virtio drivers
    #[arg(long, default_value_t, value_name = "BUS")]
    pub disk_bus: DiskBus,
    /// What nics look like: virtio, or e1000e for guests without virtio drivers
    #[arg(long, default_value_t, value_name = "MODEL")]
    pub nic_model: NicModel,
    /// Whether there is a USB tablet, for the display's pointer [default: if a boot loader starts the guest]
    #[arg(long, value_name = "BOOL")]
    pub tablet: Option<bool>,
    /// PCI device of a host for the VM alone, such as 0000:01:00.0; repeat it for more; see `tabane host devices`
    #[arg(long = "pci", value_name = "ADDRESS")]
    pub pci: Vec<String>,
    /// Copy the image instead of standing on it
    #[arg(long)]
    pub full_clone: bool,
    /// Pool of the first disk
    #[arg(long)]
    pub pool: Option<Name>,
    /// Network to plug a nic into; repeat it for more nics
    #[arg(long = "network", value_name = "NETWORK")]
    pub networks: Vec<Name>,
    /// Lead a port of the host into the guest: [tcp:|udp:][ADDRESS:]HOSTPORT:GUESTPORT
    #[arg(long = "forward", value_name = "PORTS", value_parser = forward)]
    pub forwards: Vec<tabane_model::Forward>,
    /// File with public SSH keys for the default user
    #[arg(long = "ssh-key", value_name = "FILE")]
    pub ssh_keys: Vec<PathBuf>,
    /// Name of the user that cloud-init makes
    #[arg(long)]
    pub user: Option<String>,
    /// File with the user's password as a hash of crypt(5)
    #[arg(long, value_name = "FILE")]
    pub password_hash: Option<PathBuf>,
    /// Name that the guest gives itself, where {n} stands for the number with --count [default: the VM's name]
    #[arg(long)]
    pub hostname: Option<String>,
    /// Address of the first nic in a nat network, or a range with --count: FIRST-LAST
    #[arg(long, value_name = "ADDRESS", value_parser = addresses)]
    pub address: Option<(std::net::Ipv4Addr, std::net::Ipv4Addr)>,
    /// File with cloud-init user-data
    #[arg(long, value_name = "FILE")]
    pub user_data: Option<PathBuf>,
    /// bios, uefi or uefi-secure-boot [default: the template's, or bios]
    #[arg(long)]
    pub firmware: Option<Firmware>,
    /// Add a virtual TPM
    #[arg(long)]
    pub tpm: bool,
    #[arg(long, default_value_t)]
    pub accel: Accel,
    #[arg(long, default_value_t)]
    pub on_crash: OnCrash,
    /// This host and no other
    #[arg(long)]
    pub host: Option<Name>,
    /// Label, as key=value
    #[arg(short = 'l', long = "label", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Switch it on
    #[arg(long)]
    pub start: bool,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Args)]
pub struct VmSet {
    pub name: Name,
    #[arg(long)]
    pub cpus: Option<u32>,
    #[arg(long, value_parser = bytes, value_name = "SIZE")]
    pub memory: Option<u64>,
    #[arg(long)]
    pub on_crash: Option<OnCrash>,
    /// What to boot from at the next start, in this order; `--boot=` is disks, then CDs
    #[arg(long, value_name = "NAMES", value_parser = boot)]
    pub boot: Option<Boot>,
    /// Whether there is a USB tablet, of a VM that is off
    #[arg(long, value_name = "BOOL")]
    pub tablet: Option<bool>,
    /// Label, as key=value; key= takes it away
    #[arg(short = 'l', long = "label", value_parser = label)]
    pub labels: Vec<(String, String)>,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Args)]
pub struct VmAttach {
    pub vm: Name,
    /// Name of the disk inside the VM
    #[arg(long, default_value = "data")]
    pub r#as: Name,
    /// A disk that exists
    #[arg(long, conflicts_with = "size")]
    pub disk: Option<Name>,
    /// Make a new disk of this size
    #[arg(long, value_parser = bytes, required_unless_present = "disk")]
    pub size: Option<u64>,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Args)]
pub struct VmDetach {
    pub vm: Name,
    /// Name of the disk, as the VM or as the pool has it
    pub disk: String,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Args)]
pub struct VmPlug {
    pub vm: Name,
    #[arg(long)]
    pub network: Name,
    /// Name of the nic inside the VM [default: the first free one of nic0, nic1, …]
    #[arg(long, value_name = "NIC")]
    pub r#as: Option<Name>,
    /// Lead a port of the host into the guest: [tcp:|udp:][ADDRESS:]HOSTPORT:GUESTPORT
    #[arg(long = "forward", value_name = "PORTS", value_parser = forward)]
    pub forwards: Vec<tabane_model::Forward>,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Args)]
pub struct VmUnplug {
    pub vm: Name,
    pub nic: Name,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Args)]
pub struct VmConsole {
    pub name: Name,
    /// Key that, pressed three times with Ctrl, leaves the console
    #[arg(long, default_value = "]", value_name = "KEY")]
    pub escape: char,
}

#[derive(Args)]
pub struct Top {
    /// What to sort by
    #[arg(long, default_value_t, value_name = "SERIES")]
    pub sort: tabane_model::Series,
    /// How many to show [default: as many as fit]
    #[arg(short = 'n', long)]
    pub limit: Option<usize>,
    /// Show them once
    #[arg(long)]
    pub once: bool,
}

#[derive(Args)]
pub struct MetricsOf {
    pub name: Name,
    /// Where to begin, in RFC 3339 or seconds since 1970 [default: an hour before the end]
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Where to end [default: now]
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Length of a step [default: as short as was kept and as fits]
    #[arg(long, value_name = "SECONDS")]
    pub step: Option<u32>,
    /// What of a step to show: mean or max
    #[arg(long, default_value_t)]
    pub statistic: tabane_model::Statistic,
}

#[derive(Args)]
pub struct VmExec {
    pub name: Name,
    /// End after this time
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
    /// Pass standard input on
    #[arg(short = 'i', long)]
    pub stdin: bool,
    /// Program and arguments
    #[arg(last = true, required = true)]
    pub command: Vec<String>,
}

#[derive(Subcommand)]
pub enum ImageCommand {
    /// Import an image from a file or an address
    Import(ImageImport),
    /// Build an image: debian-12, debian-13 or tiny
    Build(ImageBuild),
    /// List images
    #[command(visible_alias = "ls")]
    List(List),
    /// Show an image
    Get(Named),
    /// Delete images; disks made from them stay
    #[command(visible_alias = "rm")]
    Delete(NamedChange),
    /// Official cloud images of the big distributions
    Catalogue,
}

#[derive(Args)]
pub struct ImageImport {
    pub name: Name,
    /// A file, an http(s) address, or a name of the catalogue
    pub source: String,
    /// SHA-256 of the file
    #[arg(long)]
    pub sha256: Option<String>,
    /// Address of its publisher's list of checksums, such as …/SHA256SUMS
    #[arg(long, value_name = "URL")]
    pub checksums: Option<String>,
    /// What the file is [default: recognised]
    #[arg(long)]
    pub format: Option<ImageFormat>,
    #[arg(long)]
    pub os: Option<String>,
    /// User that cloud-init makes in it
    #[arg(long)]
    pub default_user: Option<String>,
    /// Do not wait until it is ready
    #[arg(long)]
    pub no_wait: bool,
}

#[derive(Args)]
pub struct ImageBuild {
    /// debian-12, debian-13 or tiny
    pub recipe: String,
    /// Name of the image [default: the recipe's]
    #[arg(long)]
    pub name: Option<Name>,
    /// Do not wait until it is ready
    #[arg(long)]
    pub no_wait: bool,
}

#[derive(Subcommand)]
pub enum DiskCommand {
    /// Create a disk that is attached to no VM
    Create(DiskCreate),
    /// List disks
    #[command(visible_alias = "ls")]
    List(List),
    /// Show a disk
    Get(Named),
    /// Let a disk grow, also while its VM runs
    Resize(DiskResize),
    /// Delete disks
    #[command(visible_alias = "rm")]
    Delete(NamedChange),
}

#[derive(Args)]
pub struct DiskCreate {
    pub name: Name,
    #[arg(long, value_parser = bytes)]
    pub size: Option<u64>,
    #[arg(long)]
    pub image: Option<Name>,
    #[arg(long, default_value = "local")]
    pub pool: Name,
    #[arg(long, default_value_t)]
    pub clone: CloneMode,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Args)]
pub struct DiskResize {
    pub name: Name,
    #[arg(value_parser = bytes)]
    pub size: u64,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Subcommand)]
pub enum PoolCommand {
    /// Create a pool
    Create {
        name: Name,
        /// Folder, the same on every host
        #[arg(long)]
        path: Option<String>,
    },
    /// List pools
    #[command(visible_alias = "ls")]
    List(List),
    /// Show a pool
    Get(Named),
    /// Delete pools
    #[command(visible_alias = "rm")]
    Delete(NamedChange),
}

#[derive(Subcommand)]
pub enum NetworkCommand {
    /// Create a network
    Create {
        name: Name,
        #[arg(long, default_value_t = NetworkKind::Nat)]
        kind: NetworkKind,
        /// IPv4 range, such as 10.30.0.0/24
        #[arg(long)]
        cidr: Option<String>,
        /// Name server; repeat it for more
        #[arg(long)]
        dns: Vec<std::net::IpAddr>,
        #[arg(long)]
        domain: Option<Name>,
    },
    /// List networks
    #[command(visible_alias = "ls")]
    List(List),
    /// Show a network
    Get(Named),
    /// Delete networks
    #[command(visible_alias = "rm")]
    Delete(NamedChange),
}

#[derive(Subcommand)]
pub enum HostCommand {
    /// Make this machine a host of a server, and run its agent
    Join(HostJoin),
    /// List hosts
    #[command(visible_alias = "ls")]
    List(List),
    /// Show a host
    Get(Named),
    /// Show a host's PCI devices, which VMs can be given by --pci
    Devices(Named),
    /// Show which hosts use the most, again and again
    Top(Top),
    /// Show what was measured of a host
    Metrics(MetricsOf),
    /// Give a host no new VMs
    Cordon(NamedChange),
    /// Give a host VMs again
    Uncordon(NamedChange),
    /// Move all VMs and images of a host to others: each VM is shut down, moved with its disks, and started there
    Drain(HostDrain),
    /// Remove hosts that have no VMs any more
    Remove(NamedChange),
}

#[derive(Args)]
pub struct HostDrain {
    pub name: Name,
    /// Do not wait until the host is empty
    #[arg(long)]
    pub no_wait: bool,
    /// Show which VMs would leave, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Args)]
pub struct HostJoin {
    /// https://HOST:PORT/#FINGERPRINT, as the server printed it
    pub server: String,
    /// Name of this host [default: the machine's name]
    #[arg(long)]
    pub name: Option<Name>,
}

#[derive(Subcommand)]
pub enum EventCommand {
    /// List events, or follow them with --watch
    #[command(visible_alias = "ls")]
    List {
        /// Only those about this object, such as vm/web1
        #[arg(long)]
        about: Option<String>,
        #[arg(short, long)]
        watch: bool,
    },
}

#[derive(Subcommand)]
pub enum TokenCommand {
    /// Create a token; it is shown once
    Create {
        name: Name,
        #[arg(long, default_value_t = Role::Viewer)]
        role: Role,
        #[arg(long, default_value = "")]
        description: String,
        /// How long it is good, in hours
        #[arg(long, value_name = "HOURS")]
        expires_in: Option<i64>,
    },
    /// List tokens
    #[command(visible_alias = "ls")]
    List(List),
    /// Delete tokens
    #[command(visible_alias = "rm")]
    Delete(NamedChange),
}

#[derive(Subcommand)]
pub enum AuditCommand {
    /// Check the log of a server that runs or not; needs to read its data folder
    Verify,
}

#[derive(Args)]
pub struct Apply {
    /// The file, or - for standard input
    #[arg(short, long)]
    pub file: PathBuf,
    #[arg(long)]
    pub dry_run: bool,
}

/// A boot order; empty for the default.
#[derive(Clone)]
pub struct Boot(pub Vec<Name>);

fn boot(text: &str) -> Result<Boot, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Result<_, _> = names.map(|name| name.parse().map_err(|e| format!("{e}"))).collect();
    Ok(Boot(names?))
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as key=value")?;
    Ok((key.into(), value.into()))
}

fn forward(text: &str) -> Result<tabane_model::Forward, String> {
    let fault = || "write it as [tcp:|udp:][ADDRESS:]HOSTPORT:GUESTPORT, for example 2222:22".to_string();
    let (protocol, rest) = match text.split_once(':') {
        Some(("tcp", rest)) => (tabane_model::Protocol::Tcp, rest),
        Some(("udp", rest)) => (tabane_model::Protocol::Udp, rest),
        _ => (tabane_model::Protocol::Tcp, text),
    };
    let (rest, guest) = rest.rsplit_once(':').ok_or_else(fault)?;
    let (address, host) = match rest.rsplit_once(':') {
        Some((address, host)) => (Some(address.parse().map_err(|_| fault())?), host),
        None => (None, rest),
    };
    Ok(tabane_model::Forward {
        protocol,
        host_address: address,
        host_port: host.parse().map_err(|_| fault())?,
        guest_port: guest.parse().map_err(|_| fault())?,
    })
}
