//! A file of the matrix, and what an entry says.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{SupportStatus, VersionPattern};
use crate::{Faults, ServerPattern, licence::Origin};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupportMatrix {
    /// The day on which the entries were looked up.
    pub as_of: Date,
    pub support: Vec<Support>,
}

/// What a vendor says of a product on a hypervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Support {
    pub vendor: String,
    pub product: String,
    /// All, unless stated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<VersionPattern>,
    /// `qemu-kvm`, that of a distribution as `rhel-kvm`, `vmware`, `hyper-v`, or `any`.
    pub hypervisor: String,
    pub status: SupportStatus,
    /// On which it depends, in words; or what the answer does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// By which servers are recognised that it is about.
    #[serde(rename = "match")]
    pub servers: Vec<ServerPattern>,
    pub source: Vec<Origin>,
}

impl SupportMatrix {
    /// Everything that is wrong.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        if self.support.is_empty() {
            faults.add("support", "there is no entry", "describe one under [[support]]");
        }
        for (at, entry) in self.support.iter().enumerate() {
            entry.faults(&format!("support[{at}]"), &mut faults);
            if self.support[..at].contains(entry) {
                let hint = "take one of them out";
                faults.add(format!("support[{at}]"), "the same entry stands above", hint);
            }
        }
        faults
    }
}

impl Support {
    /// Adds what is wrong with it; `field` is where it stands.
    pub fn faults(&self, field: &str, faults: &mut Faults) {
        for (name, text) in [("vendor", &self.vendor), ("product", &self.product)] {
            if text.trim().is_empty() {
                faults.add(format!("{field}.{name}"), "it is empty", "say whose product it is, and which");
            }
        }
        let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.hypervisor.is_empty() || !self.hypervisor.chars().all(named) {
            let hint = "use small letters, digits and '-': \"qemu-kvm\", \"rhel-kvm\", \"vmware\", \"any\"";
            faults.add(format!("{field}.hypervisor"), "it is no name of a hypervisor", hint);
        }
        if self.versions.iter().any(|version| version.0.trim().is_empty()) {
            faults.add(format!("{field}.versions"), "one is empty", "write a version, or \"15*\"");
        }
        match &self.condition {
            None if self.status == SupportStatus::Conditional => {
                let hint = "say in words what has to be so";
                faults.add(format!("{field}.condition"), "conditional on nothing", hint);
            }
            Some(condition) if condition.trim().is_empty() => {
                faults.add(format!("{field}.condition"), "it is empty", "say in words what has to be so");
            }
            _ => {}
        }
        self.check_match(&format!("{field}.match"), faults);
        if self.source.is_empty() {
            let hint = "say where it is written, or standing = \"knowledge\"";
            faults.add(format!("{field}.source"), "the entry has no source", hint);
        }
        for (at, source) in self.source.iter().enumerate() {
            source.check(&format!("{field}.source[{at}]"), faults);
        }
    }

    fn check_match(&self, field: &str, faults: &mut Faults) {
        if self.servers.is_empty() {
            let hint = "write by what servers are recognised: \"application=oracle database*\"";
            faults.add(field, "the entry is about no server", hint);
        }
        for (at, pattern) in self.servers.iter().enumerate() {
            let field = format!("{field}[{at}]");
            let blank = match pattern.column() {
                None => pattern.0.trim().is_empty(),
                Some((column, wanted)) => column.is_empty() || wanted.is_empty(),
            };
            if blank {
                faults.add(
                    field.as_str(),
                    "it means nobody",
                    "name a column and what is in it: \"os=debian*\"",
                );
            }
            // A name says nothing of what runs there, let alone in which version.
            if pattern.column().is_none() && !self.versions.is_empty() {
                let hint = "recognise the product by a column, or leave versions out";
                faults.add(field, "a server that is meant by its name has no version", hint);
            }
        }
    }
}
