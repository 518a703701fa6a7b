//! Selectors: `env=prod,tier!=db,!old` over labels, `phase=running,host=h1` over a few fields.

use std::{collections::BTreeMap, str::FromStr};

use crate::Resource;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    #[error("the selector term {0:?} is not of the form key=value, key!=value, key or !key")]
    Form(String),
    #[error("there is no field {0:?} to select by; use name, phase, host, or about")]
    Field(String),
    #[error("a selector of more than {SELECTOR_LENGTH_MAX} characters or {TERMS_MAX} terms is refused")]
    TooLong,
}

const SELECTOR_LENGTH_MAX: usize = 2048;
const TERMS_MAX: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Is(String, String),
    IsNot(String, String),
    Has(String),
    HasNot(String),
}

fn terms(text: &str) -> Result<Vec<Term>, SelectorError> {
    if text.len() > SELECTOR_LENGTH_MAX {
        return Err(SelectorError::TooLong);
    }
    let mut terms = Vec::new();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let fault = || SelectorError::Form(part.into());
        let term = match part.split_once('=') {
            Some((key, value)) => match key.strip_suffix('!') {
                Some(key) => Term::IsNot(key.trim().into(), value.trim().into()),
                None => Term::Is(key.trim().into(), value.trim_start_matches('=').trim().into()),
            },
            None => match part.strip_prefix('!') {
                Some(key) => Term::HasNot(key.trim().into()),
                None => Term::Has(part.into()),
            },
        };
        let (Term::Is(key, _) | Term::IsNot(key, _) | Term::Has(key) | Term::HasNot(key)) = &term;
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(fault());
        }
        terms.push(term);
    }
    if terms.len() > TERMS_MAX { Err(SelectorError::TooLong) } else { Ok(terms) }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector(Vec<Term>);

impl FromStr for LabelSelector {
    type Err = SelectorError;
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        terms(text).map(Self)
    }
}

impl LabelSelector {
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|term| match term {
            Term::Is(key, value) => labels.get(key) == Some(value),
            Term::IsNot(key, value) => labels.get(key) != Some(value),
            Term::Has(key) => labels.contains_key(key),
            Term::HasNot(key) => !labels.contains_key(key),
        })
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Selects by `name`, `phase`, `host`, and for events by `about` (`vm/web1`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<Term>);

impl FromStr for FieldSelector {
    type Err = SelectorError;
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let terms = terms(text)?;
        for term in &terms {
            let (Term::Is(key, _) | Term::IsNot(key, _) | Term::Has(key) | Term::HasNot(key)) = term;
            if !["name", "phase", "host", "vm", "about"].contains(&key.as_str()) {
                return Err(SelectorError::Field(key.clone()));
            }
        }
        Ok(Self(terms))
    }
}

impl FieldSelector {
    pub fn matches<R: Resource>(&self, object: &R) -> bool {
        self.0.iter().all(|term| match term {
            Term::Is(key, value) => field(object, key).as_deref() == Some(value),
            Term::IsNot(key, value) => field(object, key).as_deref() != Some(value),
            Term::Has(key) => field(object, key).is_some(),
            Term::HasNot(key) => field(object, key).is_none(),
        })
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn field<R: Resource>(object: &R, key: &str) -> Option<String> {
    match key {
        "name" => Some(object.meta().name.to_string()),
        "phase" => Some(object.phase().into()),
        "host" => object.host().map(ToString::to_string),
        "vm" => object.vm().map(ToString::to_string),
        "about" => object.meta().labels.get("about").cloned(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_select() {
        let labels: BTreeMap<String, String> =
            [("env", "prod"), ("tier", "web")].map(|(k, v)| (k.into(), v.into())).into();
        for (text, expected) in [
            ("", true),
            ("env=prod", true),
            ("env==prod, tier=web", true),
            ("env!=prod", false),
            ("env,!old", true),
            ("old", false),
            ("tier!=db", true),
        ] {
            let selector: LabelSelector = text.parse().unwrap();
            assert_eq!(selector.matches(&labels), expected, "{text}");
        }
        for bad in ["=x", "!", "a b=c", "!=x"] {
            assert!(bad.parse::<LabelSelector>().is_err(), "{bad}");
        }
        assert_eq!("colour=red".parse::<FieldSelector>(), Err(SelectorError::Field("colour".into())));
    }
}
