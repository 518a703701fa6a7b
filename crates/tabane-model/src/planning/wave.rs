//! Waves of a plan as they are carried out: one after the other, and on only through their gates.
//!
//! ```text
//!   planned ──► running ──► done          done only if the review of now passes; the next may run when all before are
//!      ▲         │    ▲
//!      │         ▼    │                   not on again while the last review says stop or roll back
//!      │       stopped
//!      │         │
//!      └── rolled-back ◄── running, done
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Faults, Kind, Name, Review, Verdict,
    resource::{resource, words},
};

const NOTE_LENGTH_MAX: usize = 1024;
const FACTS_MAX: usize = 100;

resource!(
    /// A wave of a plan that is carried out.
    Wave, Kind::Wave, WaveSpec, WaveStatus,
    validate: WaveSpec::validate,
    phase: |wave| wave.spec.state.as_str(),
);

words!(WaveState {
    #[default]
    Planned = "planned",
    /// Its servers move, and are watched.
    Running = "running",
    /// Its gates have passed: the next one may begin.
    Done = "done",
    /// No further server is moved.
    Stopped = "stopped",
    /// Its servers are back where they were.
    RolledBack = "rolled-back",
});

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WaveSpec {
    pub plan: Name,
    /// As the plan names it, such as `pilot`.
    pub wave: String,
    #[serde(default)]
    pub state: WaveState,
    /// What its gates are judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<WaveReview>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WaveReview {
    /// A survey of what was measured since the servers have moved.
    pub measured: Name,
    /// What traces do not tell, by the metrics of the plan's gates.
    #[serde(default)]
    pub facts: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WaveStatus {
    /// What `review` was made by. If the spec says otherwise, it is of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed: Option<WaveReview>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// Why there is no review.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl WaveState {
    /// Whether one may follow the other; what gates and other waves say comes on top.
    pub fn may_become(self, next: Self) -> bool {
        use WaveState::{Done, Planned, RolledBack, Running, Stopped};
        matches!(
            (self, next),
            (Planned, Running)
                | (Running, Done | Stopped | RolledBack)
                | (Stopped, Running | RolledBack)
                | (Done, RolledBack)
                | (RolledBack, Planned)
        )
    }

    /// Servers of it have moved, or may have.
    pub fn has_begun(self) -> bool {
        matches!(self, Self::Running | Self::Done | Self::Stopped)
    }
}

impl Wave {
    /// The verdict of the review that the spec asks for; `None` while there is none.
    pub fn verdict(&self) -> Option<Verdict> {
        let asked = self.spec.review.is_some() && self.spec.review == self.status.reviewed;
        self.status.review.as_ref().filter(|_| asked).map(|review| review.verdict)
    }
}

impl WaveSpec {
    fn validate(&self, faults: &mut Faults) {
        faults.text("spec.note", &self.note, NOTE_LENGTH_MAX);
        faults.text("spec.wave", &self.wave, 100);
        let Some(review) = &self.review else { return };
        if review.facts.len() > FACTS_MAX {
            faults.add("spec.review.facts", "these are too many", "state what the plan's gates ask for");
        }
        if review.facts.values().any(|value| !value.is_finite()) {
            faults.add("spec.review.facts", "a fact is no number", "state numbers");
        }
    }
}
