//! Writing events down.

use std::sync::Arc;

use tabane_model::{Event, EventSpec, Meta, Name, Resource, Uid};

use crate::{app::App, commit::Change};

/// Most events that one report may bring; the rest is dropped and said so.
pub const BATCH_MAX: usize = 100;

/// Writes events down. A failure is logged and nothing more: nothing depends on an event.
pub async fn record(app: &Arc<App>, specs: Vec<EventSpec>) {
    if specs.is_empty() {
        return;
    }
    let mut change = Change::new(app);
    for mut spec in specs.into_iter().take(BATCH_MAX) {
        spec.reason =
            spec.reason.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(64).collect();
        spec.message = spec.message.chars().filter(|c| !c.is_control()).take(1000).collect();
        let uid = Uid::now_v7();
        // The name begins with the time: events in order of names are events in order of time.
        let name = Name::new(uid.as_simple().to_string()).expect("hexadecimal digits make a name");
        let mut event = Event::new(Meta::new(name), spec);
        event.meta.uid = uid;
        event.meta.generation = 1;
        event.meta.created_at = Some(app.now());
        let about = format!("{}/{}", event.spec.about.kind, event.spec.about.name);
        event.meta.labels.insert("about".into(), about);
        change.create(&event);
    }
    if let Err(error) = change.commit_unaudited().await {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot write events");
    }
}
