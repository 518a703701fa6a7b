//! Reviews of waves: judged when somebody says by what, and again when he says otherwise. What follows from a verdict is
//! done by people; admission holds them to it.

use std::{sync::Arc, time::Duration};

use tabane_model::{
    Survey,
    planning::{Plan, SurveyPhase, Wave, WaveReview, WaveState, WaveStatus},
};

use super::placement::report;
use crate::{Error, Result, api::planning::parsed, app::App, commit::modify, planning::chain};

const RETRY: Duration = Duration::from_secs(5);

pub async fn run(app: Arc<App>) {
    let mut revisions = app.cache.subscribe();
    loop {
        revisions.mark_unchanged();
        let waiting = |wave: &Wave| {
            let is_on = matches!(wave.spec.state, WaveState::Running | WaveState::Stopped);
            is_on && wave.spec.review.is_some() && wave.spec.review != wave.status.reviewed
        };
        let (waves, _) = app.cache.list::<Wave>(None, usize::MAX, waiting);
        for wave in waves {
            report(&wave.meta.name, judge(&app, &wave).await);
        }
        let _ = tokio::time::timeout(RETRY, revisions.changed()).await;
    }
}

async fn judge(app: &Arc<App>, wave: &Wave) -> Result<()> {
    let Some(asked) = &wave.spec.review else { return Ok(()) };
    let status = match review(app, wave, asked).await {
        Ok(Some(review)) => {
            WaveStatus { reviewed: Some(asked.clone()), review: Some(review), message: String::new() }
        }
        Ok(None) => {
            let message = format!("waits for the survey {}", asked.measured);
            WaveStatus { message, ..wave.status.clone() }
        }
        // It would fail again: it is judged anew when somebody states something else.
        Err(message) => WaveStatus { reviewed: Some(asked.clone()), review: None, message },
    };
    let change = |now: &mut Wave| {
        let same = now.meta.uid == wave.meta.uid && now.spec.review == wave.spec.review;
        let differs = same && now.status != status;
        if differs {
            now.status = status.clone();
        }
        Ok(differs)
    };
    modify::<Wave>(app, &wave.meta.name, change, None).await.map(drop)
}

/// `None` while the survey is not ready; an error is a sentence.
async fn review(
    app: &Arc<App>,
    wave: &Wave,
    asked: &WaveReview,
) -> std::result::Result<Option<tabane_model::Review>, String> {
    let told = |error: Error| chain(&error);
    let plan = app.cache.expect::<Plan>(wave.spec.plan.as_str()).map_err(told)?;
    let since = app.cache.expect::<Survey>(asked.measured.as_str()).map_err(told)?;
    match since.status.phase {
        SurveyPhase::Ready => {}
        SurveyPhase::Failed => return Err(format!("the survey {} cannot be read", asked.measured)),
        _ => return Ok(None),
    }
    let of = app.cache.expect::<Survey>(plan.spec.survey.as_str()).map_err(told)?;
    let document = parsed(app, plan.meta.name.as_str()).await.map_err(told)?;
    let planned = app.planning.traces(of.meta.uid).await?;
    let measured = app.planning.traces(since.meta.uid).await?;
    let (name, facts) = (wave.spec.wave.clone(), asked.facts.clone());
    let judged = tokio::task::spawn_blocking(move || {
        tabane_core::plan::review(&document, &name, &planned, &measured, &facts).map_err(|e| chain(&e))
    });
    judged.await.map_err(|_| "the review ended by a fault of the server".to_owned())?.map(Some)
}
