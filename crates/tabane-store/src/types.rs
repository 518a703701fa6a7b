//! What goes into a store and what comes out: keys, entries, txns and their limits.
//!
//! Invariant: a [`Txn`] that passed [`Txn::validate`] can fail only by conflict, by a missing lease or by the
//! storage itself; every limit is judged before anything is queued.

use bytes::Bytes;

use crate::{Error, Result};

/// One per txn that changed something; strictly increasing, never used twice, survives a restart.
pub type Revision = u64;

/// The longest key, in bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 512;
/// The largest value.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// The most ops in one txn.
pub const OPS_MAX: usize = 512;
/// The most compares in one txn.
pub const COMPARES_MAX: usize = 512;
/// The most bytes of keys and values in one txn: a txn is one message and is held in memory as a whole.
pub const TXN_BYTES_MAX: usize = 4 << 20;
/// The longest time to live of a lease: thirty days.
pub const LEASE_TTL_MS_MAX: u64 = 30 * 24 * 3600 * 1000;

/// Names a lease. Drawn at random, so that a lease from after a backup never meets one from before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub u64);

impl std::fmt::Display for LeaseId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A key with its present value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub value: Bytes,
    /// The revision that made the key; a key that was deleted and put again is made anew.
    pub created: Revision,
    /// The revision of the last put.
    pub modified: Revision,
    pub lease: Option<LeaseId>,
}

/// A part of a list, in key order, all of it as of `revision`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// Give it as `after` to read on; `None` when this was the end.
    pub next: Option<String>,
    /// The store's revision when the page was read. To list and then watch without a gap, watch after the revision
    /// of the *first* page.
    pub revision: Revision,
}

/// A condition of a txn on one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compare {
    Absent(String),
    Exists(String),
    /// The key's `modified` is still this.
    Unchanged(String, Revision),
}

impl Compare {
    pub fn key(&self) -> &str {
        match self {
            Compare::Absent(key) | Compare::Exists(key) | Compare::Unchanged(key, _) => key,
        }
    }

    /// Whether the condition holds for the key's present `modified` (`None`: there is no such key).
    pub(crate) fn holds(&self, modified: Option<Revision>) -> bool {
        match self {
            Compare::Absent(_) => modified.is_none(),
            Compare::Exists(_) => modified.is_some(),
            Compare::Unchanged(_, revision) => modified == Some(*revision),
        }
    }
}

/// A change of a txn to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Sets the value; the key's former lease, if any, gives way to the one named here.
    Put { key: String, value: Bytes, lease: Option<LeaseId> },
    /// Removes the key; no error when there is none.
    Delete(String),
}

impl Op {
    pub fn key(&self) -> &str {
        match self {
            Op::Put { key, .. } | Op::Delete(key) => key,
        }
    }
}

/// If every compare holds, every op is done; otherwise none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Txn {
    pub compares: Vec<Compare>,
    pub ops: Vec<Op>,
}

impl Txn {
    pub fn new() -> Txn {
        Txn::default()
    }

    #[must_use]
    pub fn when(mut self, compare: Compare) -> Txn {
        self.compares.push(compare);
        self
    }

    #[must_use]
    pub fn put(mut self, key: impl Into<String>, value: impl Into<Bytes>) -> Txn {
        self.ops.push(Op::Put { key: key.into(), value: value.into(), lease: None });
        self
    }

    #[must_use]
    pub fn put_leased(mut self, key: impl Into<String>, value: impl Into<Bytes>, lease: LeaseId) -> Txn {
        self.ops.push(Op::Put { key: key.into(), value: value.into(), lease: Some(lease) });
        self
    }

    #[must_use]
    pub fn delete(mut self, key: impl Into<String>) -> Txn {
        self.ops.push(Op::Delete(key.into()));
        self
    }

    /// The bytes of keys and values that the txn carries.
    pub(crate) fn size_bytes(&self) -> usize {
        let compares: usize = self.compares.iter().map(|compare| compare.key().len()).sum();
        let ops: usize = self
            .ops
            .iter()
            .map(|op| match op {
                Op::Put { key, value, .. } => key.len() + value.len(),
                Op::Delete(key) => key.len(),
            })
            .sum();
        compares + ops
    }

    /// Judges every limit. A key that two ops name is refused, as etcd does: which of them wins would be a guess.
    pub fn validate(&self) -> Result<()> {
        limit("compares", self.compares.len(), COMPARES_MAX)?;
        limit("ops", self.ops.len(), OPS_MAX)?;
        for compare in &self.compares {
            validate_key(compare.key())?;
        }
        let mut seen = std::collections::HashSet::with_capacity(self.ops.len());
        for op in &self.ops {
            validate_key(op.key())?;
            if let Op::Put { key, value, .. } = op
                && value.len() > VALUE_BYTES_MAX
            {
                return Err(Error::ValueTooLarge { key: key.clone(), size_bytes: value.len() });
            }
            if !seen.insert(op.key()) {
                return Err(Error::DuplicateKey { key: op.key().to_owned() });
            }
        }
        limit("bytes", self.size_bytes(), TXN_BYTES_MAX)
    }
}

fn limit(what: &'static str, found: usize, max: usize) -> Result<()> {
    if found > max { Err(Error::TxnTooLarge { what, found, max }) } else { Ok(()) }
}

pub(crate) fn validate_key(key: &str) -> Result<()> {
    let reason = if key.is_empty() {
        "it is empty"
    } else if key.len() > KEY_BYTES_MAX {
        "it is longer than 512 bytes"
    } else if key.contains('\0') {
        "it contains a zero byte"
    } else {
        return Ok(());
    };
    // A key that is refused for its length is not worth repeating in full.
    Err(Error::Key { key: key.chars().take(64).collect(), reason })
}

pub(crate) fn validate_ttl(ttl_ms: u64) -> Result<()> {
    if ttl_ms == 0 || ttl_ms > LEASE_TTL_MS_MAX { Err(Error::LeaseTtl { ttl_ms }) } else { Ok(()) }
}

/// What became of a txn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Durable. A txn that changed nothing (no ops, or only deletes of absent keys) has no revision of its own and
    /// names the store's present one.
    Committed(Revision),
    /// Nothing was done: the first compare that failed was on this key, and this is what the store has there.
    Conflict { key: String, current: Option<Entry> },
}

/// The latest state of a key as a watch sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub revision: Revision,
    pub key: String,
    /// `None`: the key was deleted.
    pub value: Option<Bytes>,
}

/// The least string that is greater than every string that begins with `prefix`; `None` when there is no end.
///
/// Works on characters, not bytes: the order of UTF-8 bytes is the order of code points, and the result stays a string.
pub fn prefix_end(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        let next = match last {
            // The code points in between are surrogates, which no string contains.
            '\u{d7ff}' => Some('\u{e000}'),
            _ => char::from_u32(last as u32 + 1),
        };
        if let Some(next) = next {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_bounds_exactly_its_strings() {
        assert_eq!(prefix_end("vms/").as_deref(), Some("vms0"));
        assert_eq!(prefix_end("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(prefix_end("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(prefix_end(""), None);
        assert_eq!(prefix_end("\u{10ffff}"), None);
    }

    proptest::proptest! {
        #[test]
        fn a_key_is_below_the_end_iff_it_has_the_prefix(prefix in "\\PC{0,3}", key in "\\PC{0,5}") {
            let inside = key.as_str() >= prefix.as_str()
                && prefix_end(&prefix).is_none_or(|end| key.as_str() < end.as_str());
            proptest::prop_assert_eq!(inside, key.starts_with(&prefix));
            let longer = format!("{prefix}{key}");
            proptest::prop_assert!(prefix_end(&prefix).is_none_or(|end| longer < end));
        }
    }

    #[test]
    fn limits_are_judged_before_anything_else() {
        let long = "k".repeat(KEY_BYTES_MAX + 1);
        assert!(matches!(Txn::new().put(long, "v").validate(), Err(Error::Key { .. })));
        assert!(matches!(Txn::new().delete("").validate(), Err(Error::Key { .. })));
        assert!(matches!(Txn::new().when(Compare::Exists("a\0".into())).validate(), Err(Error::Key { .. })));
        let value = vec![0u8; VALUE_BYTES_MAX + 1];
        assert!(matches!(Txn::new().put("k", value).validate(), Err(Error::ValueTooLarge { .. })));
        assert!(matches!(Txn::new().put("k", "1").delete("k").validate(), Err(Error::DuplicateKey { .. })));
        let many = (0..=OPS_MAX).fold(Txn::new(), |txn, i| txn.delete(format!("k{i}")));
        assert!(matches!(many.validate(), Err(Error::TxnTooLarge { what: "ops", .. })));
        let big = (0..5).fold(Txn::new(), |txn, i| txn.put(format!("k{i}"), vec![0u8; VALUE_BYTES_MAX]));
        assert!(matches!(big.validate(), Err(Error::TxnTooLarge { what: "bytes", .. })));
    }
}
