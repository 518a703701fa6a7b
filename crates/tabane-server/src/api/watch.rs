//! Watches as server-sent events (WHATWG HTML, 9.2): each event's `id` is the point to resume from.
//!
//! Without a resume point a watch begins with everything there is, then says `synced`, then follows. With one it goes
//! on behind it. Either way what is delivered is the latest state of each object, in order of revisions.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Query, State},
    http::HeaderMap,
    response::{
        IntoResponse, Response, Sse,
        sse::{self, KeepAlive},
    },
};
use futures_util::{Stream, stream};
use tabane_model::{Event, FieldSelector, Kind, LabelSelector, Name, api};

use crate::{
    Error, Result,
    admit::Admit,
    app::App,
    auth::Caller,
    cache::{Changed, Object},
};

const BATCH: usize = 256;

/// What a watcher wants to see.
pub type Filter = Box<dyn Fn(Kind, &Name, &Object) -> bool + Send>;

/// Follows the cache for one watcher.
pub struct Follower {
    app: Arc<App>,
    filter: Filter,
    /// What the watcher was told of, so that it also hears when one of them is no longer for it.
    shown: BTreeSet<(Kind, Name)>,
    after: u64,
    revisions: tokio::sync::watch::Receiver<u64>,
    first: bool,
    resumed: bool,
    /// For someone who resumed: those that he may have been told of before he came back, and was told that they are gone.
    told_gone: BTreeSet<(Kind, Name)>,
}

impl Follower {
    pub fn new(app: Arc<App>, resume: Option<u64>, filter: Filter) -> Result<Self> {
        if let Some(resume) = resume {
            // The answer to a point that is too old is an error, not a stream that ends at once.
            app.cache.changes(resume, 1)?;
        }
        let revisions = app.cache.subscribe();
        Ok(Self {
            app,
            filter,
            shown: BTreeSet::new(),
            after: resume.unwrap_or(0),
            revisions,
            first: true,
            resumed: resume.is_some(),
            told_gone: BTreeSet::new(),
        })
    }

    /// The next changes; waits for them. `None` when the server stops or the watcher fell too far behind.
    pub async fn next(&mut self) -> Option<Vec<api::Change>> {
        if std::mem::take(&mut self.first) && !self.resumed {
            let (all, revision) = self.app.cache.everything();
            self.after = revision;
            let mut said: Vec<api::Change> =
                all.into_iter().filter_map(|(kind, name, object)| self.put(kind, &name, &object)).collect();
            said.push(api::Change::Synced { revision });
            return Some(said);
        }
        loop {
            self.revisions.mark_unchanged();
            let (changes, upto) = self.app.cache.changes(self.after, BATCH).ok()?;
            self.after = upto;
            let said: Vec<api::Change> =
                changes.into_iter().filter_map(|change| self.change(change)).collect();
            if !said.is_empty() {
                return Some(said);
            }
            tokio::select! {
                () = self.app.stop.cancelled() => return None,
                changed = self.revisions.changed() => changed.ok()?,
            }
        }
    }

    fn put(&mut self, kind: Kind, name: &Name, object: &Object) -> Option<api::Change> {
        if (self.filter)(kind, name, object) {
            self.shown.insert((kind, name.clone()));
            self.told_gone.remove(&(kind, name.clone()));
            return Some(api::Change::Put { kind, revision: object.revision(), object: object.to_json() });
        }
        let was_shown = self.shown.remove(&(kind, name.clone()));
        let may_be_shown = self.resumed && self.told_gone.insert((kind, name.clone()));
        (was_shown || may_be_shown).then(|| api::Change::Gone {
            kind,
            revision: object.revision(),
            name: name.clone(),
        })
    }

    fn change(&mut self, change: Changed) -> Option<api::Change> {
        match &change.object {
            Some(object) => self.put(change.kind, &change.name, object),
            None => {
                let was_shown = self.shown.remove(&(change.kind, change.name.clone()));
                // Someone who resumed may have been told before he came back.
                (was_shown || self.resumed).then_some(api::Change::Gone {
                    kind: change.kind,
                    revision: change.revision,
                    name: change.name,
                })
            }
        }
    }
}

pub fn event(change: &api::Change) -> sse::Event {
    let (revision, name) = match change {
        api::Change::Put { revision, .. } => (revision, "put"),
        api::Change::Gone { revision, .. } => (revision, "gone"),
        api::Change::Synced { revision } => (revision, "synced"),
    };
    let data = serde_json::to_string(change).expect("has string keys");
    sse::Event::default().id(revision.to_string()).event(name).data(data)
}

pub fn respond(events: impl Stream<Item = Result<sse::Event, Infallible>> + Send + 'static) -> Response {
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllParameters {
    resume: Option<u64>,
    /// Begin with this many of the newest events, rather than with all.
    events: Option<usize>,
}

/// `GET /v1/watch`: objects of all kinds that the caller may read, in one stream.
pub async fn all(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    params: std::result::Result<Query<AllParameters>, axum::extract::rejection::QueryRejection>,
) -> Result<Response> {
    let Query(params) = params.map_err(|e| Error::Query(e.body_text()))?;
    caller.may_read(Kind::Event)?;
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let resume = params.resume.or(last);
    // Names of events begin with their time.
    let first = params.events.and_then(|wanted| {
        let events = app.cache.all::<Event>();
        let at = events.len().checked_sub(wanted.max(1))?;
        events.get(at).map(|event| event.meta.name.clone())
    });
    let reader = caller.clone();
    let filter = move |kind: Kind, name: &Name, _: &Object| {
        reader.may_read(kind).is_ok() && (kind != Kind::Event || first.as_ref().is_none_or(|f| name >= f))
    };
    let follower = Follower::new(app.clone(), resume, Box::new(filter))?;
    let allowed = move |change: &api::Change| match change {
        api::Change::Put { kind, .. } | api::Change::Gone { kind, .. } => caller.may_read(*kind).is_ok(),
        api::Change::Synced { .. } => true,
    };
    let id = crate::session::id_of(&headers).map(String::from);
    let batches =
        stream::unfold((follower, allowed, app, id), |(mut follower, allowed, app, id)| async move {
            let batch = follower.next().await?;
            // Who was signed out hears nothing more.
            if let Some(id) = &id {
                crate::session::authenticate(&app, id, "").await.ok()?;
            }
            let events: Vec<_> = batch.iter().filter(|c| allowed(c)).map(|c| Ok(event(c))).collect();
            Some((stream::iter(events), (follower, allowed, app, id)))
        });
    Ok(respond(futures_util::StreamExt::flatten(batches)))
}

/// `GET /v1/<kind>?watch=true`.
pub fn objects<R: Admit>(
    app: Arc<App>,
    headers: &HeaderMap,
    params: super::crud::Parameters,
    labels: LabelSelector,
    fields: FieldSelector,
) -> Result<Response> {
    // A browser that reconnects says by itself where it was.
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let filter = move |kind: Kind, _: &Name, object: &Object| {
        kind == R::KIND
            && R::of(object).is_some_and(|o| labels.matches(&o.meta().labels) && fields.matches::<R>(o))
    };
    let resume = params.resume.or(last);
    let follower = Follower::new(app, resume, Box::new(filter))?;
    let kind_of = |change: &api::Change| match change {
        api::Change::Put { kind, .. } | api::Change::Gone { kind, .. } => *kind == R::KIND,
        api::Change::Synced { .. } => true,
    };
    let batches = stream::unfold(follower, move |mut follower| async move {
        let batch = follower.next().await?;
        let events: Vec<_> = batch.iter().filter(|c| kind_of(c)).map(|c| Ok(event(c))).collect();
        Some((stream::iter(events), follower))
    });
    Ok(respond(futures_util::StreamExt::flatten(batches)))
}
