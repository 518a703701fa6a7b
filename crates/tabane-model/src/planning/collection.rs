//! Collections: loads that a collector measures over SSH, and of which surveys are made.
//!
//! ```text
//!   waiting ──► running ──► ended            a collector begins; it ends when the time is over, or somebody says so
//!                │   ▲
//!                ▼   │                       nobody hears of it; it goes on when it is heard again
//!               silent
//! ```
//!
//! The server dials no source and has no key to any. A collector (`tabane survey run --collection NAME`) does, wherever it
//! reaches them; it tells the server how far it is, and is answered what is wished for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Faults, Kind, Name,
    resource::{resource, words},
};

const NOTE_LENGTH_MAX: usize = 1024;
const SOURCES_MAX: usize = 4_096;
const SOURCE_LENGTH_MAX: usize = 300;
const LENGTH_S_MIN: u64 = 60;
const LENGTH_S_MAX: u64 = 366 * 86_400;
/// So many sources are told of one by one.
pub const COLLECTED_SOURCES_MAX: usize = 1_000;
const MADE_MAX: usize = 1_000;
const WORDS_LENGTH_MAX: usize = 400;
const SESSION_LENGTH_MAX: usize = 64;
const STEP_S_DEFAULT: u32 = 20;
const STEP_S_MAX: u32 = 60;
/// However short the step, a report is not sent more often than that.
const REPORT_S_MIN: u32 = 5;
const SILENCE_S: u32 = 30;

resource!(
    /// Loads that a collector measures over SSH.
    Collection, Kind::Collection, CollectionSpec, CollectionStatus,
    validate: CollectionSpec::validate,
    phase: |collection| collection.status.phase.as_str(),
);

words!(CollectionPhase {
    /// For a collector.
    #[default]
    Waiting = "waiting",
    Running = "running",
    /// The collector was not heard for some time. What it measures meanwhile is not lost.
    Silent = "silent",
    Ended = "ended",
});

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CollectionSpec {
    /// `[USER@]HOST[:PORT]`, or subnets such as `root@10.1.2.0/28`. They do not change.
    pub sources: Vec<String>,
    /// Seconds between two samples. It does not change.
    #[serde(default = "step_s")]
    pub step_s: u32,
    /// How long is collected, from when it begins; until somebody ends it unless stated. It does not change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_s: Option<u64>,
    /// A survey of this name is to be made of what has been collected by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub survey: Option<Name>,
    /// Enough is collected: a survey with the name of the collection is made of it.
    #[serde(default)]
    pub ended: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

fn step_s() -> u32 {
    STEP_S_DEFAULT
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CollectionStatus {
    #[serde(default)]
    pub phase: CollectionPhase,
    /// When a collector was heard first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub begun_at: Option<Timestamp>,
    /// When one was heard last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub reported_at: Option<Timestamp>,
    /// What it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<CollectionReport>,
    /// Surveys that were made of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub surveys: Vec<Name>,
}

/// What a collector says, again and again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CollectionReport {
    /// Which run of a collector says so: there is one at a time.
    pub session: String,
    /// The machine that it runs on.
    pub collector: String,
    /// Servers that are looked at.
    pub servers: u32,
    /// Those that answer now.
    pub reached: u32,
    /// Of all servers, in this run.
    pub samples: u64,
    /// The first of them; those that are not reached go before the others.
    #[serde(default)]
    pub sources: Vec<CollectedSource>,
    /// Surveys that were made in this run.
    #[serde(default)]
    pub made: Vec<Name>,
    /// Why the survey that is wished for is not made yet.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// This is the last report of this run.
    #[serde(default)]
    pub ended: bool,
}

words!(SourceState {
    /// Not reached yet.
    #[default]
    Waiting = "waiting",
    Measured = "measured",
    /// Not reached any more, or never.
    Lost = "lost",
});

/// A server that is looked at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CollectedSource {
    /// How it is reached.
    pub source: String,
    pub state: SourceState,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub os: String,
    #[serde(default)]
    pub cores: u32,
    #[serde(default)]
    pub memory_mib: u32,
    /// In this run.
    #[serde(default)]
    pub samples: u64,
    /// Between its last two samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<SourceLoad>,
    /// Why it is not reached.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceLoad {
    /// Share of all its cores, from 0 to 1.
    pub cpu_share: f64,
    pub memory_mib: u32,
    /// Read and written.
    pub disk_kbs: u32,
    /// Received and sent.
    pub net_kbs: u32,
}

/// What a collector is answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CollectionWishes {
    /// A survey of this name is to be made of what there is, and sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub survey: Option<Name>,
    /// Nothing more is to be measured. The collector ends once the survey is made.
    #[serde(default)]
    pub ended: bool,
}

impl Collection {
    /// What is to be done at this moment.
    pub fn wishes(&self, now: Timestamp) -> CollectionWishes {
        let ended = self.spec.ended || self.is_over(now);
        let open = |name: &&Name| !self.status.surveys.contains(name);
        let asked = self.spec.survey.as_ref().filter(open);
        let last = Some(&self.meta.name).filter(|_| ended).filter(open);
        CollectionWishes { survey: asked.or(last).cloned(), ended }
    }

    fn is_over(&self, now: Timestamp) -> bool {
        let (Some(begun), Some(length_s)) = (self.status.begun_at, self.spec.length_s) else { return false };
        now.as_second().saturating_sub(begun.as_second()) >= i64::try_from(length_s).unwrap_or(i64::MAX)
    }

    /// Whether nobody was heard for so long that something must be wrong.
    pub fn is_unheard(&self, now: Timestamp) -> bool {
        let patience = i64::from(self.spec.report_every_s() * 3 + SILENCE_S);
        self.status.reported_at.is_none_or(|at| now.as_second() - at.as_second() > patience)
    }
}

impl CollectionSpec {
    /// How often a collector is to be heard.
    pub fn report_every_s(&self) -> u32 {
        self.step_s.clamp(REPORT_S_MIN, STEP_S_MAX)
    }

    fn validate(&self, faults: &mut Faults) {
        faults.text("spec.note", &self.note, NOTE_LENGTH_MAX);
        faults.range("spec.step_s", self.step_s.into(), 1, STEP_S_MAX.into(), " s");
        if let Some(length_s) = self.length_s {
            faults.range("spec.length_s", length_s, LENGTH_S_MIN, LENGTH_S_MAX, " s");
        }
        if self.sources.is_empty() {
            faults.add("spec.sources", "there is none", "name servers, [USER@]HOST[:PORT], or subnets");
        }
        if self.sources.len() > SOURCES_MAX {
            let told = format!("{} are too many", self.sources.len());
            faults.add("spec.sources", told, format!("use {SOURCES_MAX} at most; name subnets"));
        }
        for (at, source) in self.sources.iter().enumerate().take(SOURCES_MAX) {
            faults.text(&format!("spec.sources[{at}]"), source, SOURCE_LENGTH_MAX);
        }
    }
}

impl CollectionReport {
    /// What a collector says is bounded, and becomes what people look at.
    pub fn validate(&self, faults: &mut Faults) {
        faults.text("session", &self.session, SESSION_LENGTH_MAX);
        if self.session.is_empty() {
            faults.add("session", "is empty", "name each run of a collector by a word of its own");
        }
        faults.text("collector", &self.collector, WORDS_LENGTH_MAX);
        faults.text("message", &self.message, WORDS_LENGTH_MAX);
        let mut few = |field: &str, count: usize, most: usize| {
            if count > most {
                faults.add(field, format!("{count} are too many"), format!("tell of {most} at most"));
            }
        };
        few("sources", self.sources.len(), COLLECTED_SOURCES_MAX);
        few("made", self.made.len(), MADE_MAX);
        for (at, source) in self.sources.iter().enumerate().take(COLLECTED_SOURCES_MAX) {
            let words = [("source", &source.source), ("os", &source.os), ("message", &source.message)];
            for (field, text) in words {
                faults.text(&format!("sources[{at}].{field}"), text, WORDS_LENGTH_MAX);
            }
            if let Some(load) = &source.load {
                faults.amount(format!("sources[{at}].load.cpu_share"), load.cpu_share, 1.0, "");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Meta, Resource};

    fn collection(length_s: Option<u64>) -> Collection {
        let spec = CollectionSpec {
            sources: vec!["root@web1".into()],
            step_s: 20,
            length_s,
            survey: None,
            ended: false,
            note: String::new(),
        };
        Collection::new(Meta::new("may".parse().unwrap()), spec)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn wished(collection: &Collection, second: i64) -> (Option<String>, bool) {
        let CollectionWishes { survey, ended } = collection.wishes(at(second));
        (survey.map(|name| name.to_string()), ended)
    }

    #[test]
    fn a_survey_is_wished_for_until_it_is_made_and_one_at_the_end() {
        let mut collection = collection(Some(3_600));
        assert_eq!(wished(&collection, 9_000), (None, false), "nobody has begun");
        collection.status.begun_at = Some(at(1_000));
        assert_eq!(wished(&collection, 4_599), (None, false));
        collection.spec.survey = Some("first".parse().unwrap());
        assert_eq!(wished(&collection, 4_599), (Some("first".into()), false));
        // What was asked for goes first, then that of the whole.
        assert_eq!(wished(&collection, 4_600), (Some("first".into()), true));
        collection.status.surveys.push("first".parse().unwrap());
        assert_eq!(wished(&collection, 4_599), (None, false));
        assert_eq!(wished(&collection, 4_600), (Some("may".into()), true));
        collection.status.surveys.push("may".parse().unwrap());
        assert_eq!(wished(&collection, 4_600), (None, true));
        collection.spec.length_s = None;
        assert_eq!(wished(&collection, 4_600), (None, false));
        collection.spec.ended = true;
        assert_eq!(wished(&collection, 0), (None, true));
    }

    #[test]
    fn three_reports_and_some_seconds_are_waited_for() {
        let mut collection = collection(None);
        collection.status.reported_at = Some(at(1_000));
        assert!(!collection.is_unheard(at(1_090)));
        assert!(collection.is_unheard(at(1_091)));
        collection.spec.step_s = 1;
        assert!(!collection.is_unheard(at(1_045)));
        assert!(collection.is_unheard(at(1_046)));
    }

    #[test]
    fn what_is_said_is_bounded() {
        let told = |collection: Collection| {
            let mut faults = Faults::default();
            collection.validate(&mut faults);
            faults.0.into_iter().map(|fault| fault.field).collect::<Vec<_>>()
        };
        assert_eq!(told(collection(Some(60))), [""; 0]);
        let mut bad = collection(Some(59));
        bad.spec.step_s = 0;
        bad.spec.sources.clear();
        assert_eq!(told(bad), ["spec.step_s", "spec.length_s", "spec.sources"]);

        let source = CollectedSource {
            message: "\u{1b}[2J".into(),
            load: Some(SourceLoad { cpu_share: f64::NAN, ..SourceLoad::default() }),
            ..CollectedSource::default()
        };
        let report = CollectionReport {
            sources: vec![source; COLLECTED_SOURCES_MAX + 1],
            ..CollectionReport::default()
        };
        let mut faults = Faults::default();
        report.validate(&mut faults);
        let fields: Vec<&str> = faults.0.iter().map(|fault| fault.field.as_str()).take(4).collect();
        assert_eq!(fields, ["session", "sources", "sources[0].message", "sources[0].load.cpu_share"]);
    }
}
