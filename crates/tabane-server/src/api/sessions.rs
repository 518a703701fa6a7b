//! Signing in and out of the web console.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tabane_model::{Role, Token, api::Session};

use super::crud::body;
use crate::{
    Error, Result,
    app::App,
    auth::{self, Caller, Peer},
    session::{self, COOKIE},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    token: String,
}

/// A token for a cookie. Tokens of hosts and of those who want to become one are for programs only.
pub async fn sign_in(
    State(app): State<Arc<App>>,
    peer: Option<Extension<Peer>>,
    bytes: Bytes,
) -> Result<Response> {
    let peer = peer.as_ref().map(|Extension(peer)| peer);
    app.failures.check(peer)?;
    let SignIn { token } = body(&bytes)?;
    let from = peer.map_or_else(|| "-".into(), Peer::told);
    let caller = match auth::authenticate(&app, token.trim(), &from).await {
        Ok(caller) => caller,
        Err(error) => {
            if matches!(error, Error::Unauthenticated) {
                app.failures.add(peer);
            }
            return Err(error);
        }
    };
    if matches!(caller.role, Role::Join | Role::Host) {
        return Err(Error::Denied { role: caller.role.as_str() });
    }
    let token = app.cache.get::<Token>(&caller.principal).ok_or(Error::Unauthenticated)?;
    let (id, until) = session::open(&app, &token, &caller).await?;
    let age_s = until.duration_since(app.now()).as_secs().max(0);
    let told = Session { principal: caller.principal, role: caller.role, expires_at: Some(until) };
    let mut response = (StatusCode::CREATED, Json(told)).into_response();
    set_cookie(&mut response, &id, age_s);
    Ok(response)
}

/// Who is signed in; 204 when nobody is, which is no failure of whoever asks just that.
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Result<Caller>,
    headers: HeaderMap,
) -> Result<Response> {
    let caller = match caller {
        Ok(caller) => caller,
        Err(Error::Unauthenticated) => return Ok(StatusCode::NO_CONTENT.into_response()),
        Err(error) => return Err(error),
    };
    let expires_at = match session::id_of(&headers) {
        Some(id) => session::authenticate(&app, id, "").await.ok().map(|(_, until)| until),
        None => None,
    };
    Ok(Json(Session { principal: caller.principal, role: caller.role, expires_at }).into_response())
}

pub async fn sign_out(State(app): State<Arc<App>>, caller: Caller, headers: HeaderMap) -> Result<Response> {
    if let Some(id) = session::id_of(&headers) {
        session::close(&app, id, &caller).await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut response, "", 0);
    Ok(response)
}

fn set_cookie(response: &mut Response, id: &str, age_s: i64) {
    let text = format!("{COOKIE}={id}; Path=/; Max-Age={age_s}; HttpOnly; Secure; SameSite=Strict");
    let value = HeaderValue::from_str(&text).expect("base64 and digits are allowed");
    response.headers_mut().insert(header::SET_COOKIE, value);
}
