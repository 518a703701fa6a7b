//! A host's framed export as the plain answer to a GET, as browsers download it.
//!
//! The head is sent once the host has made the file and said how long it is. A file that does not have the digest that
//! the host states ends in a broken connection, never as if it were whole.

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use tabane_model::{Problem, api::export_frame};
use tokio::io::AsyncReadExt;

use super::export_watch::Watch;
use crate::{Error, Result, streams::Upgraded};

fn broken(told: impl std::fmt::Display) -> std::io::Error {
    std::io::Error::other(format!("the export broke off: {told}"))
}

async fn frame(stream: &mut Upgraded) -> std::io::Result<(u8, Vec<u8>)> {
    let kind = stream.read_u8().await?;
    let length = stream.read_u32().await? as usize;
    if length > export_frame::LENGTH_MAX {
        return Err(broken("a frame is too long"));
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await?;
    Ok((kind, payload))
}

/// Waits until the file is made, then hands it on. `name` is what the browser calls it: a name and an ending of ours.
pub async fn answer(mut host: Upgraded, name: &str, watch: Watch) -> Result<Response> {
    let failed = |e: std::io::Error| Error::Refused {
        code: "export_broke_off",
        detail: e.to_string(),
        hint: "try it again; if it stays so, look at the host agent's log".into(),
    };
    let length = loop {
        match frame(&mut host).await.map_err(failed)? {
            (export_frame::PROGRESS, payload) => {
                let fraction = payload.try_into().map_or(0.0, f32::from_be_bytes);
                watch.making(if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 });
            }
            (export_frame::LENGTH, payload) => {
                let bytes = payload.try_into().map_err(|_| failed(broken("a length is none")))?;
                break u64::from_be_bytes(bytes);
            }
            (export_frame::PROBLEM, payload) => {
                let problem: Problem = serde_json::from_slice(&payload).map_err(|e| failed(broken(e)))?;
                return Err(Error::Host(Box::new(problem)));
            }
            (kind, _) => return Err(failed(broken(format!("a frame of kind {kind}")))),
        }
    };
    let watched = watch.sending(length);
    let state = (host, blake3::Hasher::new(), 0u64, false, watched);
    let parts =
        stream::try_unfold(state, move |(mut host, mut digest, mut sent, done, mut watched)| async move {
            if done {
                return Ok::<_, std::io::Error>(None);
            }
            let (kind, payload) = frame(&mut host).await?;
            match kind {
                export_frame::DATA => {
                    digest.update(&payload);
                    sent += payload.len() as u64;
                    watched.sent(sent);
                    Ok(Some((Bytes::from(payload), (host, digest, sent, false, watched))))
                }
                export_frame::DIGEST if sent == length && payload == digest.finalize().as_bytes() => {
                    watched.done();
                    Ok(Some((Bytes::new(), (host, digest, sent, true, watched))))
                }
                _ => Err(broken("what arrived is not what the host sent")),
            }
        });
    let mut response = Body::from_stream(parts).into_response();
    let headers = response.headers_mut();
    // No Content-Length: a browser would take the file for whole before its digest was compared.
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}
