//! Says which hosts are silent. Nothing is done about their VMs: a silent host may well be running them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tabane_model::{EventLevel, EventSpec, Host, HostPhase, Kind, Reference};

use crate::{api::events::record, app::App, commit::modify};

pub async fn run(app: Arc<App>, timeout_ms: u64) {
    let timeout = Duration::from_millis(timeout_ms);
    // A host that was not heard since the server's start has the full time from there.
    let started = Instant::now();
    let mut tick = tokio::time::interval(timeout / 4);
    loop {
        tick.tick().await;
        for host in app.cache.all::<Host>() {
            let name = &host.meta.name;
            let silent_for = app.control.heard_at(name).unwrap_or(started).elapsed();
            if host.status.phase != HostPhase::Ready || silent_for < timeout {
                continue;
            }
            let mark = |host: &mut Host| {
                let changed = host.status.phase == HostPhase::Ready;
                host.status.phase = HostPhase::Unreachable;
                Ok(changed)
            };
            if let Err(error) = modify::<Host>(&app, name, mark, None).await {
                tracing::warn!(%name, error = &error as &dyn std::error::Error, "cannot mark a silent host");
                continue;
            }
            let event = EventSpec {
                at: app.now(),
                level: EventLevel::Error,
                reason: "unreachable".into(),
                about: Reference { kind: Kind::Host, name: name.clone() },
                host: Some(name.clone()),
                message: format!(
                    "no word from its agent for {} s; its VMs may be running",
                    silent_for.as_secs()
                ),
            };
            record(&app, vec![event]).await;
        }
    }
}
