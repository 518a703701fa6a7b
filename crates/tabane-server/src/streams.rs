//! Byte streams between clients and hosts: consoles, displays, commands, uploads.
//!
//! ```text
//!   client ──upgrade──► server ──order on the host's watch──► host
//!      ▲                  ▲                                     │
//!      └──── bytes ───────┴────────────── upgrade ◄─────────────┘  (the host dials back)
//! ```
//!
//! Hosts are never dialled: they may be behind a firewall, and the server then needs no way in. The server pairs the
//! two ends and copies bytes; it does not look into them.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use hyper_util::rt::TokioIo;
use tabane_model::{
    Name, Problem, Uid,
    api::{StreamKind, StreamOrder},
};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::{Error, Result};

/// A host that has just lost its connection, or whose server has just started, is given this long to come back.
const RETURN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a host may take to dial back.
const DIAL_TIMEOUT: Duration = Duration::from_secs(15);

pub type Upgraded = TokioIo<hyper::upgrade::Upgraded>;
type Answer = Result<Upgraded, Box<Problem>>;

#[derive(Default)]
pub struct Streams {
    orders: Mutex<HashMap<Name, mpsc::Sender<StreamOrder>>>,
    waiting: Mutex<HashMap<Uid, (Name, oneshot::Sender<Answer>)>>,
    connected: Notify,
}

/// Takes the waiting place away when nobody waits any more.
struct Waiting<'a>(&'a Streams, Uid);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.lock().expect("no holder of this lock panics").remove(&self.1);
    }
}

impl Streams {
    /// Orders for a host from now on; a connection before this one gets none any more.
    pub fn connect(&self, host: &Name) -> mpsc::Receiver<StreamOrder> {
        let (sender, receiver) = mpsc::channel(64);
        self.orders.lock().expect("no holder of this lock panics").insert(host.clone(), sender);
        self.connected.notify_waiters();
        receiver
    }

    pub fn is_connected(&self, host: &Name) -> bool {
        self.orders.lock().expect("no holder of this lock panics").get(host).is_some_and(|s| !s.is_closed())
    }

    /// The way to a host; waits a moment for one that is just coming back.
    async fn sender(&self, host: &Name) -> Result<mpsc::Sender<StreamOrder>> {
        let find = async {
            loop {
                let connected = self.connected.notified();
                let found = self.orders.lock().expect("no holder of this lock panics").get(host).cloned();
                if let Some(sender) = found.filter(|s| !s.is_closed()) {
                    return sender;
                }
                connected.await;
            }
        };
        let away = |_| Error::HostAway { host: host.to_string() };
        tokio::time::timeout(RETURN_TIMEOUT, find).await.map_err(away)
    }

    /// Asks a host for a stream and waits for it.
    pub async fn open(&self, host: &Name, stream: StreamKind) -> Result<Upgraded> {
        let away = || Error::HostAway { host: host.to_string() };
        let sender = self.sender(host).await?;
        let id = Uid::now_v7();
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().expect("no holder of this lock panics").insert(id, (host.clone(), answer));
        let _waiting = Waiting(self, id);
        sender.send(StreamOrder { id, stream }).await.map_err(|_| away())?;
        match tokio::time::timeout(DIAL_TIMEOUT, answered).await {
            Ok(Ok(Ok(upgraded))) => Ok(upgraded),
            Ok(Ok(Err(problem))) => Err(Error::Host(problem)),
            Ok(Err(_)) | Err(_) => Err(Error::HostSilent { host: host.to_string() }),
        }
    }

    /// A host's answer to an order: its end of the stream, or why there is none.
    pub fn answer(&self, host: &Name, id: Uid) -> Result<impl FnOnce(Answer) + use<>> {
        let mut waiting = self.waiting.lock().expect("no holder of this lock panics");
        match waiting.remove(&id) {
            Some((asked, sender)) if asked == *host => Ok(move |answer| drop(sender.send(answer))),
            Some(other) => {
                waiting.insert(id, other);
                Err(Error::NoPath)
            }
            None => Err(Error::NoPath),
        }
    }
}

/// Copies both ways until both ends are done.
pub async fn splice(mut a: Upgraded, mut b: Upgraded) {
    const BUFFER_BYTES: usize = 64 << 10;
    if let Err(error) =
        tokio::io::copy_bidirectional_with_sizes(&mut a, &mut b, BUFFER_BYTES, BUFFER_BYTES).await
    {
        tracing::debug!(%error, "a stream ended");
    }
}

/// What both sides name in their `Upgrade` header.
pub const PROTOCOL: &str = "tabane-stream";

/// Answers 101 now and hands out the connection when it is switched over.
pub fn accept(
    request: &mut axum::extract::Request,
) -> Result<(axum::response::Response, oneshot::Receiver<Upgraded>)> {
    use axum::http::{HeaderValue, StatusCode, header};
    let asked = request.headers().get(header::UPGRADE).is_some_and(|v| v.as_bytes() == PROTOCOL.as_bytes());
    let Some(upgrade) = request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>().filter(|_| asked)
    else {
        return Err(Error::Refused {
            code: "upgrade_required",
            detail: "this path is a byte stream".into(),
            hint: format!("use HTTP/1.1 with `Connection: Upgrade` and `Upgrade: {PROTOCOL}`"),
        });
    };
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => drop(sender.send(TokioIo::new(upgraded))),
            Err(error) => tracing::debug!(%error, "a client did not switch over"),
        }
    });
    let mut response = axum::response::Response::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
    Ok((response, receiver))
}
