//! Create, read, change, delete and list: the same for every kind of object.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tabane_model::{FieldSelector, LabelSelector, Name, api::List};

use crate::{
    Error, Result,
    admit::{self, Admit, Removal},
    app::App,
    auth::Caller,
    cache::{Cached, Object},
    commit::{self, Change, Done},
    keys,
    wait::{self, Until},
};

const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1000;
const WAIT_DEFAULT_S: u64 = 60;
const WAIT_MAX_S: u64 = 3600;

/// Query parameters that every call on objects understands.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    pub limit: Option<usize>,
    pub cursor: Option<String>,
    pub labels: Option<String>,
    pub fields: Option<String>,
    #[serde(default)]
    pub dry_run: bool,
    pub wait: Option<String>,
    pub timeout_s: Option<u64>,
    #[serde(default)]
    pub watch: bool,
    pub resume: Option<u64>,
}

pub type Params = std::result::Result<Query<Parameters>, axum::extract::rejection::QueryRejection>;

pub fn parameters(params: Params) -> Result<Parameters> {
    params.map(|Query(p)| p).map_err(|e| Error::Query(e.body_text()))
}

impl Parameters {
    pub fn selectors(&self) -> Result<(LabelSelector, FieldSelector)> {
        let labels = self.labels.as_deref().unwrap_or("").parse::<LabelSelector>();
        let fields = self.fields.as_deref().unwrap_or("").parse::<FieldSelector>();
        let fault = |field: &str, e: tabane_model::SelectorError| {
            Error::fault(field, e.to_string(), "for example labels=env=prod,!old or fields=phase=running")
        };
        Ok((labels.map_err(|e| fault("labels", e))?, fields.map_err(|e| fault("fields", e))?))
    }

    fn until(&self) -> Result<Option<(Until, Duration)>> {
        let Some(until) = &self.wait else { return Ok(None) };
        let seconds = self.timeout_s.unwrap_or(WAIT_DEFAULT_S).min(WAIT_MAX_S);
        Ok(Some((until.parse()?, Duration::from_secs(seconds))))
    }
}

/// The ETag of an object is its revision.
pub fn etag(revision: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{revision}\"")).expect("digits and quotes are allowed")
}

fn if_match(headers: &HeaderMap) -> Result<Option<u64>> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    if text == "*" {
        return Ok(None);
    }
    let revision = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).and_then(|t| t.parse().ok());
    revision.map(Some).ok_or_else(|| {
        Error::fault("If-Match", "is no ETag of ours", "send the ETag header of an earlier answer as it was")
    })
}

pub fn answer<R: Cached>(status: StatusCode, object: &R) -> Response {
    (status, [(header::ETAG, etag(object.meta().revision))], Json(object)).into_response()
}

fn answer_any(status: StatusCode, object: &Object) -> Response {
    (status, [(header::ETAG, etag(object.revision()))], Json(object.to_json())).into_response()
}

/// Reads a body strictly: what is not understood is refused, not ignored.
pub fn body<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::Body(error.to_string()))
}

/// In a request an object's status may be there, as it was read, and is ignored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Submitted<S> {
    meta: tabane_model::Meta,
    spec: S,
    #[serde(default, rename = "status")]
    _status: serde::de::IgnoredAny,
}

fn submitted<R: Cached>(bytes: &[u8]) -> Result<Submitted<R::Spec>> {
    body(bytes)
}

pub async fn list<R: Admit>(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    params: Params,
) -> Result<Response> {
    caller.may_read(R::KIND)?;
    let params = parameters(params)?;
    let (labels, fields) = params.selectors()?;
    if params.watch {
        return super::watch::objects::<R>(app, &headers, params, labels, fields);
    }
    let cursor = params
        .cursor
        .as_deref()
        .map(Name::new)
        .transpose()
        .map_err(|_| Error::fault("cursor", "is none of ours", "send the `cursor` of the page before"))?;
    let limit = params.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let keep = |object: &R| labels.matches(&object.meta().labels) && fields.matches(object);
    let (mut items, revision) = app.cache.list::<R>(cursor.as_ref(), limit + 1, keep);
    let more = items.len() > limit;
    items.truncate(limit);
    let cursor = items.last().filter(|_| more).map(|last| last.meta().name.to_string());
    Ok(Json(List { items, cursor, revision }).into_response())
}

pub async fn get<R: Admit>(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response> {
    caller.may_read(R::KIND)?;
    let params = parameters(params)?;
    if let Some((until, timeout)) = params.until()? {
        return finish::<R>(&app, &name, StatusCode::OK, Some((until, timeout))).await;
    }
    let object = app.cache.expect::<R>(&name)?;
    let tag = etag(object.meta().revision);
    if headers.get(header::IF_NONE_MATCH) == Some(&tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    Ok(answer(StatusCode::OK, &*object))
}

/// The answer to a change: the object as it is now, or as it is when it was waited for.
pub async fn finish<R: Cached>(
    app: &Arc<App>,
    name: &str,
    status: StatusCode,
    until: Option<(Until, Duration)>,
) -> Result<Response> {
    let Some((until, timeout)) = until else {
        return Ok(answer(status, &*app.cache.expect::<R>(name)?));
    };
    Ok(match wait::wait(app, R::KIND, name, until, timeout).await? {
        Some(object) => answer_any(status, &object),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if text.is_empty() || text.len() > 128 || !text.chars().all(good) {
        return Err(Error::fault(
            "Idempotency-Key",
            "is no key",
            "use 1 to 128 of letters, digits, '-', '_', '.' and ':', for example a UUID",
        ));
    }
    Ok(Some(text.into()))
}

pub async fn create<R: Admit>(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    params: Params,
    bytes: Bytes,
) -> Result<Response> {
    caller.may_write(R::KIND)?;
    let params = parameters(params)?;
    let until = params.until()?;
    let key = idempotency_key(&headers)?;
    let request = format!("POST /v1/{} {}", R::KIND.plural(), blake3::hash(&bytes).to_hex());
    let new = submitted::<R>(&bytes)?;
    R::check_submitted(&new.spec)?;
    // An address that was free a moment ago may be taken now: then another one is. In the worst case everybody who
    // allocates at the same time is before us.
    const TRIES: usize = 100;
    for attempt in 1.. {
        if let Some(key) = &key
            && let Some(object) = commit::replay(&app, &caller, key, &request).await?
        {
            return finish_any(&app, &object, until).await;
        }
        let attempted = create_once::<R>(&app, &caller, &new, params.dry_run, key.as_deref(), &request).await;
        let passing = match &attempted {
            Err(Error::Refused { code: "taken", .. } | Error::Changed { .. }) => true,
            // The name may have been taken by this very request, sent twice.
            Err(Error::NameTaken { .. }) => key.is_some() && attempt == 1,
            _ => false,
        };
        if passing && attempt < TRIES {
            tokio::time::sleep(Duration::from_millis(attempt.min(20) as u64)).await;
            continue;
        }
        return match attempted? {
            Attempt::Dry(object) => Ok(answer(StatusCode::OK, &object)),
            Attempt::Made(name) => finish::<R>(&app, name.as_str(), StatusCode::CREATED, until).await,
        };
    }
    unreachable!("the loop ends by returning")
}

enum Attempt<R> {
    Dry(R),
    Made(Name),
}

async fn create_once<R: Admit>(
    app: &Arc<App>,
    caller: &Caller,
    new: &Submitted<R::Spec>,
    dry_run: bool,
    key: Option<&str>,
    request: &str,
) -> Result<Attempt<R>> {
    let _admission = app.admission(R::must_be_alone(None, &new.spec)).await;
    let mut change = Change::new(app);
    let object = admit::create::<R>(app, new.meta.clone(), new.spec.clone(), &mut change)?;
    if dry_run {
        return Ok(Attempt::Dry(object));
    }
    let name = object.meta().name.clone();
    if let Some(key) = key {
        let done = Done { request: request.into(), kind: R::KIND, name: name.clone(), at: app.now() };
        let value = serde_json::to_vec(&done).expect("has string keys");
        change.claim(keys::idempotency(&caller.principal, key), value);
    }
    match change.commit(caller).await {
        Ok(_) => Ok(Attempt::Made(name)),
        Err(Error::Changed { kind, name: taken }) if kind == R::KIND && taken == name.as_str() => {
            Err(Error::NameTaken { kind, name: taken })
        }
        Err(error) => Err(error),
    }
}

/// The answer to a request that was done before: as the first time, also in what it waits for.
async fn finish_any(app: &Arc<App>, object: &Object, until: Option<(Until, Duration)>) -> Result<Response> {
    let Some((until, timeout)) = until else { return Ok(answer_any(StatusCode::CREATED, object)) };
    let (kind, name) = object.identity();
    Ok(match wait::wait(app, kind, name.as_str(), until, timeout).await? {
        Some(object) => answer_any(StatusCode::CREATED, &object),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

pub async fn put<R: Admit>(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    params: Params,
    bytes: Bytes,
) -> Result<Response> {
    let new = submitted::<R>(&bytes)?;
    if new.meta.name.as_str() != name {
        return Err(Error::fault("meta.name", "is not the name in the path", "a name cannot be changed"));
    }
    // A revision in the body counts as If-Match: what was read, changed and sent back overwrites nobody.
    let expected = if_match(&headers)?.or(Some(new.meta.revision).filter(|r| *r != 0));
    let replace = |_: &R| Ok((new.meta.labels.clone(), new.spec.clone()));
    change::<R>(&app, &caller, &name, expected, params, "update", replace).await
}

/// JSON merge patch (RFC 7396) over `{meta: {labels}, spec}`.
pub async fn patch<R: Admit>(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    params: Params,
    bytes: Bytes,
) -> Result<Response> {
    let patch: serde_json::Value = body(&bytes)?;
    let expected = if_match(&headers)?;
    let apply = |old: &R| {
        let mut document = serde_json::json!({ "meta": { "labels": old.meta().labels }, "spec": old.spec() });
        merge(&mut document, &patch);
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Labels {
            #[serde(default)]
            labels: std::collections::BTreeMap<String, String>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Patched<S> {
            meta: Labels,
            spec: S,
        }
        let patched: Patched<R::Spec> =
            serde_json::from_value(document).map_err(|error| Error::Body(error.to_string()))?;
        Ok((patched.meta.labels, patched.spec))
    };
    change::<R>(&app, &caller, &name, expected, params, "update", apply).await
}

fn merge(target: &mut serde_json::Value, patch: &serde_json::Value) {
    let serde_json::Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = serde_json::json!({});
    }
    let Some(target) = target.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(serde_json::Value::Null), value);
        }
    }
}

/// Changes labels and spec of an object, again if somebody else came in between and the caller named no revision.
pub async fn change<R: Admit>(
    app: &Arc<App>,
    caller: &Caller,
    name: &str,
    expected: Option<u64>,
    params: Params,
    verb: &'static str,
    edit: impl Fn(&R) -> Result<(std::collections::BTreeMap<String, String>, R::Spec)>,
) -> Result<Response> {
    caller.may_write(R::KIND)?;
    let params = parameters(params)?;
    let until = params.until()?;
    const TRIES: usize = 10;
    let mut alone = false;
    for attempt in 1.. {
        let admission = app.admission(alone).await;
        let old = app.cache.expect::<R>(name)?;
        if expected.is_some_and(|revision| revision != old.meta().revision) {
            return Err(Error::Changed { kind: R::KIND, name: name.into() });
        }
        let (labels, spec) = edit(&old)?;
        if !alone && R::must_be_alone(Some(&old), &spec) {
            alone = true;
            continue;
        }
        let mut change = Change::new(app);
        let new = admit::update::<R>(app, &old, labels, spec, verb, &mut change)?;
        let Some(new) = new else {
            drop(admission);
            return finish::<R>(app, name, StatusCode::OK, until).await;
        };
        if params.dry_run {
            return Ok(answer(StatusCode::OK, &new));
        }
        match change.commit(caller).await {
            Ok(_) => {
                drop(admission);
                return finish::<R>(app, name, StatusCode::OK, until).await;
            }
            Err(Error::Changed { .. } | Error::Refused { code: "taken", .. })
                if expected.is_none() && attempt < TRIES =>
            {
                drop(admission);
                tokio::time::sleep(Duration::from_millis(2 * attempt as u64)).await;
            }
            Err(error) => return Err(error),
        }
    }
    unreachable!("the loop ends by returning")
}

pub async fn delete<R: Admit>(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response> {
    caller.may_write(R::KIND)?;
    let params = parameters(params)?;
    let until = params.until()?;
    let expected = if_match(&headers)?;
    const TRIES: usize = 10;
    for attempt in 1.. {
        // Nobody begins to refer to it while it goes.
        let admission = app.admission(true).await;
        let object = app.cache.expect::<R>(&name)?;
        if expected.is_some_and(|revision| revision != object.meta().revision) {
            return Err(Error::Changed { kind: R::KIND, name });
        }
        if object.meta().deleted_at.is_some() {
            drop(admission);
            return deleted::<R>(&app, &name, until).await;
        }
        let mut change = Change::new(&app);
        match R::remove(&app, &object, &mut change)? {
            Removal::Now => change.delete(&*object),
            Removal::AfterHost => {
                let mut marked = R::clone(&object);
                marked.meta_mut().deleted_at = Some(app.now());
                marked.meta_mut().generation += 1;
                change.update("delete", &marked);
            }
        }
        if params.dry_run {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        let committed = change.commit(&caller).await;
        drop(admission);
        match committed {
            Ok(_) => return deleted::<R>(&app, &name, until).await,
            Err(Error::Changed { .. }) if expected.is_none() && attempt < TRIES => {
                tokio::time::sleep(Duration::from_millis(2 * attempt as u64)).await;
            }
            Err(error) => return Err(error),
        }
    }
    unreachable!("the loop ends by returning")
}

/// 204 when it is gone, 202 with the object while its host cleans up.
async fn deleted<R: Cached>(
    app: &Arc<App>,
    name: &str,
    until: Option<(Until, Duration)>,
) -> Result<Response> {
    if let Some((until, timeout)) = until {
        match wait::wait(app, R::KIND, name, until, timeout).await {
            Ok(_) | Err(Error::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(match app.cache.get::<R>(name) {
        Some(object) => answer(StatusCode::ACCEPTED, &*object),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_patch_follows_the_examples_of_rfc_7396() {
        for (target, patch, result) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            (r#"[1,2]"#, r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            (r#"{}"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            let mut document: serde_json::Value = serde_json::from_str(target).unwrap();
            merge(&mut document, &serde_json::from_str(patch).unwrap());
            assert_eq!(
                document,
                serde_json::from_str::<serde_json::Value>(result).unwrap(),
                "{target} {patch}"
            );
        }
    }
}
