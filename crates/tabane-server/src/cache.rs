//! All objects in memory, decoded once, fed by one watch of the store.
//!
//! Reads and watches of the API are answered from here. Every write waits until the cache has seen it, so whoever got
//! an answer to a write reads at least that state afterwards. There is no log of changes: an index by revision over
//! the present objects, and the deletions of late, answer "what changed after revision R". A slow watcher costs
//! nothing; what it missed collapses to the latest state of each object.

use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
};

use bytes::Bytes;
use tabane_model::{
    Disk, Event, Flavor, Host, Image, Kind, Name, Network, Pool, Resource, Snapshot, Survey, Token, Vm,
    planning::{Collection, Plan, Wave},
};
use tabane_store::{Revision, Store};
use tokio::sync::watch;

use crate::{Error, Result, keys};

/// Deletions that are remembered for watchers that resume.
const TOMBSTONES_MAX: usize = 10_000;

macro_rules! objects {
    ($($kind:ident),+) => {
        /// Any object.
        #[derive(Debug, Clone)]
        pub enum Object { $($kind(Arc<$kind>)),+ }

        impl Object {
            fn decode(kind: Kind, value: &[u8], revision: Revision) -> serde_json::Result<Self> {
                match kind {
                    $(Kind::$kind => {
                        let mut object: $kind = serde_json::from_slice(value)?;
                        object.meta.revision = revision;
                        Ok(Self::$kind(Arc::new(object)))
                    })+
                }
            }

            pub fn to_json(&self) -> serde_json::Value {
                match self { $(Self::$kind(o) => serde_json::to_value(&**o),)+ }
                    .expect("objects have string keys and no foreign serialisers")
            }

            pub fn identity(&self) -> (Kind, Name) {
                match self { $(Self::$kind(o) => (Kind::$kind, o.meta.name.clone()),)+ }
            }

            pub fn revision(&self) -> Revision {
                match self { $(Self::$kind(o) => o.meta.revision,)+ }
            }

            /// The host that the object is bound to.
            pub fn host(&self) -> Option<&Name> {
                match self { $(Self::$kind(o) => o.host(),)+ }
            }
        }

        impl Object {
            /// The host that the object moves to, with all that it consists of.
            pub fn moving_to(&self) -> Option<&Name> {
                match self {
                    Self::Vm(vm) => vm.spec.moving.as_ref().map(|m| &m.to),
                    Self::Disk(disk) => disk.spec.moving.as_ref().map(|m| &m.to),
                    _ => None,
                }
            }
        }

        $(impl Cached for $kind {
            fn of(object: &Object) -> Option<&Arc<Self>> {
                match object { Object::$kind(o) => Some(o), _ => None }
            }
        })+
    };
}

/// A kind of object that the cache can hand out in its own type.
pub trait Cached: Resource {
    fn of(object: &Object) -> Option<&Arc<Self>>;
}

objects!(
    Vm, Image, Disk, Pool, Network, Host, Event, Token, Snapshot, Flavor, Survey, Plan, Wave, Collection
);

#[derive(Default)]
struct Tables {
    objects: [BTreeMap<Name, Object>; Kind::ALL.len()],
    /// Every object and every remembered deletion, once, at its latest revision.
    index: BTreeMap<(Revision, Kind, Name), Presence>,
    tombstones: usize,
    deleted: BTreeMap<(Kind, Name), Revision>,
    /// Resuming is possible from this revision on.
    oldest: Revision,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Present,
    Deleted,
}

impl Tables {
    fn table(&self, kind: Kind) -> &BTreeMap<Name, Object> {
        &self.objects[kind as usize]
    }

    fn put(&mut self, kind: Kind, name: Name, object: Object) {
        let revision = object.revision();
        if let Some(old) = self.objects[kind as usize].insert(name.clone(), object) {
            self.index.remove(&(old.revision(), kind, name.clone()));
        } else if let Some(old) = self.deleted.remove(&(kind, name.clone())) {
            self.index.remove(&(old, kind, name.clone()));
            self.tombstones -= 1;
        }
        self.index.insert((revision, kind, name), Presence::Present);
    }

    fn delete(&mut self, kind: Kind, name: Name, revision: Revision) {
        let Some(old) = self.objects[kind as usize].remove(&name) else { return };
        self.index.remove(&(old.revision(), kind, name.clone()));
        self.index.insert((revision, kind, name.clone()), Presence::Deleted);
        self.deleted.insert((kind, name), revision);
        self.tombstones += 1;
        if self.tombstones > TOMBSTONES_MAX {
            self.forget_deletions();
        }
    }

    /// Forgets the older half of the deletions.
    fn forget_deletions(&mut self) {
        let mut revisions: Vec<Revision> = self.deleted.values().copied().collect();
        revisions.sort_unstable();
        let limit = revisions[revisions.len() / 2];
        self.deleted.retain(|_, revision| *revision > limit);
        self.index.retain(|(revision, _, _), presence| *presence == Presence::Present || *revision > limit);
        self.tombstones = self.deleted.len();
        self.oldest = limit;
    }
}

pub struct Cache {
    tables: RwLock<Tables>,
    revision: watch::Sender<Revision>,
}

/// One thing that changed after a revision.
#[derive(Debug, Clone)]
pub struct Changed {
    pub revision: Revision,
    pub kind: Kind,
    pub name: Name,
    /// `None`: it is gone.
    pub object: Option<Object>,
}

impl Cache {
    /// Reads all objects and follows the store from there until the store ends.
    pub async fn start(store: Arc<dyn Store>) -> Result<Arc<Self>> {
        let mut tables = Tables::default();
        let (mut after, mut first) = (None, None);
        loop {
            let page = store.list(keys::OBJECTS, after.as_deref(), 1000).await?;
            first.get_or_insert(page.revision);
            for entry in page.entries {
                apply(&mut tables, &entry.key, Some(&entry.value), entry.modified);
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let revision = first.unwrap_or(0);
        tables.oldest = revision;
        let cache = Arc::new(Self { tables: RwLock::new(tables), revision: watch::Sender::new(revision) });
        let mut watch = store.watch(keys::OBJECTS, revision).await?;
        let follower = cache.clone();
        tokio::spawn(async move {
            loop {
                match watch.next().await {
                    Ok(batch) => follower.apply(batch.revision, &batch.changes),
                    Err(error) => {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "the watch of the store ended"
                        );
                        return;
                    }
                }
            }
        });
        Ok(cache)
    }

    fn apply(&self, revision: Revision, changes: &[tabane_store::Change]) {
        let mut tables = self.tables.write().expect("no holder of this lock panics");
        for change in changes {
            apply(&mut tables, &change.key, change.value.as_ref(), change.revision);
        }
        drop(tables);
        self.revision.send_if_modified(|current| {
            let newer = revision > *current;
            *current = revision.max(*current);
            newer
        });
    }

    pub fn get<R: Cached>(&self, name: &str) -> Option<Arc<R>> {
        let tables = self.tables.read().expect("no holder of this lock panics");
        tables.table(R::KIND).get(name).and_then(R::of).cloned()
    }

    pub fn expect<R: Cached>(&self, name: &str) -> Result<Arc<R>> {
        self.get(name).ok_or_else(|| Error::Missing { kind: R::KIND, name: name.chars().take(63).collect() })
    }

    pub fn any(&self, kind: Kind, name: &str) -> Option<Object> {
        self.tables.read().expect("no holder of this lock panics").table(kind).get(name).cloned()
    }

    /// Objects after the name `after`, in order of names, and the revision that they show.
    pub fn list<R: Cached>(
        &self,
        after: Option<&Name>,
        limit: usize,
        keep: impl Fn(&R) -> bool,
    ) -> (Vec<Arc<R>>, Revision) {
        use std::ops::Bound::{Excluded, Unbounded};
        let tables = self.tables.read().expect("no holder of this lock panics");
        let start = after.map_or(Unbounded, Excluded);
        let items = tables
            .table(R::KIND)
            .range::<Name, _>((start, Unbounded))
            .filter_map(|(_, object)| R::of(object))
            .filter(|object| keep(object))
            .take(limit)
            .cloned()
            .collect();
        (items, *self.revision.borrow())
    }

    pub fn all<R: Cached>(&self) -> Vec<Arc<R>> {
        self.list(None, usize::MAX, |_| true).0
    }

    /// Everything that changed after `after`, at most `limit`, in order of revisions; and the revision up to which
    /// this is complete. Errors: `after` is older than the deletions that are remembered.
    pub fn changes(&self, after: Revision, limit: usize) -> Result<(Vec<Changed>, Revision)> {
        let tables = self.tables.read().expect("no holder of this lock panics");
        let current = *self.revision.borrow();
        let newest =
            tables.index.last_key_value().map_or(current, |((revision, _, _), _)| current.max(*revision));
        // A point ahead of the store is one of a store that was put back: what was seen there may never come.
        if after < tables.oldest || after > newest {
            return Err(Error::ResumeTooOld { resume: after });
        }
        let start = (after + 1, Kind::Vm, Name::new("0").expect("is a name"));
        let mut changes: Vec<Changed> = Vec::new();
        for ((revision, kind, name), presence) in tables.index.range(start..) {
            // A txn is never cut in two: its changes have one revision, which is the resume point.
            if changes.len() >= limit && changes.last().is_some_and(|c| c.revision < *revision) {
                let upto = revision - 1;
                return Ok((changes, upto));
            }
            let object = match presence {
                Presence::Present => tables.table(*kind).get(name).cloned(),
                Presence::Deleted => None,
            };
            changes.push(Changed { revision: *revision, kind: *kind, name: name.clone(), object });
        }
        let upto = changes.last().map_or(current, |c| c.revision.max(current));
        Ok((changes, upto))
    }

    /// Everything there is, and the revision that it shows.
    pub fn everything(&self) -> (Vec<(Kind, Name, Object)>, Revision) {
        let tables = self.tables.read().expect("no holder of this lock panics");
        let all = Kind::ALL
            .into_iter()
            .flat_map(|kind| tables.table(kind).iter().map(move |(n, o)| (kind, n.clone(), o.clone())))
            .collect();
        (all, *self.revision.borrow())
    }

    pub fn subscribe(&self) -> watch::Receiver<Revision> {
        self.revision.subscribe()
    }

    /// Returns when the cache shows this revision or a later one.
    pub async fn reach(&self, revision: Revision) {
        // An error means that the cache itself is going away, and then nobody reads from it.
        let _ = self.subscribe().wait_for(|current| *current >= revision).await;
    }
}

fn apply(tables: &mut Tables, key: &str, value: Option<&Bytes>, revision: Revision) {
    let Some((kind, name)) = keys::parse_object(key) else {
        tracing::warn!(key, "an object with a key that is none");
        return;
    };
    match value {
        None => tables.delete(kind, name, revision),
        Some(value) => match Object::decode(kind, value, revision) {
            Ok(object) => tables.put(kind, name, object),
            // Written by a newer version. It stays in the store untouched and is shown by no list.
            Err(error) => {
                tracing::error!(key, error = &error as &dyn std::error::Error, "an object is unreadable")
            }
        },
    }
}
