//! Planning as objects of the API: surveys whose files the server keeps, and plans that it makes of them.
//!
//! ```text
//!   Collection {sources} ─► a collector measures them, and makes a Survey
//!   Survey {files} ─► files are sent ─► read ─► ready ─► Plan {survey, hosts, policy} ─► made ─► its document ─► Wave {plan, state}
//! ```
//!
//! The document that comes of it, [`crate::Plan`], is the same that the command line makes of files.
//!
//! Invariant: what a plan was made from does not change: surveys and plans are not edited, others are made.

mod collection;
mod comparison;
mod plan;
mod survey;
mod trial;
mod wave;

pub use collection::{
    COLLECTED_SOURCES_MAX, CollectedSource, Collection, CollectionPhase, CollectionReport, CollectionSpec,
    CollectionStatus, CollectionWishes, SourceLoad, SourceState,
};
pub use comparison::{
    ComparedCosts, ComparedHost, MovedServer, PlanComparison, PlanFigures, RescheduledServer,
};
pub use plan::{
    PLAN_TIME_LIMIT_S_MAX, Plan, PlanAfter, PlanPhase, PlanProgress, PlanSpec, PlanStatus, PlanSummary,
};
pub use survey::{
    SURVEY_BYTES_MAX, SURVEY_FILE_BYTES_MAX, Survey, SurveyFile, SurveyPhase, SurveySpec, SurveyStatus,
    survey_file_name,
};
pub use trial::{
    BreachKind, TRIAL_MOVES_MAX, Trial, TrialBreach, TrialCost, TrialHost, TrialMove, TrialRequest,
    TrialResource,
};
pub use wave::{Wave, WaveReview, WaveSpec, WaveState, WaveStatus};
