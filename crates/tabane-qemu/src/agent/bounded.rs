//! Lists from a guest, of limited length.
//!
//! Invariant: elements beyond the limit are skipped while they are parsed, not collected and dropped afterwards.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

/// More network cards, mounts, vCPUs or memory blocks than any guest has.
pub(super) const ELEMENTS_MAX: usize = 8192;

/// A list of at most [`ELEMENTS_MAX`] elements; the rest is left out. Null is an empty list.
#[derive(Debug)]
pub(super) struct List<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        list(from).map(List)
    }
}

/// For `#[serde(deserialize_with)]`.
pub(super) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    struct ListVisitor<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
        type Value = Vec<T>;

        fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
            to.write_str("a list")
        }

        fn visit_unit<E>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Vec<T>, A::Error> {
            let mut elements = Vec::new();
            while elements.len() < ELEMENTS_MAX {
                match from.next_element()? {
                    Some(element) => elements.push(element),
                    None => return Ok(elements),
                }
            }
            while from.next_element::<IgnoredAny>()?.is_some() {}
            Ok(elements)
        }
    }

    from.deserialize_any(ListVisitor(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut() {
        let text = format!("[{}1]", "1,".repeat(ELEMENTS_MAX + 10));
        assert_eq!(serde_json::from_str::<List<u8>>(&text).unwrap().0.len(), ELEMENTS_MAX);
        assert!(serde_json::from_str::<List<u8>>("null").unwrap().0.is_empty());
        assert!(serde_json::from_str::<List<u8>>("{}").is_err());
    }
}
