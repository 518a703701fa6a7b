//! Collects what is wrong with an object, all of it at once, each with its field and a hint.

use std::collections::BTreeMap;

use crate::Fault;

#[derive(Debug, Default)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) {
        self.0.push(Fault { field: field.into(), message: message.into(), hint: hint.into() });
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A number has to lie between two bounds, both allowed.
    pub fn range(&mut self, field: &str, value: u64, low: u64, high: u64, unit: &str) {
        if !(low..=high).contains(&value) {
            self.add(
                field,
                format!("{value}{unit} is out of range"),
                format!("use {low}{unit} to {high}{unit}"),
            );
        }
    }

    /// A number has to lie from 0 to what nobody needs more than, so that sums stay finite. A zero below zero is none.
    pub fn amount(&mut self, field: impl Into<String>, value: f64, most: f64, unit: &str) {
        if !(0.0..=most).contains(&value) || (value == 0.0 && value.is_sign_negative()) {
            self.add(
                field,
                format!("{value:?}{unit} is out of range, or no number"),
                format!("use 0 to {most}{unit}"),
            );
        }
    }

    /// As `range`, with sizes printed for people.
    pub fn size(&mut self, field: &str, bytes: u64, low: u64, high: u64) {
        if !(low..=high).contains(&bytes) {
            let [is, from, to] = [bytes, low, high].map(crate::format_bytes);
            self.add(field, format!("{is} is out of range"), format!("use {from} to {to}"));
        }
    }

    /// A text that ends up in configuration files of guests and daemons: bounded and without control characters.
    pub fn text(&mut self, field: &str, text: &str, length_max: usize) {
        if text.len() > length_max {
            self.add(
                field,
                format!("{} bytes are too many", text.len()),
                format!("use {length_max} bytes at most"),
            );
        }
        if text.chars().any(char::is_control) {
            self.add(
                field,
                "control characters are not allowed",
                "write it on one line of printable characters",
            );
        }
    }

    pub fn labels(&mut self, labels: &BTreeMap<String, String>) {
        const LABELS_MAX: usize = 64;
        if labels.len() > LABELS_MAX {
            self.add("meta.labels", format!("{} labels are too many", labels.len()), "use 64 at most");
        }
        for (key, value) in labels {
            let good = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
            if key.is_empty() || key.len() > 63 || !key.chars().all(good) {
                let shown: String = key.chars().take(63).collect();
                self.add(
                    "meta.labels",
                    format!("{shown:?} is no label key"),
                    "use 1 to 63 of letters, digits, '-', '_', '.' and '/'",
                );
            }
            if value.len() > 63 || !value.chars().all(good) {
                self.add(
                    format!("meta.labels.{key}"),
                    "the value is too long or has characters that a selector cannot name",
                    "use 0 to 63 of letters, digits, '-', '_', '.' and '/'",
                );
            }
        }
    }
}
