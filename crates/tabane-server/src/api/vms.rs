//! What is done to a VM beside changing its spec: power, and ways into it.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use tabane_model::{
    Kind, Name, Power, Vm, VmSpec,
    api::{ExecRequest, LeavingPart, StreamKind},
};
use tokio::io::AsyncReadExt;

use super::crud::{self, Params, body};
use crate::{
    Error, Result,
    app::App,
    auth::Caller,
    streams::{self, Upgraded},
};

/// Power is a part of the spec: these are changes of it under names that people know.
async fn edit(
    app: &Arc<App>,
    caller: &Caller,
    name: &str,
    params: Params,
    verb: &'static str,
    edit: impl Fn(&Vm, &mut VmSpec),
) -> Result<Response> {
    let apply = |vm: &Vm| {
        let mut spec = vm.spec.clone();
        edit(vm, &mut spec);
        Ok((vm.meta.labels.clone(), spec))
    };
    crud::change::<Vm>(app, caller, name, None, params, verb, apply).await
}

pub async fn start(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response> {
    edit(&app, &caller, &name, params, "start", |vm, spec| {
        // To be on and not running means that it is held after a crash or its own shutdown: ask for a start.
        if spec.power == Power::On && vm.status.phase != tabane_model::VmPhase::Running {
            spec.starts = spec.starts.wrapping_add(1);
        }
        spec.power = Power::On;
    })
    .await
}

pub async fn shutdown(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response> {
    edit(&app, &caller, &name, params, "shutdown", |_, spec| spec.power = Power::Off).await
}

pub async fn force_off(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response> {
    edit(&app, &caller, &name, params, "force-off", |_, spec| spec.power = Power::ForcedOff).await
}

pub async fn pause(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response> {
    edit(&app, &caller, &name, params, "pause", |_, spec| spec.power = Power::Paused).await
}

pub async fn reset(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response> {
    edit(&app, &caller, &name, params, "reset", |_, spec| spec.resets = spec.resets.wrapping_add(1)).await
}

/// The VM's host, if the VM has one.
pub fn host_of(app: &App, name: &str) -> Result<(Name, Name)> {
    let vm = app.cache.expect::<Vm>(name)?;
    let host = vm.spec.host.clone().ok_or_else(|| Error::Refused {
        code: "not_placed",
        detail: format!("no host has the VM {name} yet"),
        hint: format!("`tabane vm get {name}` says why"),
    })?;
    Ok((host, vm.meta.name.clone()))
}

async fn open(app: &App, name: &str, stream: impl FnOnce(Name) -> StreamKind) -> Result<Upgraded> {
    let (host, vm) = host_of(app, name)?;
    app.streams.open(&host, stream(vm)).await
}

/// Opens the host's end first, so that its refusal is an ordinary answer; then switches over and joins the two.
async fn join(
    app: &Arc<App>,
    caller: &Caller,
    verb: &str,
    name: &str,
    mut request: Request,
    stream: impl FnOnce(Name) -> StreamKind,
) -> Result<Response> {
    app.cache.expect::<Vm>(name)?;
    let (response, client) = streams::accept(&mut request)?;
    record_entry(app, caller, verb, name).await?;
    let host = open(app, name, stream).await?;
    tokio::spawn(async move {
        if let Ok(client) = client.await {
            streams::splice(client, host).await;
        }
    });
    Ok(response)
}

pub async fn console(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    caller.may_enter()?;
    join(&app, &caller, "console", &name, request, |vm| StreamKind::Console { vm }).await
}

pub async fn exec(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    caller.may_enter()?;
    let (mut parts, content) = request.into_parts();
    const REQUEST_BYTES_MAX: usize = 256 << 10;
    let bytes: Bytes = axum::body::to_bytes(content, REQUEST_BYTES_MAX)
        .await
        .map_err(|error| Error::Body(error.to_string()))?;
    let exec: ExecRequest = body(&bytes)?;
    if exec.command.is_empty() {
        return Err(Error::fault("command", "is empty", "give a program and its arguments"));
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    let request = Request::from_parts(parts, Body::empty());
    join(&app, &caller, "exec", &name, request, |vm| StreamKind::Exec { vm, exec }).await
}

/// A part of a VM that moves, for the host that it moves to, from the host that has let go of it.
pub async fn leaving(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response> {
    let vm = app.cache.expect::<Vm>(&name)?;
    let (mut parts, content) = request.into_parts();
    const REQUEST_BYTES_MAX: usize = 4 << 10;
    let bytes: Bytes = axum::body::to_bytes(content, REQUEST_BYTES_MAX)
        .await
        .map_err(|error| Error::Body(error.to_string()))?;
    let leaving: LeavingPart = body(&bytes)?;
    let to = vm.spec.moving.as_ref().filter(|m| m.id == leaving.id).map(|m| m.to.clone());
    match to {
        Some(to) => caller.must_be_host(&to)?,
        None => return Err(Error::Denied { role: caller.role.as_str() }),
    }
    let (source, vm) = host_of(&app, &name)?;
    parts.headers.remove(header::CONTENT_LENGTH);
    let mut request = Request::from_parts(parts, Body::empty());
    let (response, client) = streams::accept(&mut request)?;
    let host = app.streams.open(&source, StreamKind::Leaving { vm, leaving }).await?;
    tokio::spawn(async move {
        if let Ok(client) = client.await {
            streams::splice(client, host).await;
        }
    });
    Ok(response)
}

/// Who went into a guest is part of the audit log; what he did there is not ours to keep. Only a VM that exists can be
/// entered, so nobody writes names of his own into the log.
pub async fn record_entry(app: &Arc<App>, caller: &Caller, verb: &str, name: &str) -> Result<()> {
    let (_, vm) = host_of(app, name)?;
    let record = crate::audit::Pending::new(caller, verb, Kind::Vm, vm.as_str(), None, app.now());
    app.store.txn(record.add_to(tabane_store::Txn::new())).await?;
    Ok(())
}

pub async fn screenshot(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response> {
    caller.may_enter()?;
    const PICTURE_BYTES_MAX: u64 = 64 << 20;
    let stream = open(&app, &name, |vm| StreamKind::Screenshot { vm }).await?;
    let mut picture = Vec::new();
    let failed = |e: std::io::Error| Error::Bug(format!("the host's picture broke off: {e}"));
    stream.take(PICTURE_BYTES_MAX).read_to_end(&mut picture).await.map_err(failed)?;
    Ok(([(header::CONTENT_TYPE, "image/png")], picture).into_response())
}
