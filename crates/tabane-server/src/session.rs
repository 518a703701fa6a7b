//! Sessions of the web console: a browser keeps a random id in a cookie, the store keeps the id's hash.
//!
//! ```text
//!   POST /v1/session {token} ──► sessions/<hash of id> = {token, its uid, until}      Set-Cookie: __Host-tabane=<id>
//!   any request with the cookie ──► Caller, as if its token had come
//! ```
//!
//! Invariants: the id is in no log and no object; a session opens nothing that its token does not open at this moment,
//! so it dies with it; a request that changes something by the cookie's power comes from our own pages (`Origin`).

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Mutex,
    time::{Duration, Instant},
};

use axum::{
    extract::Request,
    http::{HeaderMap, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tabane_model::{Name, Token, Uid};
use tabane_store::Txn;

use crate::{
    Error, Result,
    app::App,
    auth::{self, Caller, Peer},
    keys,
};

/// `__Host-` makes browsers insist on Secure, on the path `/`, and on this very host.
pub const COOKIE: &str = "__Host-tabane";
/// A working day.
pub const LIFE: SignedDuration = SignedDuration::from_hours(12);
/// Failed sign-ins that one address may have in a minute.
const FAILURES_MAX: u32 = 10;
const FAILURES_FOR: Duration = Duration::from_secs(60);
const ADDRESSES_MAX: usize = 10_000;

/// What the store keeps of a session.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    pub token: Name,
    /// Another token of the same name is another one.
    pub uid: Uid,
    pub until: jiff::Timestamp,
}

fn key(id: &str) -> String {
    let hash = blake3::Hash::from(blake3::derive_key("tabane session 2026", id.as_bytes()));
    format!("{}{}", keys::SESSIONS, hash.to_hex())
}

/// The session's id that came with a request.
pub fn id_of(headers: &HeaderMap) -> Option<&str> {
    let crumbs = headers.get_all(header::COOKIE).into_iter().filter_map(|v| v.to_str().ok());
    crumbs
        .flat_map(|v| v.split(';'))
        .find_map(|crumb| crumb.trim().strip_prefix(COOKIE)?.strip_prefix('='))
        .filter(|id| !id.is_empty() && id.len() <= 64)
}

/// Opens a session for a token that was just proved. Returns its id and its end.
pub async fn open(app: &App, token: &Token, caller: &Caller) -> Result<(String, jiff::Timestamp)> {
    let id = auth::new_secret();
    let end = app.now() + LIFE;
    let until = token.spec.expires_at.map_or(end, |at| at.min(end));
    let record = Record { token: token.meta.name.clone(), uid: token.meta.uid, until };
    let value = serde_json::to_vec(&record).expect("has string keys");
    let txn = audited(app, caller, "sign-in", &token.meta.name, Txn::new().put(key(&id), value));
    app.store.txn(txn).await?;
    Ok((id, until))
}

/// Ends a session; one that is not there is over already.
pub async fn close(app: &App, id: &str, caller: &Caller) -> Result<()> {
    let Some((record, _)) = find(app, id).await? else { return Ok(()) };
    let txn = audited(app, caller, "sign-out", &record.token, Txn::new().delete(key(id)));
    app.store.txn(txn).await?;
    Ok(())
}

fn audited(app: &App, caller: &Caller, verb: &str, token: &Name, txn: Txn) -> Txn {
    let kind = tabane_model::Kind::Token;
    crate::audit::Pending::new(caller, verb, kind, token.as_str(), None, app.now()).add_to(txn)
}

async fn find(app: &App, id: &str) -> Result<Option<(Record, std::sync::Arc<Token>)>> {
    let Some(entry) = app.store.get(&key(id)).await? else { return Ok(None) };
    let Ok(record) = serde_json::from_slice::<Record>(&entry.value) else { return Ok(None) };
    let token = app.cache.get::<Token>(record.token.as_str());
    let now = app.now();
    let good = |token: &std::sync::Arc<Token>| {
        token.meta.uid == record.uid && token.spec.expires_at.is_none_or(|at| at > now) && record.until > now
    };
    Ok(token.filter(good).map(|token| (record, token)))
}

/// Who has this session, and until when.
pub async fn authenticate(app: &App, id: &str, from: &str) -> Result<(Caller, jiff::Timestamp)> {
    let (record, token) = find(app, id).await?.ok_or(Error::Unauthenticated)?;
    let caller = Caller {
        principal: record.token.to_string(),
        role: token.spec.role,
        host: token.spec.host.clone(),
        from: from.to_owned(),
    };
    Ok((caller, record.until))
}

/// Failed sign-ins by address.
#[derive(Default)]
pub struct Failures(Mutex<HashMap<IpAddr, (u32, Instant)>>);

impl Failures {
    /// A network's addresses count as one where everybody has many.
    fn address(peer: Option<&Peer>) -> IpAddr {
        match peer {
            Some(Peer::Tcp(address)) => match address.ip().to_canonical() {
                IpAddr::V6(v6) => {
                    let s = v6.segments();
                    IpAddr::V6(Ipv6Addr::new(s[0], s[1], s[2], s[3], 0, 0, 0, 0))
                }
                v4 => v4,
            },
            _ => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    /// Refuses whoever failed too often.
    pub fn check(&self, peer: Option<&Peer>) -> Result<()> {
        let failures = self.0.lock().expect("no holder of this lock panics");
        match failures.get(&Self::address(peer)) {
            Some((count, since)) if *count >= FAILURES_MAX && since.elapsed() < FAILURES_FOR => {
                let left = FAILURES_FOR.saturating_sub(since.elapsed()).as_secs() + 1;
                Err(Error::TooManySignIns { seconds: left })
            }
            _ => Ok(()),
        }
    }

    pub fn add(&self, peer: Option<&Peer>) {
        let mut failures = self.0.lock().expect("no holder of this lock panics");
        if failures.len() >= ADDRESSES_MAX {
            failures.retain(|_, (_, since)| since.elapsed() < FAILURES_FOR);
            if failures.len() >= ADDRESSES_MAX {
                return;
            }
        }
        let entry = failures.entry(Self::address(peer)).or_insert((0, Instant::now()));
        if entry.1.elapsed() >= FAILURES_FOR {
            *entry = (0, Instant::now());
        }
        entry.0 += 1;
    }
}

/// Whether a request comes from a page of the server it is sent to.
fn same_origin(request: &Request) -> bool {
    let headers = request.headers();
    let text = |name: header::HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    let authority = request.uri().authority().map(|a| a.as_str()).or_else(|| text(header::HOST));
    let origin = text(header::ORIGIN).and_then(|o| o.strip_prefix("https://"));
    matches!((origin, authority), (Some(o), Some(a)) if o.eq_ignore_ascii_case(a))
}

/// Lets no foreign page use the cookie: whatever changes something, signs in, or opens a websocket names its origin.
pub async fn guard(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let by_cookie = id_of(headers).is_some() && !headers.contains_key(header::AUTHORIZATION);
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let acts = !safe || headers.contains_key(header::UPGRADE);
    let signs_in = !safe && request.uri().path() == "/v1/session" && headers.contains_key(header::ORIGIN);
    if (by_cookie && acts || signs_in) && !same_origin(&request) {
        return Error::ForeignOrigin.into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=b; __Host-tabane=abc; c=d".parse().unwrap());
        assert_eq!(id_of(&headers), Some("abc"));
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "x__Host-tabane=abc; __Host-tabane2=abc".parse().unwrap());
        assert_eq!(id_of(&headers), None);
    }

    #[test]
    fn neighbours_in_a_network_of_ipv6_count_as_one() {
        let peer = |text: &str| Peer::Tcp(text.parse().unwrap());
        let failures = Failures::default();
        for i in 1..=FAILURES_MAX {
            assert!(failures.check(Some(&peer("[2001:db8::1]:1"))).is_ok());
            failures.add(Some(&peer(&format!("[2001:db8::{i}]:{i}"))));
        }
        assert!(failures.check(Some(&peer("[2001:db8::ffff]:1"))).is_err());
        assert!(failures.check(Some(&peer("[2001:db8:1::1]:1"))).is_ok());
        assert!(failures.check(Some(&peer("192.0.2.1:1"))).is_ok());
    }
}
