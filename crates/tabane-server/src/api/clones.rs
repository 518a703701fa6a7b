//! Copies of a VM.
//!
//! ```text
//!   POST …/clone ─► snapshot of the VM ─► each new VM in a txn of its own, with disks `from` the snapshot ─► 201
//!                     │ the host takes it        │ the host makes the disks once it is taken
//! ```
//!
//! Nothing is waited for: hosts make everything true in its own time.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tabane_model::{
    CloneMode, CloneOf, Identity, Kind, Meta, NAME_LENGTH_MAX, Name, Power, Quiesce, Resource, Snapshot,
    SnapshotSource, SnapshotSpec, Vm, VmDisk, VmSpec,
    api::{CloneRequest, List},
};

use super::crud::{self, Params, body};
use crate::{Error, Result, admit, app::App, auth::Caller, commit::Change};

const CLONES_MAX: usize = 100;
const TRIES: usize = 100;

pub async fn clone(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
    bytes: Bytes,
) -> Result<Response> {
    caller.may_write(Kind::Vm)?;
    let params = crud::parameters(params)?;
    let request: CloneRequest = body(&bytes)?;
    let source = app.cache.expect::<Vm>(&name)?;
    check_names(&app, &request)?;
    if request.instant {
        can_go_on(&source, &request)?;
    }
    let snapshot = match &request.snapshot {
        Some(name) => Snapshot::clone(&*app.cache.expect::<Snapshot>(name.as_str())?),
        None => take(&app, &caller, &source, &request, params.dry_run).await?,
    };
    if snapshot.spec.vm != source.meta.name {
        return Err(Error::fault(
            "snapshot",
            format!("is one of the VM {}", snapshot.spec.vm),
            "leave it out",
        ));
    }
    let mut items = Vec::new();
    for name in &request.names {
        let vm = (Meta::new(name.clone()), spec(&source, &snapshot, &request));
        if params.dry_run {
            items.push(Vm::new(vm.0, vm.1));
        } else {
            items.push(create(&app, &caller, vm.0, vm.1).await?);
        }
    }
    let status = if params.dry_run { StatusCode::OK } else { StatusCode::CREATED };
    let revision = items.iter().map(|vm| vm.meta.revision).max().unwrap_or_default();
    Ok((status, Json(List { items, cursor: None, revision })).into_response())
}

fn check_names(app: &App, request: &CloneRequest) -> Result<()> {
    let names = &request.names;
    if names.is_empty() || names.len() > CLONES_MAX {
        return Err(Error::fault("names", format!("{} names", names.len()), "give 1 to 100"));
    }
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            return Err(Error::fault("names", format!("{name} is there twice"), "give each its own"));
        }
        if app.cache.get::<Vm>(name.as_str()).is_some() {
            return Err(Error::NameTaken { kind: Kind::Vm, name: name.to_string() });
        }
    }
    Ok(())
}

/// The one of earlier clones of these names may still be there.
fn free_name(app: &App, first: &Name) -> Name {
    let ends = std::iter::once("-base".to_owned()).chain((2..).map(|n| format!("-base-{n}")));
    let mut names = ends.map(|end| {
        let start: String = first.as_str().chars().take(NAME_LENGTH_MAX - end.len()).collect();
        Name::new(format!("{}{end}", start.trim_end_matches('-'))).expect("the start of a name, and letters")
    });
    names.find(|name| app.cache.get::<Snapshot>(name.as_str()).is_none()).expect("there is no last number")
}

/// Whether copies can go on where the VM stands: they have to be told who they are, by its agent.
fn can_go_on(source: &Vm, request: &CloneRequest) -> Result<()> {
    if request.clone == CloneMode::Full {
        return Err(Error::fault(
            "clone",
            "what goes on with a memory goes on with its disks, too: it stands on the snapshot",
            "leave `full` or `instant` out",
        ));
    }
    if request.identity == Identity::Keep {
        return Err(Error::fault(
            "identity",
            "what goes on beside the VM cannot take itself for it",
            "leave `identity` or `instant` out",
        ));
    }
    if request.snapshot.is_some() {
        return Ok(());
    }
    let name = &source.meta.name;
    let refused = |detail: String, hint: String| Err(Error::Refused { code: "cannot_go_on", detail, hint });
    let Some(guest) = source.status.guest.as_ref().filter(|guest| guest.agent) else {
        return refused(
            format!(
                "the guest agent of {name} does not answer, so nobody could tell the copies who they are"
            ),
            format!("start {name} and its agent first, or clone it without `--instant`"),
        );
    };
    if guest.os.as_ref().is_some_and(|os| os.contains("Windows")) {
        return refused(
            format!(
                "{name} runs {}, whose identity is not made anew",
                guest.os.as_deref().unwrap_or_default()
            ),
            "clone it without `--instant`".into(),
        );
    }
    Ok(())
}

/// The snapshot that the clones are made from, named after the first of them.
async fn take(
    app: &Arc<App>,
    caller: &Caller,
    source: &Vm,
    request: &CloneRequest,
    dry_run: bool,
) -> Result<Snapshot> {
    let name = free_name(app, &request.names[0]);
    let mut spec = SnapshotSpec::new(source.meta.name.clone());
    spec.quiesce = Quiesce::Auto;
    spec.for_clones = true;
    spec.memory = request.instant;
    spec.note = format!("for clones of {}", source.meta.name);
    let _admission = app.admission(true).await;
    let mut change = Change::new(app);
    let snapshot = admit::create::<Snapshot>(app, Meta::new(name), spec, &mut change)?;
    if !dry_run {
        change.commit(caller).await?;
    }
    Ok(snapshot)
}

fn spec(source: &Vm, snapshot: &Snapshot, request: &CloneRequest) -> VmSpec {
    let mut spec = source.spec.clone();
    spec.power = if request.start { Power::On } else { Power::Off };
    (spec.resets, spec.starts) = (0, 0);
    (spec.revert, spec.host, spec.moving) = (None, None, None);
    spec.init.hostname = None;
    spec.clone_of = Some(CloneOf {
        snapshot: snapshot.meta.name.clone(),
        memory: request.instant,
        identity: request.identity,
        vm: None,
        macs: Default::default(),
    });
    // A device belongs to one VM.
    spec.pci.clear();
    for nic in &mut spec.nics {
        (nic.mac, nic.address) = (None, None);
        // A port of the host leads to one guest.
        nic.forwards.clear();
    }
    let disks = snapshot.spec.hardware.iter().flat_map(|h| &h.disks);
    let of_source = |name: &Name| source.spec.disks.iter().find(|d| d.name == *name);
    spec.disks = disks
        .map(|disk| VmDisk {
            name: disk.name.clone(),
            disk: None,
            image: None,
            size_bytes: None,
            pool: None,
            from: Some(SnapshotSource { snapshot: snapshot.meta.name.clone(), disk: disk.name.clone() }),
            clone: request.clone,
            keep: of_source(&disk.name).is_some_and(|d| d.keep),
            bus: of_source(&disk.name).map(|d| d.bus).unwrap_or_default(),
            limits: of_source(&disk.name).map(|d| d.limits).unwrap_or_default(),
        })
        .collect();
    spec
}

/// One VM; an address that another took at the same moment is exchanged for a free one.
async fn create(app: &Arc<App>, caller: &Caller, meta: Meta, spec: VmSpec) -> Result<Vm> {
    for attempt in 1.. {
        let result = async {
            let _admission = app.admission(false).await;
            let mut change = Change::new(app);
            let vm = admit::create::<Vm>(app, meta.clone(), spec.clone(), &mut change)?;
            change.commit(caller).await?;
            Ok(vm)
        };
        match result.await {
            Err(Error::Refused { code: "taken", .. } | Error::Changed { .. }) if attempt < TRIES => {
                tokio::time::sleep(std::time::Duration::from_millis(attempt.min(20) as u64)).await;
            }
            Ok(vm) => return Ok(Vm::clone(&*app.cache.expect::<Vm>(vm.meta().name.as_str())?)),
            Err(error) => return Err(error),
        }
    }
    unreachable!("the loop ends by returning")
}
