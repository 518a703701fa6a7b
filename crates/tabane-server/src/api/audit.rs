//! The audit log for reading: whole records, the newest first. Checking the chain is `tabane audit verify`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
};
use serde::{Deserialize, Serialize};
use tabane_model::{Kind, api::AuditRecord};

use crate::{Error, Result, app::App, audit, auth::Caller};

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    limit: Option<usize>,
    /// Only records before this sequence number.
    before: Option<u64>,
}

#[derive(Serialize)]
pub struct Records {
    items: Vec<AuditRecord>,
    /// Pass it as `before` for older ones; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<u64>,
}

pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    page: std::result::Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Records>> {
    // It tells who holds which token: as much as reading tokens.
    caller.may_read(Kind::Token)?;
    let Query(page) = page.map_err(|e| Error::Query(e.body_text()))?;
    let limit = page.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
    let path = app.audit_log.clone();
    let read = tokio::task::spawn_blocking(move || audit::newest(&path, page.before, limit));
    let items = read.await.map_err(|e| Error::Bug(format!("reading the audit log: {e}")))??;
    let before = items.last().map(|r| r.sequence).filter(|s| items.len() == limit && *s > 1);
    Ok(Json(Records { items, before }))
}
