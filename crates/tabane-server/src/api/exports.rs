//! Snapshots as files for other systems: the host makes them, the server passes them on.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, Request, State},
    http::header,
    response::Response,
};
use tabane_model::{
    Kind, Resource, Snapshot, SnapshotPhase, Uid,
    api::{ExportRequest, ExportState, StreamKind},
};

use super::{
    export_watch::{self, Watch},
    vms::record_entry,
};
use crate::{Error, Result, app::App, auth::Caller, streams};

type Params = std::result::Result<Query<ExportRequest>, axum::extract::rejection::QueryRejection>;

/// How far a download is, for who asked for it.
pub async fn state(caller: Caller, Path(id): Path<Uid>) -> Result<Json<ExportState>> {
    caller.may_enter()?;
    Ok(Json(export_watch::state(id, &caller.principal)))
}

/// Who may look into a guest may take its disks with him.
pub async fn export(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
    mut request: Request,
) -> Result<Response> {
    caller.may_enter()?;
    let Query(mut export) = params.map_err(|e| Error::Query(e.body_text()))?;
    let watch = Watch::begin(export.watch.take(), &caller.principal);
    let snapshot = app.cache.expect::<Snapshot>(&name)?;
    let ready = snapshot.status.phase == SnapshotPhase::Ready && snapshot.meta.deleted_at.is_none();
    let Some(host) = snapshot.spec.host.clone().filter(|_| ready) else {
        return Err(Error::Refused {
            code: "snapshot_not_ready",
            detail: format!("the {} {name} is {}", Kind::Snapshot, snapshot.phase()),
            hint: format!("`tabane snapshot get {name} -o yaml` says why; wait, or choose another"),
        });
    };
    if !request.headers().contains_key(header::UPGRADE) {
        record_entry(&app, &caller, "export", snapshot.spec.vm.as_str()).await?;
        let file = format!("{}.{}", snapshot.spec.vm, export.format);
        let stream = StreamKind::Export { snapshot: snapshot.meta.name.clone(), export };
        let opened = app.streams.open(&host, stream).await;
        let answer = match opened {
            Ok(stream) => super::downloads::answer(stream, &file, watch.clone()).await,
            Err(error) => Err(error),
        };
        // The browser shows nobody why a download failed; who watches it is told.
        return answer.map_err(|error| watch.failed(error.problem()));
    }
    let (response, client) = streams::accept(&mut request)?;
    record_entry(&app, &caller, "export", snapshot.spec.vm.as_str()).await?;
    let stream = StreamKind::Export { snapshot: snapshot.meta.name.clone(), export };
    let host = app.streams.open(&host, stream).await?;
    tokio::spawn(async move {
        if let Ok(client) = client.await {
            streams::splice(client, host).await;
        }
    });
    Ok(response)
}
