//! Events: what happened, for people. Nothing is decided by reading them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Faults, Kind, Name,
    resource::{resource, words},
};

resource!(
    /// Something that happened.
    Event, Kind::Event, EventSpec, EventStatus,
    validate: |spec: &EventSpec, faults: &mut Faults| {
        faults.text("spec.reason", &spec.reason, 64);
        faults.text("spec.message", &spec.message, 2048);
    },
    phase: |event| event.spec.level.as_str(),
    host: |event| event.spec.host.as_ref(),
);

words!(EventLevel {
    #[default]
    Info = "info",
    Warning = "warning",
    Error = "error",
});

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reference {
    pub kind: Kind,
    pub name: Name,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventSpec {
    #[schema(value_type = String)]
    pub at: Timestamp,
    pub level: EventLevel,
    /// One word for machines, such as `crashed`.
    pub reason: String,
    pub about: Reference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Name>,
    pub message: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventStatus {}
