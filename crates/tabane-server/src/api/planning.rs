//! Files of surveys, and documents of plans.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tabane_model::{
    Kind, Survey,
    planning::{Plan, PlanPhase, SurveyPhase},
};
use tabane_report::Language;

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
