//! Content of images: from a client to the host that keeps it, and from there to other hosts.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State},
    response::Response,
};
use serde::Deserialize;
use tabane_model::{Image, ImagePhase, Role, api::StreamKind};

use crate::{Error, Result, app::App, auth::Caller, streams};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offset {
    #[serde(default)]
    offset_bytes: u64,
}

/// A byte stream into the host that makes the image ready. An upload that broke off goes on at the image's
/// `status.received_bytes`.
pub async fn upload(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    axum::extract::Query(Offset { offset_bytes }): axum::extract::Query<Offset>,
    mut request: Request,
) -> Result<Response> {
    caller.may_write(tabane_model::Kind::Image)?;
    let image = app.cache.expect::<Image>(&name)?;
    let Some(host) = image.spec.host.clone().filter(|_| image.status.phase == ImagePhase::Uploading) else {
        return Err(Error::Refused {
            code: "not_uploading",
            detail: format!("the image {name} takes no content now: it is {}", image.status.phase),
            hint: "wait until it is `uploading`; when it is ready or failed, import it under another name"
                .into(),
        });
    };
    let (response, client) = streams::accept(&mut request)?;
    let stream = StreamKind::Upload { image: image.meta.name.clone(), offset_bytes };
    let host = app.streams.open(&host, stream).await?;
    tokio::spawn(async move {
        if let Ok(client) = client.await {
            streams::splice(client, host).await;
        }
    });
    Ok(response)
}

/// An image's files, for a host that has to copy them.
pub async fn files(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    mut request: Request,
) -> Result<Response> {
    if caller.role != Role::Host {
        caller.may_read(tabane_model::Kind::Image)?;
    }
    let image = app.cache.expect::<Image>(&name)?;
    let ready =
        |host: &&tabane_model::Name| app.streams.is_connected(host) && caller.host.as_ref() != Some(*host);
    let copies = image.status.hosts.iter().filter(|(_, copy)| copy.ready).map(|(host, _)| host);
    let source =
        image.spec.host.iter().filter(|_| image.status.phase == ImagePhase::Ready).chain(copies).find(ready);
    let (Some(source), Some(digest)) = (source.cloned(), image.status.digest.clone()) else {
        return Err(Error::Refused {
            code: "image_not_ready",
            detail: format!("no host that is connected has the image {name}"),
            hint: format!("`tabane image get {name}` shows how far it is"),
        });
    };
    let (response, client) = streams::accept(&mut request)?;
    let host = app.streams.open(&source, StreamKind::ImageFiles { digest }).await?;
    tokio::spawn(async move {
        if let Ok(client) = client.await {
            streams::splice(client, host).await;
        }
    });
    Ok(response)
}
