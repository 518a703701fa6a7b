//! Says of which collections nobody has heard for some time.

use std::{sync::Arc, time::Duration};

use tabane_model::{
    EventLevel, EventSpec, Kind, Reference,
    planning::{Collection, CollectionPhase},
};

use super::placement;
use crate::{Result, api::events::record, app::App, commit::modify};

const EVERY: Duration = Duration::from_secs(10);

pub async fn run(app: Arc<App>) {
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        let running = |collection: &Collection| collection.status.phase == CollectionPhase::Running;
        let (collections, _) = app.cache.list::<Collection>(None, usize::MAX, running);
        for collection in collections.iter().filter(|collection| collection.is_unheard(app.now())) {
            placement::report(&collection.meta.name, mark(&app, collection).await);
        }
    }
}

async fn mark(app: &Arc<App>, collection: &Collection) -> Result<()> {
    let name = &collection.meta.name;
    let mut marked = false;
    let mark = |now: &mut Collection| {
        let status = &mut now.status;
        // It may have been heard meanwhile.
        marked = status.phase == CollectionPhase::Running
            && status.reported_at == collection.status.reported_at
            && now.meta.uid == collection.meta.uid;
        if marked {
            status.phase = CollectionPhase::Silent;
        }
        Ok(marked)
    };
    modify::<Collection>(app, name, mark, None).await?;
    if marked {
        let by = collection.status.report.as_ref().map_or("", |report| report.collector.as_str());
        let message = format!("no word from the collector on {by}; what it measures is kept there");
        let event = EventSpec {
            at: app.now(),
            level: EventLevel::Warning,
            reason: "silent".into(),
            about: Reference { kind: Kind::Collection, name: name.clone() },
            host: None,
            message,
        };
        record(app, vec![event]).await;
    }
    Ok(())
}
