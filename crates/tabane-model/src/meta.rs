//! What every object carries beside its spec and status.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Name;

/// Identity that is never used again, unlike a name.
pub type Uid = uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    pub name: Name,
    /// Given by the server at creation (UUID version 7); a client leaves it out.
    #[serde(default)]
    #[schema(value_type = String)]
    pub uid: Uid,
    /// Counts changes of the spec. Status says which generation it speaks of.
    #[serde(default)]
    pub generation: u64,
    /// The store's revision of the last change of any part: the ETag of the object.
    #[serde(default)]
    pub revision: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub created_at: Option<Timestamp>,
    /// Set when deletion was asked for; the object goes when its host has cleaned up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub deleted_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Meta {
    pub fn new(name: Name) -> Self {
        Self {
            name,
            uid: Uid::nil(),
            generation: 0,
            revision: 0,
            created_at: None,
            deleted_at: None,
            labels: BTreeMap::new(),
        }
    }
}
