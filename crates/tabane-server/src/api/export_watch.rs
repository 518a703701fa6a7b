//! How far plain downloads are. A browser shows only that bytes come, and nothing of why none do.
//!
//! It lives as long as this process, as the downloads do, and is for whoever began the download alone.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex},
    time::{Duration, Instant},
};

use tabane_model::{
    Class, Problem, Uid,
    api::{ExportPhase, ExportState},
};

use crate::Error;

/// Who looks does so every second or so.
const KEPT: Duration = Duration::from_secs(600);
const WATCHED_MAX: usize = 1_000;

static WATCHED: LazyLock<Mutex<HashMap<(String, Uid), Entry>>> = LazyLock::new(Mutex::default);

struct Entry {
    state: ExportState,
    touched: Instant,
}

/// The state of one that this principal has begun; of others nothing is known here.
pub fn state(id: Uid, principal: &str) -> ExportState {
    let watched = WATCHED.lock().expect("no holder of this lock panics");
    watched.get(&(principal.to_owned(), id)).map(|entry| entry.state.clone()).unwrap_or_default()
}

/// Where a download writes how far it is; nowhere if nobody watches.
#[derive(Clone)]
pub struct Watch(Option<(String, Uid)>);

impl Watch {
    pub fn begin(id: Option<Uid>, principal: &str) -> Self {
        let Some(id) = id else { return Self(None) };
        let mut watched = WATCHED.lock().expect("no holder of this lock panics");
        watched.retain(|_, entry| entry.touched.elapsed() < KEPT);
        if watched.len() >= WATCHED_MAX {
            return Self(None);
        }
        drop(watched);
        let watch = Self(Some((principal.to_owned(), id)));
        watch.write(|state| *state = ExportState { phase: ExportPhase::Making, ..ExportState::default() });
        watch
    }

    fn write(&self, change: impl FnOnce(&mut ExportState)) {
        let Some(key) = &self.0 else { return };
        let mut watched = WATCHED.lock().expect("no holder of this lock panics");
        let new = || Entry { state: ExportState::default(), touched: Instant::now() };
        let entry = watched.entry(key.clone()).or_insert_with(new);
        entry.touched = Instant::now();
        change(&mut entry.state);
    }

    pub fn making(&self, fraction: f32) {
        self.write(|state| state.fraction = fraction);
    }

    /// Gives the error back, for the answer itself.
    pub fn failed(&self, problem: Problem) -> Error {
        self.write(|state| {
            state.phase = ExportPhase::Failed;
            state.problem = Some(problem.clone());
        });
        Error::Host(Box::new(problem))
    }

    pub fn sending(self, length_bytes: u64) -> Sending {
        self.write(|state| {
            (state.phase, state.fraction, state.length_bytes) =
                (ExportPhase::Sending, 1.0, Some(length_bytes));
        });
        Sending { watch: self, is_done: false }
    }
}

/// A body under way. One that is dropped before its end broke off.
pub struct Sending {
    watch: Watch,
    is_done: bool,
}

impl Sending {
    pub fn sent(&mut self, sent_bytes: u64) {
        self.watch.write(|state| state.sent_bytes = sent_bytes);
    }

    pub fn done(&mut self) {
        self.is_done = true;
        self.watch.write(|state| state.phase = ExportPhase::Done);
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.is_done {
            let problem = Problem::new(Class::Conflict, "export_broke_off", "the download broke off")
                .with_hint("try it again; if it stays so, look at the host agent's log");
            self.watch.failed(problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_is_followed_by_whoever_began_it_to_its_end_or_failure() {
        let id = Uid::now_v7();
        assert_eq!(state(id, "ada").phase, ExportPhase::Waiting);
        let watch = Watch::begin(Some(id), "ada");
        watch.making(0.5);
        assert_eq!((state(id, "ada").phase, state(id, "ada").fraction), (ExportPhase::Making, 0.5));
        assert_eq!(state(id, "bob").phase, ExportPhase::Waiting, "it is no one else's business");
        let mut sending = watch.clone().sending(10);
        sending.sent(4);
        assert_eq!((state(id, "ada").sent_bytes, state(id, "ada").length_bytes), (4, Some(10)));
        drop(sending);
        let broken = state(id, "ada");
        assert_eq!(broken.phase, ExportPhase::Failed);
        assert!(broken.problem.is_some_and(|problem| problem.code == "export_broke_off"));
        let mut sending = Watch::begin(Some(id), "ada").sending(10);
        sending.done();
        drop(sending);
        assert_eq!(state(id, "ada").phase, ExportPhase::Done);
        drop(Watch::begin(None, "ada").sending(1));
    }
}
