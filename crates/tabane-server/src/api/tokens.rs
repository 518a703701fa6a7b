//! Tokens: the answer to creating one is the only time that its secret is seen.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tabane_model::{Faults, Kind, Resource, Role, Token, TokenSpec, api::NewToken};
use tabane_store::Outcome;

use super::crud::{Params, body, parameters};
use crate::{
    Error, Result,
    app::App,
    audit::Pending,
    auth::{self, Caller},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Submitted {
    meta: tabane_model::Meta,
    spec: TokenSpec,
}

pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    params: Params,
    bytes: Bytes,
) -> Result<Response> {
    caller.may_write(Kind::Token)?;
    let params = parameters(params)?;
    let new: Submitted = body(&bytes)?;
    let name = new.meta.name;
    // '_' separates the parts of a token; names have none, so the parts are never mixed up.
    let (txn, token, secret) = auth::make_token(name.clone(), new.spec, app.now(), uuid::Uuid::now_v7());
    let mut faults = Faults::default();
    token.validate(&mut faults);
    if token.spec.role == Role::Host {
        faults.add(
            "spec.role",
            "host tokens are made by joining",
            "use the role join, and `tabane host join`",
        );
    }
    if token.spec.expires_at.is_some_and(|at| at <= app.now()) {
        faults.add("spec.expires_at", "is over already", "give a time to come");
    }
    if !faults.is_empty() {
        return Err(Error::Faults(faults.0));
    }
    if params.dry_run {
        return Ok(Json(token).into_response());
    }
    let written = serde_json::to_vec(&token).expect("has string keys");
    let audit = Pending::new(&caller, "create", Kind::Token, name.as_str(), Some(&written), app.now());
    match app.store.txn(audit.add_to(txn)).await? {
        Outcome::Conflict { .. } => Err(Error::NameTaken { kind: Kind::Token, name: name.to_string() }),
        Outcome::Committed(revision) => {
            app.cache.reach(revision).await;
            let token = Token::clone(&*app.cache.expect::<Token>(name.as_str())?);
            Ok((StatusCode::CREATED, Json(NewToken { token, secret })).into_response())
        }
    }
}
