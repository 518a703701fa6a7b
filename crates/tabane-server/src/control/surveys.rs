//! Surveys: once all files are here they are read, and the survey says what they hold.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tabane_model::{
    Resource, Survey, Traces, Uid,
    planning::{Plan, SurveyPhase, SurveyStatus},
};

use super::placement::report;
use crate::{Result, app::App, commit::modify};

const EVERY: Duration = Duration::from_secs(60);
const FINDINGS_TOLD: usize = 20;
const DAY_S: f64 = 86_400.0;

pub async fn run(app: Arc<App>) {
    let mut revisions = app.cache.subscribe();
    let mut before = None;
    loop {
        revisions.mark_unchanged();
        let waiting =
            |survey: &Survey| matches!(survey.status.phase, SurveyPhase::Uploading | SurveyPhase::Reading);
        let (surveys, _) = app.cache.list::<Survey>(None, usize::MAX, waiting);
        for survey in surveys {
            report(&survey.meta.name, advance(&app, &survey).await);
        }
        let now = present(&app);
        if before.as_ref() != Some(&now) {
            let (sweeping, cache) = (app.clone(), app.clone());
            let swept = tokio::task::spawn_blocking(move || sweeping.planning.sweep(|| present(&cache)));
            before = swept.await.is_ok().then_some(now);
        }
        tokio::select! {
            _ = revisions.changed() => {}
            () = app.planning.arrived.notified() => {}
            () = tokio::time::sleep(EVERY) => app.planning.forget_idle().await,
        }
    }
}

fn present(app: &App) -> HashSet<Uid> {
    let surveys = app.cache.all::<Survey>().into_iter().map(|survey| survey.meta.uid);
    surveys.chain(app.cache.all::<Plan>().into_iter().map(|plan| plan.meta.uid)).collect()
}

async fn advance(app: &Arc<App>, survey: &Survey) -> Result<()> {
    let received = app.planning.received(survey.meta.uid, &survey.spec.files);
    let whole = received.len() == survey.spec.files.len();
    let phase = if whole { SurveyPhase::Reading } else { SurveyPhase::Uploading };
    let status = SurveyStatus { phase, received, ..SurveyStatus::default() };
    write(app, survey, status.clone()).await?;
    if !whole {
        return Ok(());
    }
    let status = match app.planning.traces(survey.meta.uid).await {
        Ok(traces) => told(&traces, status),
        Err(message) => SurveyStatus { phase: SurveyPhase::Failed, message, ..status },
    };
    write(app, survey, status).await
}

fn told(traces: &Traces, status: SurveyStatus) -> SurveyStatus {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let measured = (0..traces.servers.len()).filter(|server| traces.is_measured(*server)).count();
    let findings = traces.findings.iter().take(FINDINGS_TOLD);
    SurveyStatus {
        phase: SurveyPhase::Ready,
        servers: count(traces.servers.len()),
        servers_measured: count(measured),
        metrics: traces.series.keys().map(ToString::to_string).collect(),
        first_bin_unix: traces.grid.first_bin_unix,
        step_s: traces.grid.step_s,
        days: traces.grid.bins as f64 * f64::from(traces.grid.step_s) / DAY_S,
        findings_count: count(traces.findings.len()),
        findings: findings.map(ToString::to_string).collect(),
        ..status
    }
}

async fn write(app: &Arc<App>, survey: &Survey, status: SurveyStatus) -> Result<()> {
    let change = |now: &mut Survey| {
        let same = now.meta.uid == survey.meta.uid;
        let differs = same && now.status() != &status;
        if differs {
            now.status = status.clone();
        }
        Ok(differs)
    };
    modify::<Survey>(app, &survey.meta.name, change, None).await.map(drop)
}
