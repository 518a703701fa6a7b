//! Who asks, and what he may do.
//!
//! A token is `tbn_<name>_<secret>`: the name finds the record, the secret is 32 random bytes. The store holds only a
//! BLAKE3 hash of it; with 256 bits of randomness no slow hash is needed. Invariant: no secret is ever logged,
//! stored, or part of an object.

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{header, request::Parts},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use tabane_model::{Kind, Meta, Name, Resource, Role, Token, TokenSpec};
use tabane_store::{Compare, Txn};

use crate::{Error, Result, app::App, keys};

/// Name of the token that the first start makes.
pub const ADMIN_TOKEN: &str = "admin";

/// Who asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Caller {
    /// A token's name, or `root` on the local socket.
    pub principal: String,
    pub role: Role,
    /// For role host: which one.
    pub host: Option<Name>,
    /// The peer's address, for the audit log.
    pub from: String,
}

impl Caller {
    fn denied(&self) -> Error {
        Error::Denied { role: self.role.as_str() }
    }

    pub fn may_read(&self, kind: Kind) -> Result<()> {
        match (self.role, kind) {
            (Role::Admin, _) => Ok(()),
            (Role::Viewer | Role::Operator, kind) if kind != Kind::Token => Ok(()),
            _ => Err(self.denied()),
        }
    }

    pub fn may_write(&self, kind: Kind) -> Result<()> {
        match (self.role, kind) {
            (_, Kind::Event) => Err(self.denied()),
            (Role::Admin, _) => Ok(()),
            (Role::Operator, kind) if !matches!(kind, Kind::Token | Kind::Host) => Ok(()),
            _ => Err(self.denied()),
        }
    }

    /// Consoles and commands reach into guests: as much as writing.
    pub fn may_enter(&self) -> Result<()> {
        self.may_write(Kind::Vm)
    }

    pub fn may_join(&self) -> Result<()> {
        if matches!(self.role, Role::Admin | Role::Join) { Ok(()) } else { Err(self.denied()) }
    }

    /// Only the host itself speaks for a host.
    pub fn must_be_host(&self, name: &Name) -> Result<()> {
        if self.role == Role::Host && self.host.as_ref() == Some(name) { Ok(()) } else { Err(self.denied()) }
    }
}

/// What the store keeps of a secret.
#[derive(Debug, Serialize, Deserialize)]
struct SecretRecord {
    blake3: String,
}

fn hash(secret: &str) -> blake3::Hash {
    blake3::derive_key("tabane token 2026", secret.as_bytes()).into()
}

/// A new secret, from the operating system's generator.
pub fn new_secret() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

pub fn token_text(name: &Name, secret: &str) -> String {
    format!("tbn_{name}_{secret}")
}

/// The txn that makes a token, and the token's whole text.
pub fn make_token(
    name: Name,
    spec: TokenSpec,
    now: jiff::Timestamp,
    uid: uuid::Uuid,
) -> (Txn, Token, String) {
    let secret = new_secret();
    let record = SecretRecord { blake3: hash(&secret).to_hex().to_string() };
    let mut token = Token::new(Meta::new(name.clone()), spec);
    token.meta.uid = uid;
    token.meta.generation = 1;
    token.meta.created_at = Some(now);
    let key = keys::object(Kind::Token, &name);
    let txn = Txn::new()
        .when(Compare::Absent(key.clone()))
        .put(key, serde_json::to_vec(&token).expect("tokens have string keys"))
        .put(keys::token_secret(&name), serde_json::to_vec(&record).expect("has string keys"));
    let text = token_text(&name, &secret);
    (txn, token, text)
}

/// Finds out who sends this token. Every failure is the same error: it tells nothing about which part was wrong.
pub async fn authenticate(app: &App, text: &str, from: &str) -> Result<Caller> {
    let (name, secret) =
        text.strip_prefix("tbn_").and_then(|rest| rest.split_once('_')).ok_or(Error::Unauthenticated)?;
    let name = Name::new(name).map_err(|_| Error::Unauthenticated)?;
    let token = app.cache.get::<Token>(name.as_str()).ok_or(Error::Unauthenticated)?;
    if token.spec.expires_at.is_some_and(|at| at <= app.now()) {
        return Err(Error::Unauthenticated);
    }
    let entry = app.store.get(&keys::token_secret(&name)).await?.ok_or(Error::Unauthenticated)?;
    let record: SecretRecord = serde_json::from_slice(&entry.value).map_err(|_| Error::Unauthenticated)?;
    let kept = blake3::Hash::from_hex(&record.blake3).map_err(|_| Error::Unauthenticated)?;
    // blake3::Hash compares in constant time.
    if kept != hash(secret) {
        return Err(Error::Unauthenticated);
    }
    Ok(Caller {
        principal: name.to_string(),
        role: token.spec.role,
        host: token.spec.host.clone(),
        from: from.to_owned(),
    })
}

/// Where a connection comes from; put into each request by the listener.
#[derive(Debug, Clone)]
pub enum Peer {
    Tcp(std::net::SocketAddr),
    /// The local socket, with the user at its other end.
    Local {
        uid: u32,
    },
}

impl Peer {
    /// For the audit log.
    pub fn told(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Local { uid } => format!("local uid {uid}"),
        }
    }
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    std::sync::Arc<App>: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let app = std::sync::Arc::<App>::from_ref(state);
        let peer = parts.extensions.get::<Peer>().cloned();
        let from = peer.as_ref().map_or_else(|| "-".into(), Peer::told);
        if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
            let text =
                value.to_str().ok().and_then(|v| v.strip_prefix("Bearer ")).ok_or(Error::Unauthenticated)?;
            return authenticate(&app, text.trim(), &from).await;
        }
        if let Some(id) = crate::session::id_of(&parts.headers) {
            return Ok(crate::session::authenticate(&app, id, &from).await?.0);
        }
        match peer {
            // The socket is in a folder of the server's own user; the peer's identity is the kernel's word.
            Some(Peer::Local { uid }) if uid == 0 || uid == rustix::process::geteuid().as_raw() => {
                Ok(Self { principal: "root".into(), role: Role::Admin, host: None, from })
            }
            _ => Err(Error::Unauthenticated),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: Role) -> Caller {
        Caller { principal: "x".into(), role, host: None, from: "-".into() }
    }

    #[test]
    fn roles_reach_as_far_as_they_should() {
        for kind in Kind::ALL {
            assert!(caller(Role::Viewer).may_write(kind).is_err());
            assert!(
                caller(Role::Join).may_read(kind).is_err() && caller(Role::Join).may_write(kind).is_err()
            );
            assert!(
                caller(Role::Host).may_read(kind).is_err() && caller(Role::Host).may_write(kind).is_err()
            );
        }
        assert!(caller(Role::Operator).may_write(Kind::Vm).is_ok());
        assert!(caller(Role::Operator).may_write(Kind::Token).is_err());
        assert!(caller(Role::Operator).may_read(Kind::Token).is_err());
        assert!(caller(Role::Operator).may_write(Kind::Host).is_err());
        assert!(caller(Role::Viewer).may_enter().is_err());
        assert!(caller(Role::Admin).must_be_host(&"h1".parse().unwrap()).is_err());
    }
}
