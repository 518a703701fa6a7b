//! CD drives and limits.

use clap::{Args, Subcommand};
use tabane_model::{Name, parse_bytes};

use super::Change;

#[derive(Subcommand)]
pub enum CdCommand {
    /// Put an ISO into a drive, also while the VM runs; what is in it is taken out
    Insert(CdInsert),
    /// Take out what is in a drive, also while the VM runs; a guest that uses it is asked first
    Eject(CdDrive),
    /// Give a VM that is off another drive
    Add(CdDrive),
    /// Take a drive out of a VM that is off
    Remove(CdDrive),
}

#[derive(Args)]
pub struct CdInsert {
    pub vm: Name,
    pub image: Name,
    /// Which drive [default: the first; one is added to a VM that is off and has none]
    #[arg(long)]
    pub drive: Option<Name>,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Args)]
pub struct CdDrive {
    pub vm: Name,
    /// Which drive [default: the only one; of a new one the first free of cd0, cd1, …]
    #[arg(long)]
    pub drive: Option<Name>,
    #[command(flatten)]
    pub change: Change,
}

/// A limit, or `None` where there is to be none any more.
pub type Limit = Option<u64>;

#[derive(Args)]
pub struct VmLimit {
    pub vm: Name,
    /// Name of the disk or nic inside the VM
    pub device: Name,
    /// Requests of a disk a second, or none
    #[arg(long, value_parser = count, value_name = "N")]
    pub iops: Option<Limit>,
    /// Of reads alone
    #[arg(long, value_parser = count, value_name = "N")]
    pub read_iops: Option<Limit>,
    /// Of writes alone
    #[arg(long, value_parser = count, value_name = "N")]
    pub write_iops: Option<Limit>,
    /// Such as 50MiB/s, or none: of a disk reads and writes together, of a nic each way
    #[arg(long, value_parser = rate, value_name = "RATE")]
    pub bandwidth: Option<Limit>,
    /// What a disk reads
    #[arg(long, value_parser = rate, value_name = "RATE")]
    pub read_bandwidth: Option<Limit>,
    /// What a disk writes
    #[arg(long, value_parser = rate, value_name = "RATE")]
    pub write_bandwidth: Option<Limit>,
    /// What the guest gets by a nic
    #[arg(long, value_parser = rate, value_name = "RATE")]
    pub receive: Option<Limit>,
    /// What the guest sends by a nic
    #[arg(long, value_parser = rate, value_name = "RATE")]
    pub send: Option<Limit>,
    #[command(flatten)]
    pub change: Change,
}

fn count(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(None),
        text => text.parse().map(Some).map_err(|_| format!("{text:?} is no number, nor none")),
    }
}

fn rate(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(None),
        text => parse_bytes(text.strip_suffix("/s").unwrap_or(text)).map(Some).map_err(|e| e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_sizes_a_second() {
        assert_eq!(rate("50MiB/s"), Ok(Some(50 << 20)));
        assert_eq!(rate("1GiB"), Ok(Some(1 << 30)));
        assert_eq!(rate("none"), Ok(None));
        assert!(rate("fast").is_err() && count("1.5").is_err());
        assert_eq!(count("100"), Ok(Some(100)));
    }
}
