//! Display and serial console as websockets, for browsers. A browser cannot send our authorization header with a
//! websocket, so it brings a ticket: good once, for one door of one VM, for half a minute.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::{
        Path, Query, State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tabane_model::api::StreamKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Error, Result, app::App, auth, auth::Caller, streams::Upgraded};

const TICKET_LIFE: Duration = Duration::from_secs(30);
const TICKETS_MAX: usize = 10_000;

/// Tickets not yet used. They live as long as this process: one that is lost is asked for again.
static TICKETS: LazyLock<Mutex<HashMap<blake3::Hash, Opens>>> = LazyLock::new(Mutex::default);

/// The door, the VM, and until when.
type Opens = (Door, String, Instant);

/// What a ticket leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// RFB.
    Display,
    /// Raw bytes, beginning with the last part of what was said before.
    Console,
}

impl Door {
    /// As in the audit log.
    fn verb(self) -> &'static str {
        match self {
            Self::Display => "vnc",
            Self::Console => "console",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Display => "vnc",
            Self::Console => "console-socket",
        }
    }

    fn tickets(self) -> &'static str {
        match self {
            Self::Display => "vnc-tickets",
            Self::Console => "console-tickets",
        }
    }
}

pub async fn display_ticket(app: State<Arc<App>>, caller: Caller, name: Path<String>) -> Result<Response> {
    ticket(Door::Display, app, caller, name).await
}

pub async fn console_ticket(app: State<Arc<App>>, caller: Caller, name: Path<String>) -> Result<Response> {
    ticket(Door::Console, app, caller, name).await
}

async fn ticket(
    door: Door,
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response> {
    caller.may_enter()?;
    super::vms::record_entry(&app, &caller, door.verb(), &name).await?;
    let secret = auth::new_secret();
    let mut tickets = TICKETS.lock().expect("no holder of this lock panics");
    tickets.retain(|_, (_, _, until)| *until > Instant::now());
    if tickets.len() >= TICKETS_MAX {
        return Err(Error::Refused {
            code: "too_many_tickets",
            detail: "too many tickets are waiting to be used".into(),
            hint: "try again in half a minute".into(),
        });
    }
    let until = Instant::now() + TICKET_LIFE;
    tickets.insert(blake3::hash(secret.as_bytes()), (door, name.clone(), until));
    Ok(Json(serde_json::json!({
        "ticket": secret,
        "path": format!("/v1/vms/{name}/{}?ticket={secret}", door.path()),
        "expires_at": app.now() + jiff::SignedDuration::from_secs(TICKET_LIFE.as_secs() as i64),
    }))
    .into_response())
}

#[derive(Deserialize)]
pub struct Ticket {
    ticket: String,
}

pub async fn display(
    app: State<Arc<App>>,
    name: Path<String>,
    ticket: Query<Ticket>,
    upgrade: WebSocketUpgrade,
) -> Result<Response> {
    connect(Door::Display, app, name, ticket, upgrade).await
}

pub async fn console(
    app: State<Arc<App>>,
    name: Path<String>,
    ticket: Query<Ticket>,
    upgrade: WebSocketUpgrade,
) -> Result<Response> {
    connect(Door::Console, app, name, ticket, upgrade).await
}

async fn connect(
    door: Door,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(Ticket { ticket }): Query<Ticket>,
    upgrade: WebSocketUpgrade,
) -> Result<Response> {
    let found =
        TICKETS.lock().expect("no holder of this lock panics").remove(&blake3::hash(ticket.as_bytes()));
    match found {
        Some((for_door, vm, until)) if for_door == door && vm == name && until > Instant::now() => {}
        _ => {
            return Err(Error::Refused {
                code: "ticket_expired",
                detail: "the ticket was used already, is for another VM, or is too old".into(),
                hint: format!("ask for a new one: POST /v1/vms/{name}/{}", door.tickets()),
            });
        }
    }
    let (host, vm) = super::vms::host_of(&app, &name)?;
    let kind = match door {
        Door::Display => StreamKind::Vnc { vm },
        Door::Console => StreamKind::Console { vm },
    };
    let stream = app.streams.open(&host, kind).await?;
    Ok(upgrade.protocols(["binary"]).on_upgrade(move |socket| relay(socket, stream)))
}

async fn relay(mut socket: WebSocket, stream: Upgraded) {
    let (mut from_host, mut to_host) = tokio::io::split(stream);
    let mut buffer = vec![0; 64 << 10];
    loop {
        tokio::select! {
            read = from_host.read(&mut buffer) => match read {
                Ok(0) | Err(_) => break,
                Ok(n) => {
                    let message = Message::Binary(buffer[..n].to_vec().into());
                    if socket.send(message).await.is_err() {
                        break;
                    }
                }
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Binary(bytes))) => {
                    if to_host.write_all(&bytes).await.is_err() {
                        break;
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                // Both carry bytes: text is none of ours.
                _ => break,
            },
        }
    }
}
