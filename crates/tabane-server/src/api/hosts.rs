//! The hosts' side of the API: joining, one watch of everything that concerns a host, reports, and streams.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response, sse},
};
use futures_util::stream;
use tabane_model::{
    Arrival, Disk, DiskPhase, Host, HostPhase, HostSpec, Image, Kind, Meta, NAME_LENGTH_MAX, Name, Network,
    Pool, Problem, Resource, Role, SAMPLES_MAX, Snapshot, SnapshotPhase, TokenSpec, Uid, Vm, VmPhase,
    api::{HostReport, JoinAnswer, JoinRequest, StatusReport, StreamOrder},
};
use tabane_store::{Compare, Outcome};

use super::{crud::body, events, watch};
use crate::{
    Error, Result,
    admit::{release_addresses, snapshot},
    app::App,
    audit::Pending,
    auth::{self, Caller},
    cache::{Cached, Object},
    commit::{Change, encode, modify},
    keys, metrics, streams,
};

fn token_name(host: &Name) -> Name {
    let text = format!("host-{host}");
    if let Ok(name) = Name::new(text.as_str()) {
        return name;
    }
    // Too long: cut, and told apart by a hash of the whole.
    let hash = blake3::hash(host.as_str().as_bytes()).to_hex();
    let cut: String = text.chars().take(NAME_LENGTH_MAX - 17).collect();
    Name::new(format!("{cut}-{}", &hash[..16])).expect("letters and digits at both ends, and not too long")
}

/// Makes the caller a host, or the same host again if it is the same agent: a join whose answer was lost is repeated.
pub async fn join(State(app): State<Arc<App>>, caller: Caller, bytes: Bytes) -> Result<Response> {
    caller.may_join()?;
    let request: JoinRequest = body(&bytes)?;
    let name = request.name;
    let agent_key = keys::agent(&name);
    let known = app.store.get(&agent_key).await?;
    let agent = request.agent.to_string();
    if let Some(entry) = &known
        && entry.value != agent.as_bytes()
    {
        return Err(Error::Refused {
            code: "host_name_taken",
            detail: format!("another agent is the host {name}"),
            hint: format!(
                "join under another name (`--name`), or remove the other first: `tabane host remove {name}`"
            ),
        });
    }
    let now = app.now();
    let spec = TokenSpec {
        role: Role::Host,
        description: format!("agent of the host {name}"),
        expires_at: None,
        host: Some(name.clone()),
    };
    let (mut txn, token, secret) = auth::make_token(token_name(&name), spec, now, Uid::now_v7());
    if known.is_some() {
        // The new secret takes the place of the old one.
        txn.compares.clear();
    }
    txn = txn.put(agent_key, agent);
    if app.cache.get::<Host>(name.as_str()).is_none() {
        let mut host = Host::new(Meta::new(name.clone()), HostSpec::default());
        host.meta.uid = Uid::now_v7();
        host.meta.generation = 1;
        host.meta.created_at = Some(now);
        let key = keys::object(Kind::Host, &name);
        txn = txn.when(Compare::Absent(key.clone())).put(key, encode(&host));
    }
    let audit = Pending::new(&caller, "join", Kind::Host, name.as_str(), Some(&encode(&token)), now);
    match app.store.txn(audit.add_to(txn)).await? {
        Outcome::Committed(revision) => {
            app.cache.reach(revision).await;
            app.control.heard(&name);
            Ok((StatusCode::CREATED, Json(JoinAnswer { name, token: secret })).into_response())
        }
        Outcome::Conflict { .. } => Err(Error::Changed { kind: Kind::Host, name: name.to_string() }),
    }
}

/// Everything that concerns a host, and orders to dial back for streams, on one connection.
pub async fn watch(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<Name>) -> Result<Response> {
    caller.must_be_host(&name)?;
    app.cache.expect::<Host>(name.as_str())?;
    app.control.heard(&name);
    app.control.connected(&name);
    let orders = app.streams.connect(&name);
    let own = name.clone();
    let filter = move |kind: Kind, object_name: &Name, object: &Object| match kind {
        Kind::Vm | Kind::Disk | Kind::Snapshot => {
            object.host() == Some(&own) || object.moving_to() == Some(&own)
        }
        Kind::Image | Kind::Pool | Kind::Network => true,
        Kind::Host => *object_name == own,
        Kind::Event
        | Kind::Token
        | Kind::Flavor
        | Kind::Survey
        | Kind::Plan
        | Kind::Wave
        | Kind::Collection => false,
    };
    let follower = watch::Follower::new(app, None, Box::new(filter))?;
    let events = stream::unfold((follower, orders, false), |(mut follower, mut orders, ended)| async move {
        if ended {
            return None;
        }
        let (batch, ended) = tokio::select! {
            order = orders.recv() => match order {
                Some(order) => (vec![Ok(order_event(&order))], false),
                // A newer connection of the same host took over: two must not both act.
                None => (Vec::new(), true),
            },
            changes = follower.next() => match changes {
                Some(changes) => (changes.iter().map(|c| Ok(watch::event(c))).collect(), false),
                None => (Vec::new(), true),
            },
        };
        Some((stream::iter(batch), (follower, orders, ended)))
    });
    Ok(watch::respond(futures_util::StreamExt::flatten(events)))
}

fn order_event(order: &StreamOrder) -> sse::Event {
    sse::Event::default().event("order").data(serde_json::to_string(order).expect("has string keys"))
}

/// A host's end of a stream that it was asked for.
pub async fn stream(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((name, id)): Path<(Name, Uid)>,
    mut request: Request,
) -> Result<Response> {
    caller.must_be_host(&name)?;
    let (response, upgraded) = streams::accept(&mut request)?;
    let answer = app.streams.answer(&name, id)?;
    tokio::spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            answer(Ok(upgraded));
        }
    });
    Ok(response)
}

pub async fn refuse_stream(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((name, id)): Path<(Name, Uid)>,
    bytes: Bytes,
) -> Result<StatusCode> {
    caller.must_be_host(&name)?;
    let problem: Problem = body(&bytes)?;
    app.streams.answer(&name, id)?(Err(Box::new(problem)));
    Ok(StatusCode::NO_CONTENT)
}

/// Most statuses that one report may bring.
const STATUSES_MAX: usize = 1000;

pub async fn report(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<Name>,
    bytes: Bytes,
) -> Result<StatusCode> {
    caller.must_be_host(&name)?;
    let report: HostReport = body(&bytes)?;
    if report.statuses.len() > STATUSES_MAX {
        return Err(Error::fault("statuses", "are too many for one report", "send them in several"));
    }
    if report.samples.len() > SAMPLES_MAX {
        return Err(Error::fault("samples", "are too many for one report", "send them in several"));
    }
    app.control.heard(&name);
    if let Some(mut status) = report.host {
        status.phase = HostPhase::Ready;
        status.heard_at = Some(app.now());
        let write = |host: &mut Host| {
            // A heartbeat alone is kept in memory; the store hears of it once a minute.
            let mut same = status.clone();
            same.heard_at = host.status.heard_at;
            let recent = host.status.heard_at.is_some_and(|at| {
                status
                    .heard_at
                    .is_some_and(|now| now.duration_since(at) < jiff::SignedDuration::from_secs(60))
            });
            let changed = !(recent && roughly_equal(&same, &host.status));
            if changed {
                host.status = status.clone();
            }
            Ok(changed)
        };
        modify::<Host>(&app, &name, write, None).await?;
    }
    let samples = metrics::owned(&app, &name, report.samples);
    if !samples.is_empty() {
        let app = app.clone();
        let taken = tokio::task::spawn_blocking(move || app.metrics.take(samples)).await;
        taken.map_err(|error| Error::Bug(error.to_string()))?;
    }
    let each = report.statuses.iter().map(|status| apply_beside_others(&app, &name, status));
    for result in futures_util::future::join_all(each).await {
        match result {
            // It was deleted or moved meanwhile; the host's watch tells it so.
            Ok(()) | Err(Error::Missing { .. } | Error::Denied { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let own = report.events.into_iter().map(|mut event| {
        event.host = Some(name.clone());
        event
    });
    events::record(&app, own.collect()).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Free space moves all the time; only a change that matters to placement is worth a write.
fn roughly_equal(a: &tabane_model::HostStatus, b: &tabane_model::HostStatus) -> bool {
    let coarse = |status: &tabane_model::HostStatus| {
        let mut status = status.clone();
        status.memory_free_bytes >>= 28;
        for pool in status.pools.values_mut() {
            pool.free_bytes >>= 28;
        }
        status
    };
    coarse(a) == coarse(b)
}

/// A status is written, and what follows from it, whoever else writes at the same time: with the last status of a VM
/// its snapshots go, and theirs may be in the same report.
async fn apply_beside_others(app: &Arc<App>, host: &Name, report: &StatusReport) -> Result<()> {
    const TRIES: u64 = 20;
    for attempt in 1..TRIES {
        match apply(app, host, report).await {
            Err(Error::Missing { kind, name })
                if (kind, name.as_str()) != (report.kind, report.name.as_str()) => {}
            Err(Error::Changed { .. } | Error::Refused { code: "taken", .. }) => {}
            result => return result,
        }
        tokio::time::sleep(std::time::Duration::from_millis(2 * attempt)).await;
    }
    apply(app, host, report).await
}

async fn apply(app: &Arc<App>, host: &Name, report: &StatusReport) -> Result<()> {
    match report.kind {
        Kind::Vm => {
            let status = parse::<Vm>(report)?;
            if arrives(app, host, report)? {
                return arrival(app, host, report, status.arrival).await;
            }
            let gone = status.phase == VmPhase::Deleted;
            let vm = whole::<Vm>(app, host, report, |vm| {
                let mut status = status.clone();
                // Written by the placement controller.
                status.conditions.extend(vm.status.conditions.iter().filter(|c| c.kind == "placed").cloned());
                // Written by the host that it moves to.
                status.arrival = vm.status.arrival.take().filter(|_| vm.spec.moving.is_some());
                vm.status = status;
            })
            .await?;
            app.control.told(host, vm.meta.uid);
            if gone && vm.meta.deleted_at.is_some() { remove_vm(app, &vm).await } else { Ok(()) }
        }
        Kind::Disk => {
            let status = parse::<Disk>(report)?;
            let gone = status.phase == DiskPhase::Deleted;
            let disk = whole::<Disk>(app, host, report, |disk| disk.status = status.clone()).await?;
            if gone && disk.meta.deleted_at.is_some() {
                let mut change = Change::new(app);
                change.delete(&*disk);
                change.commit_unaudited().await?;
            }
            Ok(())
        }
        Kind::Snapshot => {
            let status = parse::<Snapshot>(report)?;
            let gone = status.phase == SnapshotPhase::Deleted;
            let snapshot =
                whole::<Snapshot>(app, host, report, |snapshot| snapshot.status = status.clone()).await?;
            if gone && snapshot.meta.deleted_at.is_some() {
                let mut change = Change::new(app);
                change.delete(&*snapshot);
                change.commit_unaudited().await?;
            }
            Ok(())
        }
        Kind::Image => {
            let status = parse::<Image>(report)?;
            let write = |image: &mut Image| {
                let before = image.status.clone();
                if image.spec.host.as_ref() == Some(host) {
                    let copies = std::mem::take(&mut image.status.hosts);
                    image.status = status.clone();
                    image.status.hosts = copies;
                } else {
                    set_part(&mut image.status.hosts, host, status.hosts.get(host));
                }
                Ok(image.status != before)
            };
            owned::<Image>(app, report)?;
            modify::<Image>(app, &report.name, write, None).await.map(drop)
        }
        Kind::Pool => {
            let status = parse::<Pool>(report)?;
            owned::<Pool>(app, report)?;
            let write = |pool: &mut Pool| {
                let coarse = |part: Option<&tabane_model::PoolOnHost>| {
                    part.map(|p| {
                        (p.ready, p.message.clone(), p.capacity_bytes, p.free_bytes >> 28, p.reflink)
                    })
                };
                let changed = coarse(pool.status.hosts.get(host)) != coarse(status.hosts.get(host));
                set_part(&mut pool.status.hosts, host, status.hosts.get(host));
                Ok(changed)
            };
            modify::<Pool>(app, &report.name, write, None).await.map(drop)
        }
        Kind::Network => {
            let status = parse::<Network>(report)?;
            owned::<Network>(app, report)?;
            let write = |network: &mut Network| {
                let changed = network.status.hosts.get(host) != status.hosts.get(host);
                set_part(&mut network.status.hosts, host, status.hosts.get(host));
                Ok(changed)
            };
            modify::<Network>(app, &report.name, write, None).await.map(drop)
        }
        Kind::Host
        | Kind::Event
        | Kind::Token
        | Kind::Flavor
        | Kind::Survey
        | Kind::Plan
        | Kind::Wave
        | Kind::Collection => Err(Error::Denied { role: Role::Host.as_str() }),
    }
}

fn arrives(app: &App, host: &Name, report: &StatusReport) -> Result<bool> {
    let vm = app.cache.expect::<Vm>(report.name.as_str())?;
    Ok(vm.spec.host.as_ref() != Some(host) && vm.spec.moving.as_ref().is_some_and(|m| m.to == *host))
}

/// How far a move is: the one thing that the host says which the VM moves to.
async fn arrival(app: &Arc<App>, host: &Name, report: &StatusReport, arrival: Option<Arrival>) -> Result<()> {
    owned::<Vm>(app, report)?;
    let write = |vm: &mut Vm| {
        let expected = vm.spec.moving.as_ref().filter(|m| m.to == *host);
        let current = expected.is_some() && arrival.as_ref().map(|a| a.id) == expected.map(|m| m.id);
        if current && vm.status.arrival != arrival {
            vm.status.arrival.clone_from(&arrival);
            return Ok(true);
        }
        Ok(false)
    };
    modify::<Vm>(app, &report.name, write, None).await.map(drop)
}

fn set_part<T: Clone>(parts: &mut std::collections::BTreeMap<Name, T>, host: &Name, part: Option<&T>) {
    match part {
        Some(part) => drop(parts.insert(host.clone(), part.clone())),
        None => drop(parts.remove(host)),
    }
}

fn parse<R: Resource>(report: &StatusReport) -> Result<R::Status> {
    serde_json::from_value(report.status.clone()).map_err(|error| Error::Body(error.to_string()))
}

/// A report speaks of the object that the host knows, not of a later one of the same name.
fn owned<R: Cached>(app: &App, report: &StatusReport) -> Result<()> {
    let object = app.cache.expect::<R>(report.name.as_str())?;
    if object.meta().uid == report.uid {
        Ok(())
    } else {
        Err(Error::Missing { kind: R::KIND, name: report.name.to_string() })
    }
}

/// Writes the status of an object that belongs to this host alone.
async fn whole<R: Cached>(
    app: &Arc<App>,
    host: &Name,
    report: &StatusReport,
    set: impl Fn(&mut R),
) -> Result<Arc<R>> {
    let write = |object: &mut R| {
        if object.meta().uid != report.uid || object.host() != Some(host) {
            return Err(Error::Denied { role: Role::Host.as_str() });
        }
        let before = object.status().clone();
        set(object);
        Ok(*object.status() != before)
    };
    modify::<R>(app, &report.name, write, None).await
}

/// The VM's host has removed every trace of it: now the object goes, and what it held is free again.
async fn remove_vm(app: &Arc<App>, vm: &Vm) -> Result<()> {
    let mut change = Change::new(app);
    change.delete(vm);
    release_addresses(&vm.spec.nics, &mut change);
    for snapshot in snapshot::of_vm(app, vm) {
        change.delete(&*snapshot);
    }
    change.commit_unaudited().await?;
    app.control.forget(vm.meta.uid);
    Ok(())
}
