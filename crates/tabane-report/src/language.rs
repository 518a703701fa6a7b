//! Languages of a report.

use std::fmt::Display;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    English,
    Japanese,
}

impl Language {
    pub fn code(self) -> &'static str {
        self.say("en", "ja")
    }

    pub(crate) fn say<'a>(self, english: &'a str, japanese: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::Japanese => japanese,
        }
    }

    /// A count and what is counted; English has two forms.
    pub(crate) fn counted(self, count: usize, one: &str, many: &str, japanese: &str) -> String {
        match self {
            Self::English => format!("{} {}", grouped(count as f64, 0), if count == 1 { one } else { many }),
            Self::Japanese => format!("{} {japanese}", grouped(count as f64, 0)),
        }
    }
}

/// A number with commas between thousands, as both languages have them.
pub(crate) fn grouped(number: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", number.abs());
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(w, f)| (w, Some(f)));
    let mut out = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out = format!("{out}.{fraction}");
    }
    let is_nothing = out.chars().all(|c| matches!(c, '0' | '.' | ','));
    if number < 0.0 && !is_nothing { format!("−{out}") } else { out }
}

pub(crate) fn money(amount: f64, currency: &str) -> String {
    format!("{} {currency}", grouped(amount, 0))
}

/// In English.
pub(crate) fn years(count: u32) -> String {
    if count == 1 { "1 year".into() } else { format!("{count} years") }
}

/// A share as percent, with as many digits as tell it from nothing.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = match percent {
        p if p == 0.0 || p >= 10.0 => 0,
        p if p >= 1.0 => 1,
        p if p >= 0.1 => 2,
        p if p >= 0.01 => 3,
        _ => 4,
    };
    // With a space at which no line ends.
    format!("{percent:.digits$}\u{a0}%")
}

pub(crate) fn shown(value: Option<impl Display>, none: &str) -> String {
    value.map_or_else(|| none.to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(1_234_567.0, 0), "1,234,567");
        assert_eq!(grouped(-1_000.5, 1), "−1,000.5");
        assert_eq!(grouped(-0.2, 0), "0");
        assert_eq!(
            (percent(0.0), percent(0.5), percent(0.00012)),
            ("0\u{a0}%".into(), "50\u{a0}%".into(), "0.012\u{a0}%".into())
        );
    }
}
