//! Server-sent events (WHATWG HTML, 9.2.6), as far as our server uses them: `event`, `data` and `id` lines.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tabane_model::api::{Change, StreamOrder};

use crate::{Error, Result};

/// One event is one object at most; nothing that is larger is ours.
const EVENT_BYTES_MAX: usize = 8 << 20;

/// What a host's watch says.
#[derive(Debug, Clone)]
pub enum HostEvent {
    Change(Change),
    Order(StreamOrder),
}

pub struct Events {
    body: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    buffer: Vec<u8>,
}

impl Events {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        Self { body: Box::pin(response.bytes_stream()), buffer: Vec::new() }
    }

    /// The next change of a watch; `None` when the server ends it.
    pub async fn next(&mut self) -> Result<Option<Change>> {
        loop {
            match self.next_host().await? {
                Some(HostEvent::Change(change)) => return Ok(Some(change)),
                Some(HostEvent::Order(_)) => continue,
                None => return Ok(None),
            }
        }
    }

    /// The next event of a host's watch; `None` when the server ends it. Safe to cancel.
    pub async fn next_host(&mut self) -> Result<Option<HostEvent>> {
        loop {
            if let Some(block) = self.take_block() {
                if let Some(event) = parse(&block)? {
                    return Ok(Some(event));
                }
                continue;
            }
            match self.body.next().await {
                None => return Ok(None),
                Some(Ok(bytes)) => self.buffer.extend_from_slice(&bytes),
                Some(Err(error)) => {
                    return Err(Error::Broken { source: std::io::Error::other(error.without_url()) });
                }
            }
            if self.buffer.len() > EVENT_BYTES_MAX {
                return Err(Error::Answer { source: "an event is too large".into() });
            }
        }
    }

    /// Everything up to the next empty line.
    fn take_block(&mut self) -> Option<Vec<u8>> {
        let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
        let rest = self.buffer.split_off(end + 2);
        Some(std::mem::replace(&mut self.buffer, rest))
    }
}

fn parse(block: &[u8]) -> Result<Option<HostEvent>> {
    let text = std::str::from_utf8(block).map_err(|e| Error::Answer { source: Box::new(e) })?;
    let (mut kind, mut data) = ("", String::new());
    for line in text.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => kind = value,
            "data" => {
                if !data.is_empty() {
                    data.push('\n');
                }
                data.push_str(value);
            }
            // Comments keep the connection alive; ids are in the data as well.
            _ => {}
        }
    }
    if data.is_empty() {
        return Ok(None);
    }
    let wrong = |e: serde_json::Error| Error::Answer { source: Box::new(e) };
    Ok(Some(match kind {
        "order" => HostEvent::Order(serde_json::from_str(&data).map_err(wrong)?),
        _ => HostEvent::Change(serde_json::from_str(&data).map_err(wrong)?),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_comments_are_told_apart() {
        assert!(parse(b": keep-alive\n\n").unwrap().is_none());
        let block = b"id: 7\nevent: synced\ndata: {\"change\":\"synced\",\"revision\":7}\n\n";
        assert!(matches!(parse(block).unwrap(), Some(HostEvent::Change(Change::Synced { revision: 7 }))));
        assert!(parse(b"data: {\n\n").is_err());
    }
}
