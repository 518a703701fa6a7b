//! What vendors support of the servers of a plan, and who may not move for it.

use tabane_model::{
    Plan, PlanNote, PlanPolicy, Source, Traces,
    support::{Support, SupportJudgement, SupportRefusal, SupportStatus, TABANE},
};

use crate::support::{judge, refuse};

/// Without a matrix nobody is judged.
pub(super) fn judged(traces: &Traces, entries: &[Support]) -> Vec<SupportJudgement> {
    if entries.is_empty() { Vec::new() } else { judge(&traces.servers, entries, TABANE) }
}

pub(super) fn refused(judged: &[SupportJudgement], policy: &PlanPolicy) -> Vec<SupportRefusal> {
    refuse(judged, policy.support, TABANE)
}

/// The entries that are about any of the servers: all that a judgement can come from.
pub(super) fn relevant(servers: &[Source], entries: &[Support]) -> Vec<Support> {
    let is_about = |entry: &&Support| servers.iter().any(|server| !entry.recognise(server).is_empty());
    entries.iter().filter(is_about).cloned().collect()
}

/// How many of those that move are supported how well.
pub(super) fn note(plan: &Plan) -> Option<PlanNote> {
    if plan.support.is_empty() {
        return None;
    }
    let moving: std::collections::HashSet<&str> =
        plan.hosts.iter().flat_map(|host| &host.servers).map(String::as_str).collect();
    let count = |status: SupportStatus| {
        let are = plan.support.iter().filter(|judged| judged.status == status);
        are.filter(|judged| moving.contains(judged.server.as_str())).count() as u32
    };
    Some(PlanNote::Supported {
        supported: count(SupportStatus::Supported),
        conditional: count(SupportStatus::Conditional),
        unknown: count(SupportStatus::Unknown),
        unsupported: count(SupportStatus::Unsupported),
    })
}
