//! Four answers, from the best to the worst.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// In order: of several answers about one server the greatest holds.
///
/// `Unknown` is worse than `Conditional`: a condition can be met, and what nobody has looked up cannot be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SupportStatus {
    Supported,
    /// If something is so that is said in words.
    Conditional,
    /// Nothing was found, or what was found does not say.
    Unknown,
    /// The vendor says that it is not.
    Unsupported,
}

impl SupportStatus {
    pub const ALL: [Self; 4] = [Self::Supported, Self::Conditional, Self::Unknown, Self::Unsupported];
}

impl fmt::Display for SupportStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Supported => "supported",
            Self::Conditional => "conditional",
            Self::Unknown => "unknown",
            Self::Unsupported => "unsupported",
        })
    }
}
