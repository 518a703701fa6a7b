//! Which servers an entry is about: what runs on them, and in which version, as `servers.csv` has it.

use serde::{Deserialize, Serialize};

use super::Support;
use crate::{Source, plan::fits};

/// A version, or versions with `*` for anything (`15*`). Upper and lower case are the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionPattern(pub String);

impl VersionPattern {
    pub fn matches(&self, version: &str) -> bool {
        fits(&self.0, version)
    }
}

/// What was found of a server that an entry is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognised<'a> {
    /// Without one the server was meant by its name.
    pub column: Option<&'a str>,
    /// The part of the column, or the name.
    pub text: &'a str,
    pub version: VersionTold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionTold {
    /// One that the entry is about, or it is about all.
    Meant,
    /// The server says none, so it may be one that the entry is about.
    Nowhere,
}

/// A column may name several things: `Oracle Database 19c; Apache 2.4`.
pub fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(';').map(str::trim).filter(|part| !part.is_empty())
}

impl Support {
    /// Everything of a server that this entry is about. Other versions of the same product are not.
    pub fn recognise<'a>(&self, server: &'a Source) -> Vec<Recognised<'a>> {
        let mut found = Vec::new();
        for pattern in &self.servers {
            let Some((column, wanted)) = pattern.column() else {
                if pattern.matches(server) {
                    found.push(Recognised { column: None, text: &server.name, version: VersionTold::Meant });
                }
                continue;
            };
            for (name, value) in server.labels.iter().filter(|(name, _)| name.eq_ignore_ascii_case(column)) {
                // Of several things one cannot say which a version in another column is of.
                let beside = (parts(value).count() == 1).then_some(name.as_str());
                for text in parts(value).filter(|text| fits(wanted, text)) {
                    if let Some(version) = self.version(server, beside, text) {
                        found.push(Recognised { column: Some(name), text, version });
                    }
                }
            }
        }
        found
    }

    /// Versions are words with a digit in them, behind the product or in a column of their own beside its column
    /// (`os_version`). `None` if there are some, and none of them is meant.
    fn version(&self, server: &Source, beside: Option<&str>, text: &str) -> Option<VersionTold> {
        if self.versions.is_empty() {
            return Some(VersionTold::Meant);
        }
        let own = beside.map(|column| format!("{column}_version"));
        let own = server
            .labels
            .iter()
            .filter(|(name, _)| own.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(name)));
        let texts = own.map(|(_, value)| value.as_str()).chain([text]);
        let mut told =
            texts.flat_map(words).filter(|word| word.contains(|c: char| c.is_ascii_digit())).peekable();
        if told.peek().is_none() {
            return Some(VersionTold::Nowhere);
        }
        told.any(|word| self.versions.iter().any(|version| version.matches(word)))
            .then_some(VersionTold::Meant)
    }
}

/// `(64-bit)` and its like are no version of anything.
fn words(text: &str) -> impl Iterator<Item = &str> {
    const WIDTHS: [&str; 6] = ["64-bit", "32-bit", "64bit", "32bit", "x86_64", "x64"];
    let is_width = |word: &str| WIDTHS.iter().any(|width| width.eq_ignore_ascii_case(word));
    text.split([' ', '\t', '(', ')', ',', '/']).filter(move |word| !word.is_empty() && !is_width(word))
}
