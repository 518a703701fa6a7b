//! The HTTP API: thin handlers over [`crate::commit`] and [`crate::cache`].

mod audit;
pub mod clones;
pub mod collections;
pub mod crud;
mod downloads;
pub mod events;
mod export_watch;
pub mod exports;
pub mod hosts;
pub mod images;
mod metrics;
pub mod openapi;
mod packages;
pub mod planning;
mod sessions;
pub mod snapshots;
mod sockets;
pub mod tokens;
pub mod vms;
pub mod watch;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::header,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use tabane_model::{
    Class, Disk, Event, Flavor, Host, Image, Kind, Network, Pool, Problem, Snapshot, Survey, Token, Vm,
    planning::{Collection, Plan, Wave},
};

use crate::{admit::Admit, app::App, console, session};

pub use tabane_model::DEFAULT_NETWORK;

/// Objects are small; user-data is the largest part of one.
const BODY_BYTES_MAX: usize = 1 << 20;

pub fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    router = resource::<Vm>(router);
    router = resource::<Image>(router);
    router = resource::<Disk>(router);
    router = resource::<Pool>(router);
    router = resource::<Flavor>(router);
    router = resource::<Network>(router);
    router = resource::<Host>(router);
    router = resource::<Event>(router);
    router = resource::<Snapshot>(router);
    router = resource::<Survey>(router);
    router = resource::<Plan>(router);
    router = resource::<Wave>(router);
    router = resource::<Collection>(router);
    router = router
        .route("/v1/tokens", get(crud::list::<Token>).post(tokens::create))
        .route("/v1/tokens/{name}", get(crud::get::<Token>).delete(crud::delete::<Token>))
        .route("/v1/vms/{name}/start", post(vms::start))
        .route("/v1/vms/{name}/shutdown", post(vms::shutdown))
        .route("/v1/vms/{name}/force-off", post(vms::force_off))
        .route("/v1/vms/{name}/pause", post(vms::pause))
        .route("/v1/vms/{name}/resume", post(vms::start))
        .route("/v1/vms/{name}/reset", post(vms::reset))
        .route("/v1/vms/{name}/clone", post(clones::clone))
        .route("/v1/vms/{name}/revert", post(snapshots::revert))
        .route("/v1/vms/{name}/console", get(vms::console))
        .route("/v1/vms/{name}/leaving", post(vms::leaving))
        .route("/v1/vms/{name}/exec", post(vms::exec))
        .route("/v1/vms/{name}/screenshot", get(vms::screenshot))
        .route("/v1/vms/{name}/vnc", get(sockets::display))
        .route("/v1/vms/{name}/vnc-tickets", post(sockets::display_ticket))
        .route("/v1/vms/{name}/console-socket", get(sockets::console))
        .route("/v1/vms/{name}/console-tickets", post(sockets::console_ticket))
        .route("/v1/snapshots/{name}/export", get(exports::export))
        .route("/v1/exports/{id}", get(exports::state))
        .route("/v1/images/{name}/content", put(images::upload))
        .route("/v1/images/{name}/files", get(images::files))
        .route("/v1/surveys/{name}/files/{file}", put(planning::receive))
        .route("/v1/collections/{name}/report", post(collections::report))
        .route("/v1/plans/{name}/document", get(planning::document))
        .route("/v1/plans/{name}/report", get(planning::report))
        .route("/v1/plans/{name}/try", post(planning::attempt))
        .route("/v1/plans/{name}/compare/{other}", get(planning::compare))
        .route("/v1/vms/{name}/metrics", get(metrics::of_vm))
        .route("/v1/hosts/{name}/metrics", get(metrics::of_host))
        .route("/v1/metrics/vms", get(metrics::of_vms))
        .route("/v1/metrics/hosts", get(metrics::of_hosts))
        .route("/metrics", get(metrics::exposition))
        .route(
            "/v1/packages/plan",
            post(packages::plan).layer(DefaultBodyLimit::max(packages::BODY_BYTES_MAX)),
        )
        .route("/v1/hosts/{name}/watch", get(hosts::watch))
        .route("/v1/hosts/{name}/report", post(hosts::report))
        .route("/v1/hosts/{name}/streams/{id}", post(hosts::stream))
        .route("/v1/hosts/{name}/streams/{id}/refusal", post(hosts::refuse_stream))
        .route("/v1/session", get(sessions::show).post(sessions::sign_in).delete(sessions::sign_out))
        .route("/v1/watch", get(watch::all))
        .route("/v1/audit", get(audit::list))
        .route("/v1/join", post(hosts::join))
        .route("/v1/ca.pem", get(ca))
        .route("/v1/health", get(health))
        .route("/v1/openapi.json", get(|| async { Json(openapi::document()) }))
        .fallback(console::serve);
    router
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(axum::middleware::from_fn(session::guard))
        .layer(axum::middleware::map_response(as_problem))
        .layer(axum::middleware::from_fn_with_state(app.clone(), crate::metrics::observe))
        .layer(axum::middleware::map_response(console::protect))
        .with_state(app)
}

/// What the framework refuses by itself becomes a problem like every other.
async fn as_problem(response: Response) -> Response {
    let status = response.status();
    let ours = response.headers().get(header::CONTENT_TYPE).is_some_and(|v| v == "application/problem+json");
    if ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let told = axum::body::to_bytes(body, 4096).await.unwrap_or_default();
    let told: String = String::from_utf8_lossy(&told).chars().filter(|c| !c.is_control()).take(300).collect();
    let reason = status.canonical_reason().unwrap_or("refused");
    let detail = if told.is_empty() { reason.to_lowercase() } else { told };
    let code = reason.to_lowercase().replace([' ', '-'], "_");
    let problem = Problem::new(Class::Invalid, &code, detail)
        .with_status(status.as_u16())
        .with_hint("see /v1/openapi.json for paths, methods and forms");
    let mut response = (status, Json(problem)).into_response();
    for (name, value) in &parts.headers {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            response.headers_mut().insert(name, value.clone());
        }
    }
    let kind = header::HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn resource<R: Admit>(router: Router<Arc<App>>) -> Router<Arc<App>> {
    let plural = R::KIND.plural();
    let mut all = get(crud::list::<R>);
    let mut one = get(crud::get::<R>);
    if R::KIND != Kind::Event {
        all = all.post(crud::create::<R>);
        one = one.put(crud::put::<R>).patch(crud::patch::<R>).delete(crud::delete::<R>);
    }
    router.route(&format!("/v1/{plural}"), all).route(&format!("/v1/{plural}/{{name}}"), one)
}

/// The authority's certificate. Public: whoever joins compares its fingerprint with the one he was given.
async fn ca(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(axum::http::header::CONTENT_TYPE, "application/x-pem-file")], app.authority.ca_pem.clone())
}

/// Whether the server can answer from its store.
async fn health(State(app): State<Arc<App>>) -> crate::Result<Json<serde_json::Value>> {
    let revision = app.store.revision().await?;
    Ok(Json(
        serde_json::json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION"), "revision": revision }),
    ))
}
