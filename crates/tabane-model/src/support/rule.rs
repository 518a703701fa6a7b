//! What a site accepts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::SupportStatus;

/// Which servers may be moved, by what is known of their support.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SupportRule {
    /// All; what is not supported is told.
    #[default]
    Warn,
    /// Those that are supported, or would be on a condition.
    RequireConditional,
    /// Those that are supported.
    Require,
}

impl SupportRule {
    pub fn allows(self, status: SupportStatus) -> bool {
        match self {
            Self::Warn => true,
            Self::RequireConditional => status <= SupportStatus::Conditional,
            Self::Require => status == SupportStatus::Supported,
        }
    }
}
