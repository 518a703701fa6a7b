//! Metrics: of one VM or host over time, of all of them now, and for Prometheus.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tabane_model::{Host, Kind, Metrics, Name, Series, Statistic, Uid, Usage, UsageList, Vm};

use crate::{Error, Result, app::App, auth::Caller, metrics::Window};

const SPAN_S: i64 = 3600;
const LIMIT: usize = 1000;
/// The form that Prometheus asks for by preference.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Texts, so that a number and a time may stand in the same place.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    from: Option<String>,
    to: Option<String>,
    step_s: Option<u32>,
    statistic: Option<Statistic>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    sort: Option<Series>,
    limit: Option<usize>,
}

fn moment(field: &str, text: &str) -> Result<i64> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Ok(seconds);
    }
    let time = text.parse::<jiff::Timestamp>();
    time.map(|t| t.as_second()).map_err(|_| {
        Error::Query(format!("{field}: neither seconds since 1970 nor a time such as 2026-01-31T12:00:00Z"))
    })
}

fn parsed<T>(query: Result<Query<T>, QueryRejection>) -> Result<T> {
    query.map(|Query(query)| query).map_err(|error| Error::Query(error.body_text()))
}

async fn read(app: Arc<App>, owner: Uid, question: Question) -> Result<Json<Metrics>> {
    let now = app.now().as_second();
    let to = question.to.as_deref().map_or(Ok(now), |text| moment("to", text))?;
    let from = question.from.as_deref().map_or(Ok(to.saturating_sub(SPAN_S)), |text| moment("from", text))?;
    let window = Window::new(from, to, question.step_s, now)
        .map_err(|told| Error::Query(format!("from, to: {told}")))?;
    let statistic = question.statistic.unwrap_or_default();
    let read = tokio::task::spawn_blocking(move || app.metrics.read(owner, &window, statistic)).await;
    read.map_err(|error| Error::Bug(error.to_string()))?.map(Json)
}

type Asked<T> = Result<Query<T>, QueryRejection>;

pub async fn of_vm(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    question: Asked<Question>,
) -> Result<Json<Metrics>> {
    caller.may_read(Kind::Vm)?;
    let owner = app.cache.expect::<Vm>(&name)?.meta.uid;
    read(app, owner, parsed(question)?).await
}

pub async fn of_host(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    question: Asked<Question>,
) -> Result<Json<Metrics>> {
    caller.may_read(Kind::Host)?;
    let owner = app.cache.expect::<Host>(&name)?.meta.uid;
    read(app, owner, parsed(question)?).await
}

pub async fn of_vms(
    State(app): State<Arc<App>>,
    caller: Caller,
    order: Asked<Order>,
) -> Result<Json<UsageList>> {
    caller.may_read(Kind::Vm)?;
    let hosts = app.cache.all::<Vm>().into_iter().map(|vm| (vm.meta.uid, vm.spec.host.clone())).collect();
    Ok(Json(usage(&app, Kind::Vm, &hosts, &parsed(order)?)))
}

pub async fn of_hosts(
    State(app): State<Arc<App>>,
    caller: Caller,
    order: Asked<Order>,
) -> Result<Json<UsageList>> {
    caller.may_read(Kind::Host)?;
    let hosts = app.cache.all::<Host>().into_iter().map(|host| (host.meta.uid, None)).collect();
    Ok(Json(usage(&app, Kind::Host, &hosts, &parsed(order)?)))
}

/// What those of `hosts` use now, the most of one series first.
fn usage(app: &App, kind: Kind, hosts: &BTreeMap<Uid, Option<Name>>, order: &Order) -> UsageList {
    let sort = order.sort.unwrap_or_default() as usize;
    let mut found = app.metrics.fresh(kind);
    found.retain(|(sample, _)| hosts.contains_key(&sample.uid));
    // What is not known comes last.
    let key = |value: f32| if value.is_nan() { -1.0 } else { value };
    found.sort_by(|(a, x), (b, y)| key(y[sort]).total_cmp(&key(x[sort])).then_with(|| a.name.cmp(&b.name)));
    found.truncate(order.limit.unwrap_or(LIMIT));
    let item = |(sample, values): (tabane_model::Sample, [f32; 8])| Usage {
        host: hosts.get(&sample.uid).cloned().flatten(),
        name: sample.name,
        at: sample.at_ms / 1000,
        cpus: sample.cpus,
        values: Series::ALL
            .iter()
            .map(|s| (s.as_str().to_owned(), Some(values[*s as usize]).filter(|v| v.is_finite())))
            .collect(),
    };
    UsageList { items: found.into_iter().map(item).collect() }
}

pub async fn exposition(State(app): State<Arc<App>>, caller: Caller) -> Result<Response> {
    caller.may_read(Kind::Vm)?;
    // Ten thousand VMs are some megabytes of text: not on a thread that others wait for.
    let text = tokio::task::spawn_blocking(move || crate::metrics::exposition(&app)).await;
    let text = text.map_err(|error| Error::Bug(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}
