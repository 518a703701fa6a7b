//! What would become of a foreign package. The server knows no foreign formats: a host makes the plan, by the planner
//! that the command line has, too.

use std::{sync::Arc, time::Duration};

use axum::{Json, body::Bytes, extract::State};
use tabane_model::{
    Host, HostPhase, Kind, Name, Network, PackageAnswer, PackageOrder, PackagePlan, PackageRequest,
    api::StreamKind,
    package_bounds::{ORDER_BYTES_MAX, PLAN_BYTES_MAX},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::crud::body;
use crate::{Error, Result, app::App, auth::Caller, streams::Upgraded};

/// Less than what a host takes, for the names of networks come to it.
pub const BODY_BYTES_MAX: usize = ORDER_BYTES_MAX - (4 << 20);
const PLAN_TIMEOUT: Duration = Duration::from_secs(60);

pub async fn plan(State(app): State<Arc<App>>, caller: Caller, bytes: Bytes) -> Result<Json<PackagePlan>> {
    caller.may_write(Kind::Vm)?;
    caller.may_write(Kind::Image)?;
    let request: PackageRequest = body(&bytes)?;
    let networks = app.cache.all::<Network>().iter().map(|network| network.meta.name.clone()).collect();
    let order = serde_json::to_vec(&PackageOrder { request, networks }).expect("has string keys");
    let host = planner(&app)?;
    let stream = app.streams.open(&host, StreamKind::PlanPackage).await?;
    let silent = |_| Error::HostSilent { host: host.to_string() };
    let answer = tokio::time::timeout(PLAN_TIMEOUT, ask(stream, &order)).await.map_err(silent)?;
    let broken = || Error::Bug(format!("the plan that {host} made is not understood"));
    match answer.ok().and_then(|text| serde_json::from_slice(&text).ok()).ok_or_else(broken)? {
        PackageAnswer::Plan(plan) => Ok(Json(*plan)),
        PackageAnswer::Refused(problem) => Err(Error::Host(problem)),
    }
}

/// Any host that is well.
fn planner(app: &App) -> Result<Name> {
    let hosts = app.cache.all::<Host>();
    let able = |host: &&Arc<Host>| {
        host.status.phase == HostPhase::Ready && app.streams.is_connected(&host.meta.name)
    };
    hosts.iter().find(able).map(|host| host.meta.name.clone()).ok_or_else(|| Error::Refused {
        code: "no_host",
        detail: "no host is connected that could look at the package".into(),
        hint: "see `tabane host list`: the hosts or their agents may be down".into(),
    })
}

async fn ask(mut host: Upgraded, order: &[u8]) -> std::io::Result<Vec<u8>> {
    host.write_all(order).await?;
    host.shutdown().await?;
    let mut answer = Vec::new();
    host.take(2 * PLAN_BYTES_MAX as u64).read_to_end(&mut answer).await?;
    Ok(answer)
}
