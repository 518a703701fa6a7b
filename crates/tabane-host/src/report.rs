//! Tells the server what is: the latest status of each object, in batches, until it has heard it.
//!
//! Statuses are states, not changes: a newer one replaces one that is still waiting, and saying one twice does no
//! harm. So nothing is lost when the server is away, and nothing piles up.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use tabane_client::Client;
use tabane_model::{
    EventLevel, EventSpec, HostStatus, Kind, Name, Reference, Sample, Uid,
    api::{HostReport, StatusReport},
};
use tokio::sync::Notify;

use crate::metrics::Buffer;

const BATCH: usize = 200;
const EVENTS_MAX: usize = 1000;

#[derive(Default)]
struct Waiting {
    statuses: BTreeMap<(Kind, Name), StatusReport>,
    /// What was said last, or is on its way, to say nothing twice.
    said: BTreeMap<(Kind, Name), StatusReport>,
    host: Option<HostStatus>,
    events: VecDeque<EventSpec>,
    samples: Buffer,
    /// How many of the next reports bring one thing each, since one of these things was refused.
    singly: usize,
}

#[derive(Default)]
pub struct Reporter {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

impl Reporter {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no holder of this lock panics")
    }

    pub fn status<T: Serialize>(&self, kind: Kind, name: &Name, uid: Uid, status: &T) {
        let status = serde_json::to_value(status).expect("statuses have string keys");
        let report = StatusReport { kind, name: name.clone(), uid, status };
        let key = (kind, name.clone());
        let mut waiting = self.waiting();
        if waiting.said.get(&key) == Some(&report) && !waiting.statuses.contains_key(&key) {
            return;
        }
        waiting.statuses.insert(key, report);
        drop(waiting);
        self.wake.notify_one();
    }

    /// What was told of an object last: the server's view of it comes back late.
    pub fn told<T: DeserializeOwned>(&self, kind: Kind, name: &Name, uid: Uid) -> Option<T> {
        let waiting = self.waiting();
        let key = (kind, name.clone());
        let report = waiting.statuses.get(&key).or_else(|| waiting.said.get(&key))?;
        (report.uid == uid).then(|| serde_json::from_value(report.status.clone()).ok()).flatten()
    }

    /// The object is gone: nothing more is to be said of it.
    pub fn forget(&self, kind: Kind, name: &Name) {
        let mut waiting = self.waiting();
        waiting.statuses.remove(&(kind, name.clone()));
        waiting.said.remove(&(kind, name.clone()));
    }

    pub fn host(&self, status: HostStatus) {
        self.waiting().host = Some(status);
        self.wake.notify_one();
    }

    pub fn event(
        &self,
        level: EventLevel,
        reason: &str,
        kind: Kind,
        name: &Name,
        message: impl Into<String>,
    ) {
        let event = EventSpec {
            at: jiff::Timestamp::now(),
            level,
            reason: reason.into(),
            about: Reference { kind, name: name.clone() },
            host: None,
            message: message.into(),
        };
        tracing::info!(reason, %kind, %name, message = %event.message, "event");
        let mut waiting = self.waiting();
        if waiting.events.len() >= EVENTS_MAX {
            waiting.events.pop_front();
        }
        waiting.events.push_back(event);
        drop(waiting);
        self.wake.notify_one();
    }

    pub fn samples(&self, round: Vec<Sample>) {
        self.waiting().samples.push(round);
        self.wake.notify_one();
    }

    /// A server that has just been reached may know less than the one before.
    pub fn say_all_again(&self) {
        let mut waiting = self.waiting();
        waiting.samples.rewind();
        let said = std::mem::take(&mut waiting.said);
        for (key, report) in said {
            waiting.statuses.entry(key).or_insert(report);
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// The next report, and what of the samples is acknowledged with it.
    fn take(&self) -> Option<(HostReport, u64)> {
        let mut waiting = self.waiting();
        let mut room = if waiting.singly > 0 { 1 } else { usize::MAX };
        let mut fits = |count: usize| {
            let count = count.min(room);
            room -= count;
            count
        };
        let host = if fits(usize::from(waiting.host.is_some())) > 0 { waiting.host.take() } else { None };
        let count = fits(waiting.statuses.len().min(BATCH));
        let keys: Vec<_> = waiting.statuses.keys().take(count).cloned().collect();
        let statuses: Vec<StatusReport> =
            keys.iter().filter_map(|key| waiting.statuses.remove(key)).collect();
        for status in &statuses {
            waiting.said.insert((status.kind, status.name.clone()), status.clone());
        }
        let count = fits(waiting.events.len().min(BATCH / 2));
        let events: Vec<EventSpec> = waiting.events.drain(..count).collect();
        // They stay where they are until the server has them.
        let (samples, upto) = if fits(1) > 0 { waiting.samples.peek(BATCH) } else { (Vec::new(), 0) };
        waiting.singly = waiting.singly.saturating_sub(1);
        if statuses.is_empty() && events.is_empty() && host.is_none() && samples.is_empty() {
            waiting.singly = 0;
            return None;
        }
        Some((HostReport { host, statuses, events, samples }, upto))
    }

    fn put_back(&self, report: HostReport) {
        let mut waiting = self.waiting();
        for status in report.statuses {
            waiting.statuses.entry((status.kind, status.name.clone())).or_insert(status);
        }
        for event in report.events.into_iter().rev() {
            waiting.events.push_front(event);
        }
        waiting.host = waiting.host.take().or(report.host);
    }

    /// The server did not want to hear it. Of several things only one may be the reason: they are said again one by
    /// one. A thing alone is dropped, since saying it again would not help, and must not block the rest.
    fn refused(&self, report: HostReport, samples: u64) {
        let things = usize::from(report.host.is_some())
            + report.statuses.len()
            + report.events.len()
            + usize::from(!report.samples.is_empty());
        if things > 1 {
            self.put_back(report);
            self.waiting().singly = things;
            return;
        }
        let mut waiting = self.waiting();
        waiting.samples.acknowledge(samples);
        for status in &report.statuses {
            let key = (status.kind, status.name.clone());
            if waiting.said.get(&key) == Some(status) {
                waiting.said.remove(&key);
            }
        }
    }

    /// Reports for as long as the connection lasts. While one report is under way the next gathers by itself, so what
    /// happens alone waits for nobody and what happens together travels together.
    pub async fn run(self: Arc<Self>, client: Client, host: Name) {
        loop {
            let Some((report, samples)) = self.take() else {
                self.wake.notified().await;
                continue;
            };
            match client.report(host.as_str(), &report).await {
                Ok(()) => self.waiting().samples.acknowledge(samples),
                Err(error) if error.is_passing() || error.code() == Some("changed") => {
                    self.put_back(report);
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                Err(error) => {
                    let told = crate::Error::Client(error).told();
                    tracing::warn!(error = told, "the server refuses a report");
                    self.refused(report, samples);
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_told_last_is_known_before_and_after_the_server_has_it() {
        let (reporter, name, uid) = (Reporter::default(), Name::new("a").unwrap(), Uid::now_v7());
        let told = |reporter: &Reporter| reporter.told::<u32>(Kind::Disk, &name, uid);
        assert_eq!(told(&reporter), None);
        reporter.status(Kind::Disk, &name, uid, &1u32);
        assert_eq!(told(&reporter), Some(1));
        let (report, _) = reporter.take().unwrap();
        assert_eq!(told(&reporter), Some(1), "it is on its way");
        reporter.status(Kind::Disk, &name, uid, &1u32);
        assert!(reporter.take().is_none(), "it is said once");
        reporter.put_back(report);
        assert_eq!(reporter.take().unwrap().0.statuses.len(), 1, "it did not arrive");
        reporter.status(Kind::Disk, &name, uid, &2u32);
        assert_eq!(told(&reporter), Some(2));
        // Of another object with this name nothing was told.
        assert_eq!(reporter.told::<u32>(Kind::Disk, &name, Uid::now_v7()), None);
        reporter.forget(Kind::Disk, &name);
        assert_eq!(told(&reporter), None);
    }

    #[tokio::test]
    async fn of_what_is_refused_together_only_the_reason_is_dropped() {
        let (reporter, uid) = (Reporter::default(), Uid::now_v7());
        let names = ["a", "b", "c"].map(|name| Name::new(name).unwrap());
        for name in &names {
            reporter.status(Kind::Disk, name, uid, &1u32);
        }
        reporter.event(EventLevel::Info, "made", Kind::Disk, &names[0], "made");
        let (report, upto) = reporter.take().unwrap();
        assert_eq!((report.statuses.len(), report.events.len()), (3, 1));
        reporter.refused(report, upto);
        let mut heard = Vec::new();
        while let Some((report, upto)) = reporter.take() {
            assert_eq!(report.statuses.len() + report.events.len(), 1, "one by one");
            if report.statuses.first().is_some_and(|status| status.name == names[1]) {
                reporter.refused(report, upto);
            } else {
                heard.push(report);
            }
        }
        assert_eq!(heard.len(), 3, "{heard:?}");
        assert_eq!(reporter.told::<u32>(Kind::Disk, &names[1], uid), None);
        // What comes later travels together again.
        for name in &names[1..] {
            reporter.status(Kind::Disk, name, uid, &2u32);
        }
        assert_eq!(reporter.take().unwrap().0.statuses.len(), 2);
    }
}
