//! Making a master image of a machine: what is its own, and no copy's, is taken out.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Faults, resource::words};

const USERS_MAX: usize = 32;

words!(
    /// What is taken out of the guest's file systems, in this order.
    GeneraliseStep {
        #[default]
        MachineId = "machine-id",
        SshHostKeys = "ssh-host-keys",
        CloudInit = "cloud-init",
        Hostname = "hostname",
        NetworkNames = "network-names",
        DhcpLeases = "dhcp-leases",
        RandomSeed = "random-seed",
        StorageNames = "storage-names",
        Users = "users",
        History = "history",
        TemporaryFiles = "temporary-files",
        Logs = "logs",
        /// Space that no file takes is given back.
        Trim = "trim",
    }
);

impl GeneraliseStep {
    pub const ALL: [Self; 13] = [
        Self::MachineId,
        Self::SshHostKeys,
        Self::CloudInit,
        Self::Hostname,
        Self::NetworkNames,
        Self::DhcpLeases,
        Self::RandomSeed,
        Self::StorageNames,
        Self::Users,
        Self::History,
        Self::TemporaryFiles,
        Self::Logs,
        Self::Trim,
    ];

    /// What it does, for people.
    pub fn about(self) -> &'static str {
        match self {
            Self::MachineId => "empties /etc/machine-id: each copy gets an identity of its own at first boot",
            Self::SshHostKeys => "removes the SSH host keys; they are made anew at first boot",
            Self::CloudInit => "forgets what cloud-init has done, so that it runs again",
            Self::Hostname => "takes out the host name",
            Self::NetworkNames => {
                "forgets MAC addresses: udev's names of nics, and cloud-init's network files"
            }
            Self::DhcpLeases => "forgets addresses that were leased",
            Self::RandomSeed => "removes stored random seeds, which no two machines may share",
            Self::StorageNames => "removes the names of iSCSI initiator and NVMe host",
            Self::Users => "removes the users that were named, with their home folders",
            Self::History => "removes histories of shells and editors",
            Self::TemporaryFiles => "empties /tmp and /var/tmp, and the caches of packages",
            Self::Logs => "empties logs and journals",
            Self::Trim => "gives back the space that no file takes",
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Generalise {
    /// Steps that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<GeneraliseStep>,
    /// Users that are removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_users: Vec<String>,
}

impl Generalise {
    /// The steps that will run.
    pub fn steps(&self) -> impl Iterator<Item = GeneraliseStep> {
        let wanted = |step: &GeneraliseStep| {
            !self.skip.contains(step) && (*step != GeneraliseStep::Users || !self.remove_users.is_empty())
        };
        GeneraliseStep::ALL.into_iter().filter(wanted)
    }

    pub(crate) fn validate(&self, field: &str, faults: &mut Faults) {
        if self.remove_users.len() > USERS_MAX {
            faults.add(format!("{field}.remove_users"), "more than 32 users", "use 32 at most");
        }
        for (i, user) in self.remove_users.iter().enumerate() {
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
            let start = user.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
            if !start || user.len() > 32 || !user.chars().all(good) || user == "root" {
                faults.add(
                    format!("{field}.remove_users[{i}]"),
                    "is no name of a user that can be removed",
                    "use a-z, 0-9, '-' and '_', beginning with a letter; root stays",
                );
            }
        }
    }
}

/// How a step went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Generalised {
    pub step: GeneraliseStep,
    /// What it found and did.
    pub result: String,
}
