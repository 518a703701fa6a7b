//! Content of images: from a client to the host that keeps it, and from there to other hosts.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use serde::Deserialize;
use tabane_model::{
    Image, ImagePhase, ImageSource, Role,
    api::{StreamKind, UploadAnswer},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
    let stream = StreamKind::Upload { image: image.meta.name.clone(), offset_bytes };
    if !request.headers().contains_key(header::UPGRADE) {
        let ImageSource::Upload { size_bytes } = image.spec.source else {
            return Err(Error::Bug(format!("the image {name} is uploading and not made by an upload")));
        };
        let host = app.streams.open(&host, stream).await?;
        let answer = upload_part(host, request, offset_bytes, size_bytes).await?;
        return Ok(axum::Json(answer).into_response());
    }
    let (response, client) = streams::accept(&mut request)?;
    let host = app.streams.open(&host, stream).await?;
    tokio::spawn(async move {
        if let Ok(client) = client.await {
            streams::splice(client, host).await;
        }
    });
    Ok(response)
}

/// A part of the content that came as a request's body, as browsers send it. What has arrived when it breaks off stays.
async fn upload_part(
    mut host: streams::Upgraded,
    request: Request,
    offset_bytes: u64,
    size_bytes: u64,
) -> Result<UploadAnswer> {
    let broke_off = |error: &dyn std::fmt::Display| Error::Refused {
        code: "upload_broke_off",
        detail: format!("the upload broke off: {error}"),
        hint: "go on at the image's `status.received_bytes`".into(),
    };
    let mut received = offset_bytes;
    let mut body = request.into_body().into_data_stream();
    while received < size_bytes
        && let Some(part) = body.next().await
    {
        let part = part.map_err(|e| broke_off(&e))?;
        let wanted = part.len().min(usize::try_from(size_bytes - received).unwrap_or(usize::MAX));
        host.write_all(&part[..wanted]).await.map_err(|e| broke_off(&e))?;
        received += wanted as u64;
    }
    host.flush().await.map_err(|e| broke_off(&e))?;
    let complete = received == size_bytes;
    if !complete {
        host.shutdown().await.map_err(|e| broke_off(&e))?;
    }
    // The host closes its end, after its sign that all is on disk if all is there.
    let mut sign = Vec::new();
    host.take(1).read_to_end(&mut sign).await.map_err(|e| broke_off(&e))?;
    if complete && sign != b"!" {
        return Err(broke_off(&"the host did not say that it has everything"));
    }
    Ok(UploadAnswer { received_bytes: received, complete })
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
