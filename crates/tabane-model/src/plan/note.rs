//! What a reader of a plan has to know besides its numbers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Proof;
use crate::support::SupportRefusal;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PlanNote {
    /// No hypervisor is on every vendor's list.
    VendorSupport,
    /// What vendors support of the servers that move, by analogy at best: Tabane itself is on nobody's list.
    Supported { supported: u32, conditional: u32, unknown: u32, unsupported: u32 },
    /// The traces are too short to say how often hosts will be overloaded.
    TooShort { days_min: u32 },
    /// More overload is expected than is accepted: no margin that was tried promises less of these hosts.
    NoMargin { expected_share: f64 },
    /// By what was measured the accepted share is kept, and too little was measured to promise it.
    LittleHistory { expected_share: f64 },
    /// Hosts are planned to more than they have. By the traces themselves this is the share of host-samples at which they have
    /// less than their servers ask for.
    Overcommitted { fill: f64, measured_share: f64, accepted_share: f64 },
    /// These servers fit no host that is filled as far as others. Each has one that it may fill as far as the policy lets it, and
    /// nobody else is there while it needs more than others have.
    Large { servers: Vec<String>, fill: f64 },
    /// There are not hosts enough for so many failures, of this host for one.
    NotAbsorbed { failures: u32, host: Option<String> },
    /// It was given up to look for how so many failures are absorbed by what the other hosts have left.
    ReserveCutShort { failures: u32 },
    /// Of so many servers too little is known; `data_quality.thin` says which.
    Thin { servers: u32 },
    /// Of so many servers nobody knows what space they take on disks: they count as none.
    DiskSpaceUnknown { servers: u32 },
    /// MHz of CPUs count by what the CPUs do with them: these were known, these not, and of so many servers nobody says what
    /// they have. `hosts` are types of hosts of which nothing is known. What is not known counts as the reference.
    CpuIndices { known: Vec<CpuModel>, unknown: Vec<String>, unnamed: u32, hosts: Vec<String> },
    /// These servers ask for more than there is, which is why some have no host. By these rules they may go to no other
    /// hosts, of which there are so many; without any of it the proof does not hold.
    Clash {
        servers: Vec<String>,
        rules: Vec<String>,
        hosts: Vec<ClashHosts>,
        /// As of a bound; with the function `all`, amounts are counted, and hosts otherwise.
        proof: Proof,
        needed: u64,
        there: u64,
    },
    /// No place was found for so many servers that fit a host, and it is not proved that there is none.
    NoPlaceFound { servers: u32 },
}

/// Hosts that there is a limited number of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClashHosts {
    pub host_type: String,
    pub count: u32,
}

/// Servers with a CPU of this name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CpuModel {
    /// Empty where servers state an index and no model.
    pub model: String,
    pub index: f64,
    pub servers: u32,
}

impl std::fmt::Display for PlanNote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::VendorSupport => f.write_str(
                "No hypervisor is on every vendor's list: look each product's support for QEMU/KVM up before it is moved.",
            ),
            Self::Supported { supported, conditional, unknown, unsupported } => write!(
                f,
                "Vendors' support of the servers that move: {supported} supported, {conditional} conditional, {unknown} unknown, {unsupported} unsupported. Tabane itself is on no vendor's list."
            ),
            Self::TooShort { days_min } => write!(
                f,
                "The traces are shorter than {days_min} days: how often hosts will be overloaded is not known."
            ),
            Self::NoMargin { expected_share } => write!(
                f,
                "More overload is expected than is accepted: at {:.4} % of host-samples. No margin that was tried promises less of so few hosts; a lower fill_max may.",
                expected_share * 100.0
            ),
            Self::LittleHistory { expected_share } => write!(
                f,
                "By all that was measured the accepted share is kept. From so little history no less than {:.4} % can be promised: the longer it is measured, the less that is.",
                expected_share * 100.0
            ),
            Self::Overcommitted { fill, measured_share, accepted_share } => write!(
                f,
                "CPU, disk and network are overcommitted: hosts are planned to {:.0} % of what they have. In the traces themselves that is too little at {:.4} % of host-samples; accepted are {:.4} %. Memory and disk space are not overcommitted.",
                fill * 100.0,
                measured_share * 100.0,
                accepted_share * 100.0
            ),
            Self::Large { servers, fill } => write!(
                f,
                "By itself {} more of a host than the {:.0} % that hosts are planned to be filled to: {}. While it does, nobody else on its host needs any, and less is left for what was not foreseen.",
                if servers.len() == 1 { "one server needs".into() } else { format!("each of {} servers needs", servers.len()) },
                fill * 100.0,
                some(servers)
            ),
            Self::Thin { servers } => write!(
                f,
                "{} measured for too short a time, or with too many gaps: data_quality.thin says which, and for how long they should be measured.",
                if *servers == 1 { "One server was".into() } else { format!("{servers} servers were") }
            ),
            Self::DiskSpaceUnknown { servers } => write!(
                f,
                "Disk space of {} is not known and counts as none: state it as disk_gib in servers.csv.",
                if *servers == 1 { "one server".into() } else { format!("{servers} servers") }
            ),
            Self::CpuIndices { known, unknown, unnamed, hosts } => {
                f.write_str("CPU is counted in MHz of the reference of the table of CPUs.")?;
                for (at, cpu) in known.iter().enumerate() {
                    let before = if at == 0 { " Known: " } else { "; " };
                    let model = if cpu.model.is_empty() { "stated" } else { &cpu.model };
                    write!(f, "{before}{model} × {} ({})", cpu.index, cpu.servers)?;
                }
                f.write_str(if known.is_empty() { " No server's CPU is known." } else { "." })?;
                if !unknown.is_empty() {
                    write!(f, " Not in the table, counted as 1: {}.", unknown.join("; "))?;
                }
                match unnamed {
                    0 => {}
                    1 => f.write_str(" One server does not say what CPU it has, and counts as 1.")?,
                    _ => write!(f, " {unnamed} servers do not say what CPU they have, and count as 1.")?,
                }
                if !hosts.is_empty() {
                    write!(f, " Types of hosts without a known CPU, counted as 1: {}.", hosts.join(", "))?;
                }
                Ok(())
            }
            Self::Clash { servers, rules, hosts, proof, needed, there } => {
                write!(f, "Some servers have no host, since these ask for more than there is: {}", some(servers))?;
                for rule in rules {
                    write!(f, "; {rule}")?;
                }
                for ClashHosts { host_type, count } in hosts {
                    write!(f, "; {count} of {host_type}")?;
                }
                match proof.function.as_str() {
                    "all" => write!(f, ". Of {} they need {needed}, and there are {there}.", proof.resource)?,
                    _ => write!(f, ". They need {needed} hosts, and there are {there}.")?,
                }
                f.write_str(" This is proved; with any of it left out it is not so.")
            }
            Self::NoPlaceFound { servers } => write!(
                f,
                "No place was found for {servers} that would fit a host. It is not proved that there is none: more time or other rules may find it, more hosts will."
            ),
            Self::ReserveCutShort { failures } => write!(
                f,
                "Takeovers for {failures} {} were not looked for to the end: the work was stopped, or the time was over. Plan again with a longer time_limit_s.",
                if *failures == 1 { "failure" } else { "failures" }
            ),
            Self::NotAbsorbed { failures, host } => {
                let host = host.as_deref().unwrap_or("any host");
                match failures {
                    1 => write!(f, "There are not hosts enough to absorb the failure of {host}."),
                    _ => write!(f, "There are not hosts enough to absorb {failures} failures at once, one of {host}."),
                }
            }
        }
    }
}

/// Names in a sentence: not hundreds of them.
fn some(names: &[String]) -> String {
    const MOST: usize = 8;
    match names.len() {
        0..=MOST => names.join(", "),
        all => format!("{} and {} more", names[..MOST].join(", "), all - MOST),
    }
}

/// Why a server has no host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum UnplacedCause {
    Excluded,
    NotMeasured,
    /// The policy asks for a support that its vendors do not give.
    NotSupported {
        refusal: SupportRefusal,
    },
    /// It was measured for fewer days than the policy asks for.
    TooLittle {
        days: f64,
        days_min: f64,
    },
    NoHostLeft,
    /// It needs more of these than the host that is nearest to what it needs.
    TooLarge {
        lacking: Vec<Lack>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lack {
    pub resource: String,
    pub needed: u32,
    pub there: u32,
}

impl std::fmt::Display for UnplacedCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Excluded => f.write_str("the policy excludes it"),
            Self::NotMeasured => f.write_str("nothing was measured of it"),
            Self::NotSupported { refusal } => {
                f.write_str("the policy asks for more support than there is")?;
                for (at, cause) in refusal.causes.iter().enumerate() {
                    write!(f, "{}{cause}", if at == 0 { ": " } else { "; " })?;
                }
                Ok(())
            }
            Self::TooLittle { days, days_min } => {
                write!(f, "it was measured for {days:.1} days, and the policy asks for {days_min}")
            }
            Self::NoHostLeft => f.write_str("there are not enough hosts of the kinds it fits"),
            Self::TooLarge { lacking } => {
                f.write_str("it is larger than any host that it may go to")?;
                for (at, lack) in lacking.iter().enumerate() {
                    let before = if at == 0 { ": " } else { ", " };
                    write!(
                        f,
                        "{before}it needs {} of {}, {} may be used",
                        lack.needed, lack.resource, lack.there
                    )?;
                }
                Ok(())
            }
        }
    }
}
