//! Going back to a snapshot.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, State},
    response::Response,
};
use tabane_model::{Power, Revert, Snapshot, Uid, Vm, api::RevertRequest};

use super::crud::{self, Params, body};
use crate::{Result, app::App, auth::Caller};

/// A revert is a part of the spec; whether it can be done is judged where every spec is.
pub async fn revert(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
    bytes: Bytes,
) -> Result<Response> {
    let request: RevertRequest = body(&bytes)?;
    let id = Uid::now_v7();
    let edit = |vm: &Vm| {
        let snapshot = app.cache.expect::<Snapshot>(request.snapshot.as_str())?;
        let mut spec = vm.spec.clone();
        let memory = snapshot.spec.memory && !request.disks_only;
        if let Some(then) = snapshot.spec.hardware.as_ref().filter(|_| memory) {
            (spec.cpus, spec.cpus_max) = (then.cpus, then.cpus_max);
            (spec.memory_bytes, spec.memory_bytes_max) = (then.memory_bytes, then.memory_bytes_max);
            spec.power = Power::On;
        }
        spec.revert = Some(Revert { id, snapshot: snapshot.meta.uid, memory });
        Ok((vm.meta.labels.clone(), spec))
    };
    crud::change::<Vm>(&app, &caller, &name, None, params, "revert", edit).await
}
