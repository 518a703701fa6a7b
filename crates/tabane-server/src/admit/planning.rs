//! Surveys and plans: what they are made from does not change.

use std::sync::Arc;

use tabane_model::{
    Survey,
    planning::{Plan, PlanSpec, Wave},
};

use super::{Admit, Removal, chain, referred};
use crate::{Error, Result, app::App, commit::Change};

impl Admit for Survey {
    fn admit(_: &Arc<App>, old: Option<&Self>, new: &mut Self, _: &mut Change<'_>) -> Result<()> {
        match old {
            Some(old) if old.spec.files != new.spec.files => Err(Error::fault(
                "spec.files",
                "a survey does not change",
                "make another survey of other files",
            )),
            _ => Ok(()),
        }
    }

    fn remove(app: &Arc<App>, survey: &Self, _: &mut Change<'_>) -> Result<Removal> {
        let name = &survey.meta.name;
        match app.cache.all::<Plan>().into_iter().find(|plan| plan.spec.survey == *name) {
            Some(plan) => Err(Error::InUse {
                detail: format!("the plan {} stands on the survey {name}", plan.meta.name),
                hint: "delete its plans first".into(),
            }),
            None => {
                used_by(app, |wave| wave.spec.review.as_ref().is_some_and(|review| review.measured == *name))
            }
        }
    }
}

/// Whether a wave refers to what is to go.
fn used_by(app: &App, refers: impl Fn(&Wave) -> bool) -> Result<Removal> {
    match app.cache.all::<Wave>().into_iter().find(|wave| refers(wave)) {
        Some(wave) => Err(Error::InUse {
            detail: format!("the wave {} refers to it", wave.meta.name),
            hint: "delete its waves first".into(),
        }),
        None => Ok(Removal::Now),
    }
}

impl Admit for Plan {
    /// What it goes on from must not change meanwhile.
    fn must_be_alone(old: Option<&Self>, new: &PlanSpec) -> bool {
        old.is_none() && new.after.is_some()
    }

    fn admit(app: &Arc<App>, old: Option<&Self>, new: &mut Self, change: &mut Change<'_>) -> Result<()> {
        let Some(old) = old else {
            referred::<Survey>(app, "spec.survey", &new.spec.survey, change)?;
            if let Some(after) = &new.spec.after {
                let before = referred::<Self>(app, "spec.after.plan", &after.plan, change)?;
                chain::may_follow(app, &before, after)?;
            }
            return Ok(());
        };
        let mut same = new.spec.clone();
        same.note.clone_from(&old.spec.note);
        if same == old.spec {
            return Ok(());
        }
        let hint = "make another plan with what differs; both can be compared";
        Err(Error::fault("spec", "of a plan only the note can be changed", hint))
    }

    fn remove(app: &Arc<App>, plan: &Self, _: &mut Change<'_>) -> Result<Removal> {
        let name = &plan.meta.name;
        let follows = |other: &Arc<Self>| other.spec.after.as_ref().is_some_and(|after| after.plan == *name);
        match app.cache.all::<Self>().into_iter().find(follows) {
            Some(other) => Err(Error::InUse {
                detail: format!("the plan {} goes on from {name}", other.meta.name),
                hint: "delete that one first".into(),
            }),
            None => used_by(app, |wave| wave.spec.plan == *name),
        }
    }
}
