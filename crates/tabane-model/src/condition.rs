//! Conditions: what an object has and has not reached, in the form that people and machines both read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Condition {
    /// Such as `agent`, `disks`, `network`, `storage`.
    pub kind: String,
    pub met: bool,
    /// One word for machines.
    pub reason: String,
    /// A sentence for people, with what to do when there is something to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[schema(value_type = String)]
    pub since: Timestamp,
}

/// Sets a condition; `since` moves only when `met` or `reason` changes.
pub fn set_condition(
    conditions: &mut Vec<Condition>,
    kind: &str,
    met: bool,
    reason: &str,
    message: impl Into<String>,
    now: Timestamp,
) {
    let message = message.into();
    match conditions.iter_mut().find(|c| c.kind == kind) {
        Some(c) => {
            if c.met != met || c.reason != reason {
                c.since = now;
            }
            (c.met, c.reason, c.message) = (met, reason.into(), message);
        }
        None => {
            conditions.push(Condition { kind: kind.into(), met, reason: reason.into(), message, since: now })
        }
    }
}

/// How far a long piece of work is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    pub step: String,
    /// 0 to 1, over the whole work.
    pub fraction: f32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}
