//! What collectors say, and what they are answered.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
};
use tabane_model::{
    Faults, Kind,
    planning::{Collection, CollectionPhase, CollectionReport, CollectionWishes},
};

use super::crud::body;
use crate::{Error, Result, app::App, auth::Caller, commit::modify};

/// Takes down how far a collector is. One that is not the one that is heard now has to wait until that is silent.
pub async fn report(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    bytes: Bytes,
) -> Result<Json<CollectionWishes>> {
    caller.may_write(Kind::Collection)?;
    let report: CollectionReport = body(&bytes)?;
    let mut faults = Faults::default();
    report.validate(&mut faults);
    if !faults.is_empty() {
        return Err(Error::Faults(faults.0));
    }
    let found = app.cache.expect::<Collection>(&name)?;
    let uid = found.meta.uid;
    let take_down = |collection: &mut Collection| {
        if collection.meta.uid != uid {
            return Err(Error::Missing { kind: Kind::Collection, name: name.clone() });
        }
        take_down(collection, report.clone(), app.now())?;
        Ok(true)
    };
    let collection = modify::<Collection>(&app, &found.meta.name, take_down, None).await?;
    Ok(Json(collection.wishes(app.now())))
}

fn take_down(collection: &mut Collection, report: CollectionReport, now: jiff::Timestamp) -> Result<()> {
    let name = &collection.meta.name;
    let wishes = collection.wishes(now);
    let before = collection.status.report.as_ref();
    if let Some(before) = before.filter(|before| before.session != report.session) {
        if collection.status.phase == CollectionPhase::Ended && wishes.survey.is_none() {
            return Err(Error::Refused {
                code: "collection_ended",
                detail: format!("the collection {name} has ended"),
                hint: "make another collection".into(),
            });
        }
        if !before.ended && !collection.is_unheard(now) {
            return Err(Error::Refused {
                code: "other_collector",
                detail: format!("a collector on {} is at it", before.collector),
                hint: "end that one first; if it is gone, try again in two minutes or so".into(),
            });
        }
    }
    let status = &mut collection.status;
    status.begun_at.get_or_insert(now);
    status.reported_at = Some(now);
    status.phase = match (report.ended, wishes.ended) {
        (false, _) => CollectionPhase::Running,
        (true, true) => CollectionPhase::Ended,
        // Its collector was stopped; another one may go on.
        (true, false) => CollectionPhase::Waiting,
    };
    for made in &report.made {
        if !status.surveys.contains(made) {
            status.surveys.push(made.clone());
        }
    }
    status.report = Some(report);
    Ok(())
}
