//! Surveys and plans: what they are made from does not change.

use std::sync::Arc;

use tabane_model::{Survey, planning::Plan};

use super::{Admit, Removal, referred};
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
            None => Ok(Removal::Now),
        }
    }
}

impl Admit for Plan {
    fn admit(app: &Arc<App>, old: Option<&Self>, new: &mut Self, change: &mut Change<'_>) -> Result<()> {
        let Some(old) = old else {
            referred::<Survey>(app, "spec.survey", &new.spec.survey, change)?;
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

    fn remove(_: &Arc<App>, _: &Self, _: &mut Change<'_>) -> Result<Removal> {
        Ok(Removal::Now)
    }
}
