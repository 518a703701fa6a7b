//! Tokens: who may do what. The secret is shown once; only its hash is kept, and not in this object.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Faults, Kind, Name,
    resource::{resource, words},
};

resource!(
    /// A key to the API.
    Token, Kind::Token, TokenSpec, TokenStatus,
    validate: |spec: &TokenSpec, faults: &mut Faults| {
        faults.text("spec.description", &spec.description, 256);
        if (spec.role == Role::Host) != spec.host.is_some() {
            faults.add("spec.host", "goes with the role host, and with no other", "host tokens are made by joining");
        }
    },
    phase: |token| token.spec.role.as_str(),
    host: |token| token.spec.host.as_ref(),
);

words!(Role {
    /// Reads everything.
    #[default]
    Viewer = "viewer",
    /// Reads everything, changes everything but hosts and tokens.
    Operator = "operator",
    Admin = "admin",
    /// May do one thing: add a host.
    Join = "join",
    /// A host's agent.
    Host = "host",
});

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    pub role: Role,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Name>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TokenStatus {}
