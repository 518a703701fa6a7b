//! Whether the overload that a plan expects is what comes of judging its fill again.
//!
//! The judges make plans of parts of the traces, so this takes as long as finding the margin took.

use tabane_model::{Plan, PlanNote};

use super::Fault;
use crate::plan::{
    risk::{self, Margin, Risk},
    setting::Setting,
};

/// `risks` are those of its hosts.
pub(super) fn margin(plan: &Plan, setting: &Setting<'_>, risks: &[Risk]) -> Option<Fault> {
    let said = plan.predicted_overload_share?;
    let fill = plan.assumptions.fill;
    match risk::margin_of(setting, fill).map(|margin| margin.map(|margin| margin.of(risks))) {
        Ok(Some(margin)) if near(margin.expected, said) => {
            wrong_note(plan, setting, margin).map(|what| Fault::Breach(what.to_owned()))
        }
        Ok(_) => Some(Fault::Breach(format!(
            "it expects a share of {said} of overload, and that is not what comes of a fill of {fill}"
        ))),
        Err(error) => Some(error.into()),
    }
}

fn near(is: f64, said: f64) -> bool {
    (is - said).abs() <= 1e-9 * is.abs()
}

/// That nothing keeps the accepted share is another thing than that little is known.
fn wrong_note(plan: &Plan, setting: &Setting<'_>, margin: Margin) -> Option<&'static str> {
    let is_seen = margin.seen > setting.policy.overload_share;
    let has = |wanted: &dyn Fn(&PlanNote) -> bool| plan.assumptions.notes.iter().any(wanted);
    if has(&|note| matches!(note, PlanNote::NoMargin { .. })) && !is_seen {
        return Some("it says that no margin keeps the accepted share, and its own does");
    }
    if has(&|note| matches!(note, PlanNote::LittleHistory { .. })) && is_seen {
        return Some("it says that its margin keeps the accepted share, and that was not seen");
    }
    None
}
