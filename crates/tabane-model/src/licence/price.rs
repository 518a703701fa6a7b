//! Money as it is written: exact, in one currency, for one term.

use std::{fmt, str::FromStr};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::Origin;
use crate::Faults;

/// In ten-thousandths of a currency's unit: prices are added and compared millions of times, and never rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Amount(pub u64);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no amount: write digits, and at most four after a point, in quotes")]
pub struct AmountError(String);

/// Of a pack, so that what a host needs can be counted: a thousand million.
pub const AMOUNT_MAX: Amount = Amount(1_000_000_000 * ONE);
const DECIMALS: usize = 4;
const ONE: u64 = 10_000;

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let wrong = || AmountError(text.to_owned());
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > DECIMALS {
            return Err(wrong());
        }
        let part: u64 = format!("{part:0<DECIMALS$}").parse().map_err(|_| wrong())?;
        let whole: u64 = whole.parse().map_err(|_| wrong())?;
        whole.checked_mul(ONE).and_then(|whole| whole.checked_add(part)).map(Self).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Amount {
    type Error = AmountError;

    fn try_from(text: String) -> Result<Self, AmountError> {
        text.parse()
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / ONE, self.0 % ONE);
        if part % 100 == 0 { write!(f, "{whole}.{:02}", part / 100) } else { write!(f, "{whole}.{part:04}") }
    }
}

impl From<Amount> for String {
    fn from(amount: Amount) -> Self {
        amount.to_string()
    }
}

/// Of one pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    pub amount: Amount,
    /// Three capital letters of ISO 4217.
    pub currency: String,
    pub term: Term,
    /// The day of the list, or on which the price was read.
    pub date: Date,
    pub source: Origin,
}

/// What is paid for: amounts of different terms are no more comparable than those of different currencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Term {
    Perpetual,
    Year,
    Month,
}

impl Price {
    pub(super) fn check(&self, field: &str, faults: &mut Faults) {
        if self.currency.len() != 3 || !self.currency.bytes().all(|b| b.is_ascii_uppercase()) {
            let message = format!("{:?} is no currency", self.currency);
            faults.add(format!("{field}.currency"), message, "use three capital letters of ISO 4217");
        }
        if self.amount > AMOUNT_MAX {
            let hint = format!("state at most {AMOUNT_MAX} for a pack");
            faults.add(format!("{field}.amount"), format!("{} is out of range", self.amount), hint);
        }
        self.source.check(&format!("{field}.source"), faults);
    }
}
