//! Forgets what has served its time: old events, idempotency keys, expired tokens and sessions, deletions in the store.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use tabane_model::{Event, Snapshot, Token};
use tabane_store::Txn;

use crate::{
    Result,
    admit::{Admit, Removal, snapshot::clones_of},
    app::App,
    commit::{Change, Done},
    keys, session,
};

const EVENTS_MAX: usize = 10_000;
const EVENTS_KEPT_FOR: SignedDuration = SignedDuration::from_hours(24 * 30);
const IDEMPOTENCY_KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);
/// Watchers of the store may be this many revisions behind.
const REVISIONS_KEPT: u64 = 100_000;
/// A snapshot that was made for clones has them by then.
const CLONES_APPEAR_WITHIN: SignedDuration = SignedDuration::from_mins(5);
const EVERY: Duration = Duration::from_secs(60);
const BATCH: usize = 200;

pub async fn run(app: Arc<App>) {
    loop {
        tokio::time::sleep(EVERY).await;
        for (what, result) in [
            ("events", events(&app).await),
            ("idempotency keys", idempotency(&app).await),
            ("tokens", tokens(&app).await),
            ("sessions", sessions(&app).await),
            ("snapshots", snapshots(&app).await),
            ("deletions", deletions(&app).await),
        ] {
            if let Err(error) = result {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot remove old {what}");
            }
        }
    }
}

/// Names of events begin with their time, so the first ones are the oldest.
async fn events(app: &Arc<App>) -> Result<()> {
    let all = app.cache.all::<Event>();
    let too_many = all.len().saturating_sub(EVENTS_MAX);
    let limit = app.now() - EVENTS_KEPT_FOR;
    let old: Vec<_> = all.iter().enumerate().filter(|(i, e)| *i < too_many || e.spec.at < limit).collect();
    for batch in old.chunks(BATCH) {
        let mut change = Change::new(app);
        for (_, event) in batch {
            change.delete(&***event);
        }
        change.commit_unaudited().await?;
    }
    Ok(())
}

async fn idempotency(app: &Arc<App>) -> Result<()> {
    let limit = app.now() - IDEMPOTENCY_KEPT_FOR;
    let mut after = None;
    loop {
        let page = app.store.list(keys::IDEMPOTENCY, after.as_deref(), BATCH).await?;
        let old = page.entries.iter().filter(|entry| {
            serde_json::from_slice::<Done>(&entry.value).map_or(true, |done| done.at < limit)
        });
        let txn = old.fold(Txn::new(), |txn, entry| txn.delete(entry.key.clone()));
        if !txn.ops.is_empty() {
            app.store.txn(txn).await?;
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

/// An expired token opens nothing any more; a day later it need not be shown either.
async fn tokens(app: &Arc<App>) -> Result<()> {
    let limit = app.now() - SignedDuration::from_hours(24);
    for token in app.cache.all::<Token>() {
        if token.spec.expires_at.is_some_and(|at| at < limit) {
            let mut change = Change::new(app);
            change.delete(&*token);
            change.delete_private(keys::token_secret(&token.meta.name));
            change.commit_unaudited().await?;
        }
    }
    Ok(())
}

/// Sessions that are over, and those whose token is gone.
async fn sessions(app: &Arc<App>) -> Result<()> {
    let now = app.now();
    let mut after = None;
    loop {
        let page = app.store.list(keys::SESSIONS, after.as_deref(), BATCH).await?;
        let over = page.entries.iter().filter(|entry| {
            serde_json::from_slice::<session::Record>(&entry.value).map_or(true, |record| {
                let token = app.cache.get::<Token>(record.token.as_str());
                record.until <= now || token.is_none_or(|token| token.meta.uid != record.uid)
            })
        });
        let txn = over.fold(Txn::new(), |txn, entry| txn.delete(entry.key.clone()));
        if !txn.ops.is_empty() {
            app.store.txn(txn).await?;
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

/// Snapshots whose time is over go as if somebody had deleted them; what keeps one is told once it goes.
async fn snapshots(app: &Arc<App>) -> Result<()> {
    let now = app.now();
    for snapshot in app.cache.all::<Snapshot>() {
        let expired = snapshot.spec.expires_at.is_some_and(|at| at < now);
        let old = snapshot.meta.created_at.is_some_and(|at| now.duration_since(at) > CLONES_APPEAR_WITHIN);
        let unneeded = snapshot.spec.for_clones && old && clones_of(app, &snapshot).is_empty();
        if !(expired || unneeded) || snapshot.meta.deleted_at.is_some() {
            continue;
        }
        let _admission = app.admission(true).await;
        let mut change = Change::new(app);
        match Snapshot::remove(app, &snapshot, &mut change) {
            Ok(Removal::Now) => change.delete(&*snapshot),
            Ok(Removal::AfterHost) => {
                let mut marked = Snapshot::clone(&snapshot);
                marked.meta.deleted_at = Some(now);
                marked.meta.generation += 1;
                change.update("expire", &marked);
            }
            Err(error) => {
                let name = &snapshot.meta.name;
                tracing::info!(%name, error = &error as &dyn std::error::Error, "an expired snapshot stays");
                continue;
            }
        }
        change.commit_unaudited().await?;
    }
    Ok(())
}

async fn deletions(app: &Arc<App>) -> Result<()> {
    let revision = app.store.revision().await?;
    app.store.compact(revision.saturating_sub(REVISIONS_KEPT)).await?;
    Ok(())
}
