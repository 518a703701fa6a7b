//! A list of sources: a source or a subnet on each line; empty lines, and what is behind a `#`, count nothing.

use std::{collections::HashSet, path::Path};

use super::{
    Target,
    range::{ADDRESSES_MAX, Range, RangeError},
};
use crate::{Error, Place, Result, text};

const LIST_BYTES_MAX: u64 = 16 << 20;

/// Sources that somebody has named, and addresses of subnets that nobody need have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    pub named: Vec<Target>,
    pub addresses: Vec<Target>,
}

impl Sources {
    /// Subnets have so many addresses together at most, wherever they were named.
    pub fn add(&mut self, range: Range) -> std::result::Result<(), RangeError> {
        match range {
            Range::One(target) => self.named.push(target),
            Range::Subnet(targets) => {
                self.addresses.extend(targets);
                if self.addresses.len() > ADDRESSES_MAX as usize {
                    return Err(RangeError::TooMany);
                }
            }
        }
        Ok(())
    }

    /// The name of a server that is there for two users, who would write into one folder.
    pub fn named_twice(&self) -> Option<String> {
        let mut seen = HashSet::new();
        self.named.iter().map(Target::name).find(|name| !seen.insert(name.clone()))
    }

    /// What the file says besides. What is wrong is told with line and column, in letters.
    pub fn read(&mut self, path: &Path) -> Result<()> {
        self.read_words(path).map(drop)
    }

    /// As `read`; returns what it was told, word by word.
    pub fn read_words(&mut self, path: &Path) -> Result<Vec<String>> {
        let text = text::read(path, LIST_BYTES_MAX)?;
        let mut words = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let said = line.split('#').next().unwrap_or_default();
            let entry = said.trim();
            if entry.is_empty() {
                continue;
            }
            let column = said.chars().take_while(|letter| letter.is_whitespace()).count() + 1;
            let wrong = |what: String| Error::Malformed {
                place: Place { file: path.to_owned(), line: at + 1, column: Some(column) },
                what,
            };
            entry
                .parse()
                .and_then(|range| self.add(range))
                .map_err(|error: RangeError| wrong(error.to_string()))?;
            words.push(entry.to_owned());
        }
        Ok(words)
    }

    /// Each once, in order. Who is named goes before the same address of a subnet, with its own user.
    pub fn sorted(mut self) -> Self {
        self.named.sort();
        self.named.dedup();
        let named: HashSet<String> = self.named.iter().map(Target::name).collect();
        self.addresses.retain(|target| !named.contains(&target.name()));
        // By their numbers, not by their letters.
        self.addresses.sort_by_cached_key(|target| {
            (target.user.clone(), target.host.parse::<std::net::IpAddr>().ok(), target.port)
        });
        self.addresses.dedup();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<Sources, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, text).unwrap();
        let mut sources = Sources::default();
        let told = |error: Error| error.to_string().replace(&folder.path().display().to_string(), ".");
        sources.read(&path).map_err(told)?;
        Ok(sources.sorted())
    }

    fn told(targets: &[Target]) -> Vec<String> {
        targets.iter().map(Target::to_string).collect()
    }

    #[test]
    fn lists_have_sources_and_subnets() {
        let sources =
            read("# rack 1\n\n  web1 # the shop\nroot@127.0.0.0/30\nadmin@127.0.0.2\n127.0.0.0/32\nweb1\n")
                .unwrap();
        assert_eq!(told(&sources.named), ["web1", "admin@127.0.0.2"]);
        assert_eq!(told(&sources.addresses), ["127.0.0.0", "root@127.0.0.1"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_line_and_column() {
        assert_eq!(
            read("web1\n\t root@10.0.0.0/7 # all\n").unwrap_err(),
            "./list, line 2, column 3: 10.0.0.0/7 has more than 4096 addresses: write /20 or a longer prefix, in several lines"
        );
        assert!(read("-x\n").unwrap_err().starts_with("./list, line 1, column 1: \"-x\" is no source"));
        let many = "10.0.0.0/20\n10.1.0.0/20\n";
        assert_eq!(
            read(many).unwrap_err(),
            "./list, line 2, column 1: the subnets have more than 4096 addresses together: survey them one after the other"
        );
    }
}
