//! Where a rule is written, and how far to trust that.

use serde::{Deserialize, Serialize};

use crate::Faults;

/// Whose words a rule or a price follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    pub title: String,
    pub publisher: String,
    /// Of the text, as it says itself: a day, a month or a year; absent where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// Where the text was read, which may be a copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<String>,
    pub standing: Standing,
    /// What the reader has to know of how the text and the rule differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// The vendor's own text was read for this entry, at the vendor or in a copy.
    Vendor,
    /// Of somebody who sells the vendor's licences.
    Reseller,
    /// Of anybody else who wrote about it.
    Secondary,
    /// Nothing was read: the rule is as those in the trade know it.
    Knowledge,
}

impl Origin {
    pub(crate) fn check(&self, field: &str, faults: &mut Faults) {
        for (name, text) in [("title", &self.title), ("publisher", &self.publisher)] {
            if text.trim().is_empty() {
                faults.add(format!("{field}.{name}"), "it is empty", "say where it is written");
            }
        }
        if self.standing != Standing::Knowledge && self.read_at.is_none() {
            let hint = "give read_at, or say standing = \"knowledge\"";
            faults.add(format!("{field}.read_at"), "a text that was read was read somewhere", hint);
        }
    }
}
