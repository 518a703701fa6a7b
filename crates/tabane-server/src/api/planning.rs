//! Files of surveys, and documents of plans.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tabane_core::plan::TrialError;
use tabane_model::{
    Kind, Survey,
    planning::{Plan, PlanComparison, PlanPhase, SurveyPhase, TRIAL_MOVES_MAX, Trial, TrialRequest},
};
use tabane_report::Language;

use super::crud::body;
use crate::{Error, Result, app::App, auth::Caller, planning};

/// The page brings its own style, and nothing else may run or be fetched.
const REPORT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox";

/// A file of a survey, as the body.
pub async fn receive(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((name, file)): Path<(String, String)>,
    request: Request,
) -> Result<Response> {
    caller.may_write(Kind::Survey)?;
    let survey = app.cache.expect::<Survey>(&name)?;
    let Some(expected) = survey.spec.files.iter().find(|expected| expected.name == file) else {
        let known: Vec<&str> = survey.spec.files.iter().map(|file| file.name.as_str()).collect();
        return Err(Error::fault(
            "file",
            format!("the survey {name} has no such file"),
            format!("it has {}", known.join(", ")),
        ));
    };
    if survey.status.phase != SurveyPhase::Uploading {
        return Err(planning::received_already(&expected.name));
    }
    app.planning.receive(survey.meta.uid, expected, request.into_body().into_data_stream()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The document as it is kept: `plan.json`.
pub async fn document(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response> {
    caller.may_read(Kind::Plan)?;
    let bytes = read(&app, &name).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportQuery {
    #[serde(default)]
    lang: ReportLanguage,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ReportLanguage {
    #[default]
    En,
    Ja,
}

/// One page that needs nothing else.
pub async fn report(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    query: std::result::Result<Query<ReportQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response> {
    caller.may_read(Kind::Plan)?;
    let Query(ReportQuery { lang }) = query.map_err(|error| Error::Query(error.body_text()))?;
    let language = match lang {
        ReportLanguage::En => Language::English,
        ReportLanguage::Ja => Language::Japanese,
    };
    let plan = parsed(&app, &name).await?;
    let page = tokio::task::spawn_blocking(move || tabane_report::html(&plan, language)).await;
    let page = page.map_err(|error| Error::Bug(error.to_string()))?;
    let kind = (header::CONTENT_TYPE, "text/html; charset=utf-8");
    Ok(([kind, (header::CONTENT_SECURITY_POLICY, REPORT_POLICY)], page).into_response())
}

/// What would be if servers were on other hosts. Nothing of it is kept.
pub async fn attempt(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    bytes: Bytes,
) -> Result<Json<Trial>> {
    caller.may_read(Kind::Plan)?;
    let request: TrialRequest = body(&bytes)?;
    if request.moves.len() > TRIAL_MOVES_MAX {
        let hint = format!("move {TRIAL_MOVES_MAX} at most; for more, make another plan");
        return Err(Error::fault("moves", "these are too many", hint));
    }
    let plan = app.cache.expect::<Plan>(&name)?;
    let survey = app.cache.expect::<Survey>(plan.spec.survey.as_str())?;
    let bench =
        app.planning.bench(plan.meta.uid, survey.meta.uid, async || parsed(&app, &name).await).await?;
    let tried = move || bench.bench.attempt(&bench.plan, &bench.traces, &request.moves);
    let tried = tokio::task::spawn_blocking(tried).await.map_err(|error| Error::Bug(error.to_string()))?;
    tried.map(Json).map_err(|error| {
        let (field, hint) = match &error {
            TrialError::UnknownServer { at, .. } => {
                (format!("moves[{at}].server"), "use a server that has a host in the plan, or lacks one")
            }
            TrialError::UnknownHost { at, .. } => (
                format!("moves[{at}].host"),
                "use a host that does not stand by, or give a `host_type` for a new one",
            ),
            TrialError::UnknownType { at, .. } => {
                (format!("moves[{at}].host_type"), "use a type of hosts of the plan")
            }
            TrialError::Plan(_) => return Error::Bug(planning::chain(&error)),
        };
        Error::fault(field, error.to_string(), hint)
    })
}

/// What differs between two plans.
pub async fn compare(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((name, other)): Path<(String, String)>,
) -> Result<Json<PlanComparison>> {
    caller.may_read(Kind::Plan)?;
    let [a, b] = [&name, &other].map(|name| app.cache.expect::<Plan>(name));
    let (a, b) = (a?, b?);
    if a.spec.survey != b.spec.survey {
        return Err(Error::Refused {
            code: "other_survey",
            detail: format!("{name} is a plan of the survey {}, {other} of {}", a.spec.survey, b.spec.survey),
            hint: "compare plans of the same survey".into(),
        });
    }
    let (a, b) = (parsed(&app, &name).await?, parsed(&app, &other).await?);
    let compared = move || tabane_core::plan::compare((&name, &a), (&other, &b));
    let compared = tokio::task::spawn_blocking(compared).await;
    compared.map(Json).map_err(|error| Error::Bug(error.to_string()))
}

async fn read(app: &App, name: &str) -> Result<Vec<u8>> {
    let plan = app.cache.expect::<Plan>(name)?;
    if plan.status.phase != PlanPhase::Ready {
        return Err(Error::Refused {
            code: "plan_not_ready",
            detail: format!("the plan {name} is {}", plan.status.phase),
            hint: format!("wait until it is ready: `tabane plan get {name}` shows how far it is"),
        });
    }
    let path = app.planning.document(plan.meta.uid);
    tokio::fs::read(&path).await.map_err(|source| Error::File { action: "read", path, source })
}

async fn parsed(app: &App, name: &str) -> Result<tabane_model::Plan> {
    let bytes = read(app, name).await?;
    serde_json::from_slice(&bytes).map_err(|error| Error::Bug(format!("the document of {name}: {error}")))
}
