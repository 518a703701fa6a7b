//! The one way by which objects change: object, allocations, idempotency and audit record in one txn.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tabane_model::{Kind, Name};
use tabane_store::{Compare, Outcome, Revision, Txn};

use crate::{
    Error, Result,
    app::App,
    audit::Pending,
    auth::Caller,
    cache::{Cached, Object},
    keys,
};

/// A change that grows until it is committed.
pub struct Change<'a> {
    app: &'a Arc<App>,
    pub txn: Txn,
    records: Vec<(&'static str, Kind, Name, Option<Bytes>)>,
}

/// What an idempotency key stands for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {
    /// BLAKE3 of method, path and body.
    pub request: String,
    pub kind: Kind,
    pub name: Name,
    pub at: jiff::Timestamp,
}

pub fn encode<R: Cached>(object: &R) -> Bytes {
    serde_json::to_vec(object).expect("objects have string keys and no foreign serialisers").into()
}

impl<'a> Change<'a> {
    pub fn new(app: &'a Arc<App>) -> Self {
        Self { app, txn: Txn::new(), records: Vec::new() }
    }

    fn when(&mut self, compare: Compare) {
        self.txn.compares.push(compare);
    }

    /// The change holds only while this object is there.
    pub fn requires(&mut self, kind: Kind, name: &Name) {
        let compare = Compare::Exists(keys::object(kind, name));
        if !self.txn.compares.contains(&compare) {
            self.when(compare);
        }
    }

    pub fn create<R: Cached>(&mut self, object: &R) {
        let key = keys::object(R::KIND, &object.meta().name);
        let value = encode(object);
        self.when(Compare::Absent(key.clone()));
        self.records.push(("create", R::KIND, object.meta().name.clone(), Some(value.clone())));
        self.txn = std::mem::take(&mut self.txn).put(key, value);
    }

    /// Writes an object that was read at `object.meta.revision`, if it is still the same.
    pub fn update<R: Cached>(&mut self, verb: &'static str, object: &R) {
        let key = keys::object(R::KIND, &object.meta().name);
        let value = encode(object);
        self.when(Compare::Unchanged(key.clone(), object.meta().revision));
        self.records.push((verb, R::KIND, object.meta().name.clone(), Some(value.clone())));
        self.txn = std::mem::take(&mut self.txn).put(key, value);
    }

    pub fn delete<R: Cached>(&mut self, object: &R) {
        let key = keys::object(R::KIND, &object.meta().name);
        self.when(Compare::Unchanged(key.clone(), object.meta().revision));
        self.records.push(("delete", R::KIND, object.meta().name.clone(), None));
        self.txn = std::mem::take(&mut self.txn).delete(key);
    }

    pub fn put_private(&mut self, key: String, value: impl Into<Bytes>) {
        self.txn = std::mem::take(&mut self.txn).put(key, value);
    }

    pub fn delete_private(&mut self, key: String) {
        self.txn = std::mem::take(&mut self.txn).delete(key);
    }

    pub fn claim(&mut self, key: String, value: impl Into<Bytes>) {
        self.when(Compare::Absent(key.clone()));
        self.put_private(key, value);
    }

    /// Commits with an audit record for each object. Returns when reads show it.
    pub async fn commit(mut self, caller: &Caller) -> Result<Revision> {
        let now = self.app.now();
        for (verb, kind, name, written) in std::mem::take(&mut self.records) {
            let pending = Pending::new(caller, verb, kind, name.as_str(), written.as_deref(), now);
            self.txn = pending.add_to(std::mem::take(&mut self.txn));
        }
        self.commit_unaudited().await
    }

    /// Commits what nobody asked for, such as a status.
    pub async fn commit_unaudited(self) -> Result<Revision> {
        match self.app.store.txn(self.txn).await? {
            Outcome::Committed(revision) => {
                self.app.cache.reach(revision).await;
                Ok(revision)
            }
            Outcome::Conflict { key, current } => Err(conflict(&key, current.is_some())),
        }
    }
}

fn conflict(key: &str, present: bool) -> Error {
    match keys::parse_object(key) {
        Some((kind, name)) if present => {
            // Absent was expected, or the same revision: either way somebody was faster.
            Error::Changed { kind, name: name.to_string() }
        }
        Some((kind, name)) => Error::Missing { kind, name: name.to_string() },
        None => Error::Refused {
            code: "taken",
            detail: format!("{key} was taken by another request at the same time"),
            hint: "try again".into(),
        },
    }
}

/// Reads, changes and writes an object until nobody comes in between. `change` says whether there is anything to write.
pub async fn modify<R: Cached>(
    app: &Arc<App>,
    name: &Name,
    mut change: impl FnMut(&mut R) -> Result<bool>,
    audit: Option<(&Caller, &'static str)>,
) -> Result<Arc<R>> {
    const TRIES: usize = 20;
    for _ in 0..TRIES {
        let found = app.cache.expect::<R>(name.as_str())?;
        let mut object = R::clone(&found);
        if !change(&mut object)? {
            return Ok(found);
        }
        let mut step = Change::new(app);
        step.update(audit.map_or("status", |(_, verb)| verb), &object);
        let done = match audit {
            Some((caller, _)) => step.commit(caller).await,
            None => step.commit_unaudited().await,
        };
        match done {
            Ok(_) => return app.cache.expect::<R>(name.as_str()),
            Err(Error::Changed { .. }) => {
                // The cache may still be behind the store: wait until it shows what we collided with.
                if let Some(entry) = app.store.get(&keys::object(R::KIND, name)).await? {
                    app.cache.reach(entry.modified).await;
                }
            }
            Err(error) => return Err(error),
        }
    }
    Err(Error::Changed { kind: R::KIND, name: name.to_string() })
}

/// The object that an idempotency key made earlier, if the request is the same.
pub async fn replay(app: &App, caller: &Caller, key: &str, request: &str) -> Result<Option<Object>> {
    let Some(entry) = app.store.get(&keys::idempotency(&caller.principal, key)).await? else {
        return Ok(None);
    };
    let done: Done =
        serde_json::from_slice(&entry.value).map_err(|e| Error::Bug(format!("idempotency: {e}")))?;
    if done.request != request {
        return Err(Error::IdempotencyMismatch);
    }
    app.cache.reach(entry.modified).await;
    match app.cache.any(done.kind, done.name.as_str()) {
        Some(object) => Ok(Some(object)),
        None => Err(Error::Missing { kind: done.kind, name: done.name.to_string() }),
    }
}
