//! Which servers are meant: by name, or by what is known of them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Source;

/// A name (`web1`), names with `*` for anything (`web-*`), or a column of `servers.csv` and what is in it
/// (`application=oracle*`). Upper and lower case are the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct ServerPattern(pub String);

impl ServerPattern {
    pub fn matches(&self, server: &Source) -> bool {
        match self.column() {
            None => fits(&self.0, &server.name),
            Some((column, wanted)) => {
                let mut labels = server.labels.iter();
                labels.any(|(name, value)| name.eq_ignore_ascii_case(column) && fits(wanted, value))
            }
        }
    }

    /// Column and what is wanted in it; without a column the name is meant.
    pub fn column(&self) -> Option<(&str, &str)> {
        self.0.split_once('=').map(|(column, wanted)| (column.trim(), wanted.trim()))
    }
}

/// Whether a text fits a pattern with `*`. Takes time of pattern × text at most.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_columns_are_matched() {
        let labels = vec![("Application".into(), "Oracle Database 19c".into())];
        let server = Source { name: "db-01".into(), cores: 1, cpu_cap_mhz: 1, mem_cap_mib: 1, labels };
        let meant = |text: &str| ServerPattern(text.into()).matches(&server);
        for text in ["db-01", "DB-*", "*01", "*", "d*-*1", "application=oracle*", "application = *19C"] {
            assert!(meant(text), "{text}");
        }
        for text in ["db-0", "db-011*", "*02", "d*x*1", "application=oracle", "os=*", ""] {
            assert!(!meant(text), "{text}");
        }
        // One part may not serve twice.
        assert!(!fits("ab*ba", "aba"));
    }
}
