//! What the matrix comes to for one server, and why.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::SupportStatus;

/// One reason for a judgement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SupportCause {
    /// An entry says so.
    Said {
        vendor: String,
        product: String,
        /// Of which the vendor speaks.
        hypervisor: String,
        /// By the vendor, of that hypervisor.
        said: SupportStatus,
        /// What that comes to on the hypervisor that was asked for.
        status: SupportStatus,
        condition: Option<String>,
        /// The vendor speaks of another hypervisor of the same kind.
        by_analogy: bool,
    },
    /// Entries are about certain versions, and the server does not say which it has.
    VersionNotTold { vendor: String, product: String },
    /// No entry is about this.
    NotListed { column: String, text: String },
    /// The server does not say what runs on it.
    NothingTold,
}

/// What holds for a server: the worst of its causes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SupportJudgement {
    pub server: String,
    pub status: SupportStatus,
    /// The worst first; at least one.
    pub causes: Vec<SupportCause>,
}

/// Why a server may not be moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SupportRefusal {
    pub server: String,
    /// That the server was to go to.
    pub hypervisor: String,
    /// Those that the rule does not allow, the worst first.
    pub causes: Vec<SupportCause>,
}

/// What a vendor's product is called: Debian's is Debian.
pub fn product_of(vendor: &str, product: &str) -> String {
    if vendor == product { product.to_owned() } else { format!("{vendor} {product}") }
}

impl SupportCause {
    pub fn status(&self) -> SupportStatus {
        match self {
            Self::Said { status, .. } => *status,
            Self::VersionNotTold { .. } | Self::NotListed { .. } | Self::NothingTold => {
                SupportStatus::Unknown
            }
        }
    }
}

impl fmt::Display for SupportCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said { vendor, product, hypervisor, said, status, condition, by_analogy } => {
                write!(f, "{} on {hypervisor} is {said}", product_of(vendor, product))?;
                if let Some(condition) = condition {
                    write!(f, " ({condition})")?;
                }
                if *by_analogy { write!(f, ", which is {status} here by analogy") } else { Ok(()) }
            }
            Self::VersionNotTold { vendor, product } => {
                write!(f, "it depends on the version of {}, which is not told", product_of(vendor, product))
            }
            Self::NotListed { column, text } => write!(f, "nothing is known of {column} {text:?}"),
            Self::NothingTold => f.write_str("nothing is known of what runs on it"),
        }
    }
}

impl fmt::Display for SupportRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} may not be moved to {}", self.server, self.hypervisor)?;
        for (at, cause) in self.causes.iter().enumerate() {
            let before = if at == 0 { ": " } else { "; " };
            write!(f, "{before}{cause}")?;
        }
        Ok(())
    }
}
