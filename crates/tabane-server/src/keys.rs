//! Keys of the store.
//!
//! ```text
//!   objects/<plural kind>/<name>        the objects of the API
//!   addresses/<network>/<address>       who has an address; made and removed with the nic, in the same txn
//!   secrets/tokens/<name>               hash of a token's secret
//!   secrets/agents/<host>               which agent a host is
//!   sessions/<hash>                     a session of the web console, by the hash of its id
//!   idempotency/<principal>/<key>       what a request with this key did
//!   audit/pending/<uuid>                records that wait to be chained
//!   audit/head                          sequence and hash of the last chained record
//! ```

use std::net::IpAddr;

use tabane_model::{Kind, Name};

pub const OBJECTS: &str = "objects/";
pub const AUDIT_PENDING: &str = "audit/pending/";
pub const AUDIT_HEAD: &str = "audit/head";
pub const IDEMPOTENCY: &str = "idempotency/";
pub const SESSIONS: &str = "sessions/";
pub const TOKEN_SECRETS: &str = "secrets/tokens/";

pub fn object(kind: Kind, name: &Name) -> String {
    format!("{OBJECTS}{}/{name}", kind.plural())
}

/// The inverse of [`object`].
pub fn parse_object(key: &str) -> Option<(Kind, Name)> {
    let (plural, name) = key.strip_prefix(OBJECTS)?.split_once('/')?;
    let kind = Kind::ALL.into_iter().find(|k| k.plural() == plural)?;
    Some((kind, Name::new(name).ok()?))
}

pub fn address(network: &Name, address: IpAddr) -> String {
    format!("addresses/{network}/{address}")
}

pub fn token_secret(token: &Name) -> String {
    format!("{TOKEN_SECRETS}{token}")
}

pub fn agent(host: &Name) -> String {
    format!("secrets/agents/{host}")
}

pub fn idempotency(principal: &str, key: &str) -> String {
    format!("{IDEMPOTENCY}{principal}/{key}")
}
