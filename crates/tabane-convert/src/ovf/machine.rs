//! What a descriptor says of a machine, in our words. Names and texts are still those of a stranger.

use tabane_model::Firmware;
/// What the guest saw between itself and the disk.
pub use tabane_model::PackageBus as Controller;
pub use tabane_model::PackageConfiguration as Configuration;

#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    pub name: Option<String>,
    /// What the packer said about the operating system.
    pub os: Option<String>,
    pub cpus: u32,
    pub memory_bytes: u64,
    pub firmware: Firmware,
    /// The one to boot from first.
    pub disks: Vec<Disk>,
    pub nics: Vec<Nic>,
    /// Which of the packer's sizes this is, and which others there are.
    pub configuration: Option<String>,
    pub configurations: Vec<Configuration>,
    /// Texts that the packer wants to be agreed to.
    pub licences: Vec<String>,
    /// What is in the descriptor and not in this machine.
    pub left_out: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The packer's name of it.
    pub label: String,
    /// In the package: a plain name. A disk without a file is blank.
    pub file: Option<String>,
    pub capacity_bytes: u64,
    pub controller: Controller,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    pub label: String,
    /// The packer's name of the network.
    pub network: Option<String>,
    pub mac: Option<String>,
    pub model: Option<String>,
}
