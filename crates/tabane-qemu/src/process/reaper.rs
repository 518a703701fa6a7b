//! One thread takes the exit statuses of the children that we started, so that none of them stays a zombie.
//!
//! It waits for exactly the processes of [`super::Launch`] and leaves every other child of this program alone, which
//! others (the standard library, tokio) wait for themselves.
//!
//! Invariant: the status is published before anybody who waits for the child is woken.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};
use tokio::sync::watch;

use super::id::{ExitStatus, ProcessId};
use crate::{Error, Result};

/// So many ends are remembered for those who ask late.
const ENDED_MAX: usize = 1024;

#[derive(Default)]
struct Children {
    running: HashMap<ProcessId, watch::Sender<Option<ExitStatus>>>,
    ended: VecDeque<(ProcessId, ExitStatus)>,
}

struct Reaper {
    epoll: OwnedFd,
    /// Keyed by the pidfd's number, which epoll reports.
    watched: Mutex<HashMap<u64, (OwnedFd, ProcessId)>>,
    children: Mutex<Children>,
}

static REAPER: OnceLock<Reaper> = OnceLock::new();

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread if there is none yet. Called before a child is made, so that a child never lacks its reaper.
pub(super) fn prepare() -> Result<()> {
    static STARTING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = lock(&STARTING);
    if REAPER.get().is_some() {
        return Ok(());
    }
    let system = |action| move |source: std::io::Error| Error::System { action, source };
    let epoll = rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC)
        .map_err(|errno| system("make an epoll")(errno.into()))?;
    let _ = REAPER.set(Reaper { epoll, watched: Mutex::default(), children: Mutex::default() });
    std::thread::Builder::new()
        .name("qemu-reaper".into())
        .stack_size(128 << 10)
        .spawn(|| REAPER.get().expect("it was set before the thread was started").run())
        .map_err(system("start the reaper"))?;
    Ok(())
}

/// Takes over the waiting for a child of ours.
pub(super) fn adopt(id: ProcessId) -> Result<()> {
    let reaper = REAPER.get().expect("prepare was called before the child was made");
    let system = |action| move |errno: rustix::io::Errno| Error::System { action, source: errno.into() };
    let pid = i32::try_from(id.pid).ok().and_then(Pid::from_raw).ok_or(Error::ProcessGone { pid: id.pid })?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(system("open a pidfd"))?;
    lock(&reaper.children).running.insert(id, watch::Sender::new(None));
    let key = pidfd.as_raw_fd() as u64;
    let mut watched = lock(&reaper.watched);
    let data = rustix::event::epoll::EventData::new_u64(key);
    let added = rustix::event::epoll::add(&reaper.epoll, &pidfd, data, rustix::event::epoll::EventFlags::IN);
    if let Err(errno) = added {
        lock(&reaper.children).running.remove(&id);
        return Err(system("watch a pidfd")(errno));
    }
    watched.insert(key, (pidfd, id));
    Ok(())
}

/// Waits for the end of a process if it is or was a child of ours; `None` if it is not.
pub(super) async fn status_of_child(id: ProcessId) -> Option<ExitStatus> {
    let mut watcher = {
        let children = lock(&REAPER.get()?.children);
        match children.running.get(&id) {
            Some(sender) => sender.subscribe(),
            None => return children.ended.iter().find(|(ended, _)| *ended == id).map(|(_, status)| *status),
        }
    };
    watcher.wait_for(Option::is_some).await.ok().and_then(|status| *status)
}

impl Reaper {
    fn run(&self) {
        let mut events = Vec::with_capacity(64);
        loop {
            events.clear();
            match rustix::event::epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => {
                    tracing::error!(%errno, "the reaper cannot wait for processes");
                    std::thread::sleep(std::time::Duration::from_secs(1));
                }
            }
            for event in &events {
                self.reap(event.data.u64());
            }
        }
    }

    fn reap(&self, key: u64) {
        let mut watched = lock(&self.watched);
        let Some((pidfd, id)) = watched.get(&key) else { return };
        let status = match rustix::process::waitid(
            WaitId::PidFd(pidfd.as_fd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        ) {
            // Not yet after all.
            Ok(None) => return,
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Some(ExitStatus::Code(code)),
                (None, Some(signal)) => Some(ExitStatus::Signal(signal)),
                (None, None) => None,
            },
            Err(rustix::io::Errno::INTR) => return,
            // Somebody else waited for our child; it is gone all the same.
            Err(errno) => {
                tracing::warn!(pid = id.pid, %errno, "the exit status of a child is lost");
                None
            }
        };
        let id = *id;
        let _ = rustix::event::epoll::delete(&self.epoll, pidfd);
        watched.remove(&key);
        drop(watched);

        let mut children = lock(&self.children);
        let sender = children.running.remove(&id);
        if let Some(status) = status {
            if children.ended.len() >= ENDED_MAX {
                children.ended.pop_front();
            }
            children.ended.push_back((id, status));
            if let Some(sender) = sender {
                sender.send_replace(Some(status));
            }
        }
    }
}
