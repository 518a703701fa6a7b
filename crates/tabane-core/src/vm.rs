//! What a host does next with one of its VMs.
//!
//! ```text
//!            Prepare        Start           Resume
//!   nothing ────────► off ────────► prelaunch ────► running ◄──► paused
//!                      ▲                               │
//!                      │  Shutdown … Kill / it ends    │
//!                      └───────────────────────────────┘
//! ```
//!
//! [`decide`] is told what is wanted and what is there, not what changed. It answers with one step; the host takes
//! it, looks again and asks again. So a restart of the agent, a retry and the ordinary way are the same code.
//! Invariant: while a process of the VM is alive, or may be, no `Start` is ever decided.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use tabane_model::{CdDrive, DiskLimits, Name, OnCrash, Power, Revert, Uid, VmDisk, VmSpec};

/// What the host sees of a VM.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Disks, seed and network are there for the present spec.
    pub prepared: bool,
    pub process: Process,
    /// How its last process ended, if one ever ran.
    pub last_exit: Option<Exit>,
    /// Restarts after crashes since it last ran for long.
    pub restarts: u32,
    /// `spec.starts` as it was at the last start.
    pub starts: u32,
    /// Resets done, on the count of `spec.resets`.
    pub resets: u32,
    /// When the guest was asked to shut down, if it was.
    pub shutdown_asked_at: Option<Timestamp>,
    /// The move for which this host has let go of the VM.
    pub released: Option<Uid>,
    /// The last revert that was done.
    pub reverted: Option<Uid>,
    /// What is to be done about its snapshots next.
    pub snapshot: Option<Due>,
    pub layers: Layering,
    /// When to work on the identity of a clone whose guest still takes itself for another machine, and can be told.
    pub renewal: Option<Timestamp>,
}

/// What a snapshot waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// To be taken.
    Take(Uid),
    /// To be let go of.
    Forget(Uid),
}

/// How the layers of its disks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layering {
    #[default]
    Settled,
    /// They can be fewer; `at` is when to work on it, or to look how far that work is.
    Tidy { at: Timestamp },
    /// Something was cut short: what is on disk and what QEMU does may differ, until that is settled.
    Unsettled,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Process {
    Absent,
    Alive(Machine),
}

/// A living QEMU.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    pub run: Run,
    pub cpus: u32,
    pub memory_bytes: u64,
    pub disks: BTreeSet<Name>,
    pub nics: BTreeSet<Name>,
    /// Its CD drives, and what is in each.
    pub cdroms: BTreeMap<Name, Medium>,
    /// Of disks that have any.
    pub limits: BTreeMap<Name, DiskLimits>,
}

/// What is in a CD drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Medium {
    Nothing,
    Image(Name),
    /// Something that no image that is wanted stands for any more.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// Created and not begun.
    Prelaunch,
    Running,
    /// Stopped by us.
    Paused,
    /// Stopped by QEMU: a disk could not be written. `retry_at` is when to try again.
    IoError {
        retry_at: Timestamp,
    },
    /// The guest's kernel gave up.
    Panicked,
    /// The guest has shut down; QEMU waits to be ended.
    Shutdown,
    /// On its way from one state into another, soon.
    Passing,
    /// It does not answer, or is busy with something of its own: leave it alone.
    Busy,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Exit {
    pub at: Timestamp,
    pub cause: Cause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// We shut it down or killed it, because the spec says off.
    Asked,
    /// The guest shut itself down.
    GuestShutdown,
    /// QEMU or the guest failed.
    Crash,
    /// The host went down with it.
    HostLost,
}

/// One step. Each is idempotent: taken twice, the second does nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make disks, seed and network ready.
    Prepare,
    Start,
    Resume,
    Pause,
    Reset,
    /// Ask the guest, by its agent or by the power button.
    Shutdown,
    /// End the process. `Cause` is what is written down as the reason.
    Kill(Cause),
    PlugCpus(u32),
    PlugMemory(u64),
    PlugDisk(Name),
    UnplugDisk(Name),
    PlugNic(Name),
    UnplugNic(Name),
    /// Set the limits of a disk that is there.
    LimitDisk(Name),
    /// Take out of a CD drive what is in it, and put in what is wanted.
    ChangeMedium(Name),
    /// Bring the disks, and the memory, back to what a snapshot holds.
    Revert(Revert),
    Snapshot(Due),
    /// Settle or shorten the layers of its disks; it only begins what takes long.
    Tidy,
    /// Let the guest become a machine of its own; it only begins what takes long.
    Renew,
    /// Let go of the VM for a move: from then on it is not started here any more.
    Release(Uid),
    /// Remove every trace of the VM.
    CleanUp,
    /// Nothing to do before this time, unless something changes.
    Wait(Timestamp),
}

/// How long to wait before restart `n` (1, 2, …): 1 s, doubling to 5 minutes.
pub fn backoff(restarts: u32) -> SignedDuration {
    SignedDuration::from_secs(1i64 << restarts.saturating_sub(1).min(9)).min(SignedDuration::from_secs(300))
}

/// A VM that ran this long starts its back-off anew.
pub const STEADY_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// How soon to look again at what is on its way.
const PASSING: SignedDuration = SignedDuration::from_millis(50);

/// The next step, or `None` when everything is as it should be.
pub fn decide(spec: &VmSpec, deleting: bool, seen: &Observed, now: Timestamp) -> Option<Step> {
    match (&seen.process, deleting) {
        (Process::Alive(_), true) => Some(Step::Kill(Cause::Asked)),
        (Process::Absent, true) => Some(Step::CleanUp),
        (Process::Absent, false) => match &spec.moving {
            Some(moving) if seen.released == Some(moving.id) => None,
            // A disk travels as one file, so its layers are merged before.
            Some(moving) => tidy(seen, now).or(Some(Step::Release(moving.id))),
            None => decide_off(spec, seen, now),
        },
        // What the guest does from here on is not wanted any more.
        (Process::Alive(_), false) if revert(spec, seen).is_some() => Some(Step::Kill(Cause::Asked)),
        (Process::Alive(machine), false) => match wanted(spec) {
            Power::ForcedOff => Some(Step::Kill(Cause::Asked)),
            Power::Off => decide_stopping(spec, seen, machine, now),
            Power::On | Power::Paused => decide_running(spec, seen, machine, now),
        },
    }
}

/// The power that is wanted here: a VM that moves is off.
fn wanted(spec: &VmSpec) -> Power {
    match (&spec.moving, spec.power) {
        (Some(_), Power::On | Power::Paused) => Power::Off,
        (_, power) => power,
    }
}

/// The revert that is asked for and not done.
fn revert<'a>(spec: &'a VmSpec, seen: &Observed) -> Option<&'a Revert> {
    spec.revert.as_ref().filter(|revert| seen.reverted != Some(revert.id))
}

/// Nothing runs: prepare, start, wait, or leave it.
fn decide_off(spec: &VmSpec, seen: &Observed, now: Timestamp) -> Option<Step> {
    if !seen.prepared {
        return Some(Step::Prepare);
    }
    if seen.layers == Layering::Unsettled {
        return Some(Step::Tidy);
    }
    if let Some(revert) = revert(spec, seen) {
        return Some(Step::Revert(revert.clone()));
    }
    if let Some(due) = seen.snapshot {
        return Some(Step::Snapshot(due));
    }
    if !matches!(spec.power, Power::On | Power::Paused) {
        return tidy(seen, now);
    }
    match held(spec, seen) {
        Hold::No => Some(Step::Start),
        Hold::Until(at) if at <= now => Some(Step::Start),
        Hold::Until(at) => Some(Step::Wait(at)),
        Hold::ForSomebody => tidy(seen, now),
    }
}

/// What can be done when nothing else is to be done.
fn tidy(seen: &Observed, now: Timestamp) -> Option<Step> {
    match seen.layers {
        Layering::Settled => None,
        Layering::Tidy { at } if at > now => Some(Step::Wait(at)),
        Layering::Tidy { .. } | Layering::Unsettled => Some(Step::Tidy),
    }
}

/// Whether a VM that is to be on, and is not, has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    No,
    Until(Timestamp),
    /// Somebody has to ask for a start.
    ForSomebody,
}

pub fn held(spec: &VmSpec, seen: &Observed) -> Hold {
    let Some(exit) = &seen.last_exit else { return Hold::No };
    if seen.starts < spec.starts {
        return Hold::No;
    }
    match (exit.cause, spec.on_crash) {
        (Cause::Asked | Cause::HostLost, _) => Hold::No,
        (Cause::GuestShutdown, _) | (Cause::Crash, OnCrash::Hold) => Hold::ForSomebody,
        (Cause::Crash, OnCrash::Restart) => Hold::Until(exit.at + backoff(seen.restarts + 1)),
    }
}

/// It runs and is to be off.
fn decide_stopping(spec: &VmSpec, seen: &Observed, machine: &Machine, now: Timestamp) -> Option<Step> {
    match machine.run {
        // These have no guest that could hear the question.
        Run::Prelaunch | Run::Panicked | Run::Shutdown => return Some(Step::Kill(Cause::Asked)),
        // A paused guest hears nothing: let it go on, then ask.
        Run::Paused if seen.layers == Layering::Unsettled => return Some(Step::Tidy),
        Run::Paused => return Some(Step::Resume),
        Run::Passing => return Some(Step::Wait(now + PASSING)),
        Run::Running | Run::IoError { .. } | Run::Busy => {}
    }
    let Some(asked_at) = seen.shutdown_asked_at else { return Some(Step::Shutdown) };
    let deadline = asked_at + SignedDuration::from_secs(spec.shutdown.timeout_s.into());
    match (now < deadline, spec.shutdown.force) {
        (true, _) => Some(Step::Wait(deadline)),
        (false, true) => Some(Step::Kill(Cause::Asked)),
        (false, false) => None,
    }
}

/// It runs, and is to be on or paused.
fn decide_running(spec: &VmSpec, seen: &Observed, machine: &Machine, now: Timestamp) -> Option<Step> {
    let paused = spec.power == Power::Paused;
    if seen.layers == Layering::Unsettled && !matches!(machine.run, Run::Busy | Run::Passing) {
        return Some(Step::Tidy);
    }
    // Limits hold from the guest's first request on.
    if matches!(machine.run, Run::Paused | Run::Prelaunch)
        && let Some(step) = decide_limits(spec, machine)
    {
        return Some(step);
    }
    match machine.run {
        Run::Busy => return None,
        Run::Passing => return Some(Step::Wait(now + PASSING)),
        Run::Shutdown => return Some(Step::Kill(Cause::GuestShutdown)),
        Run::Panicked => {
            return match spec.on_crash {
                OnCrash::Restart => Some(Step::Kill(Cause::Crash)),
                OnCrash::Hold if seen.starts < spec.starts => Some(Step::Kill(Cause::Crash)),
                OnCrash::Hold => None,
            };
        }
        Run::IoError { retry_at } if retry_at > now => return Some(Step::Wait(retry_at)),
        Run::IoError { .. } => return (!paused).then_some(Step::Resume),
        Run::Running if paused => return Some(Step::Pause),
        Run::Paused if !paused => return Some(Step::Resume),
        Run::Prelaunch if !paused => return Some(Step::Resume),
        Run::Prelaunch | Run::Running | Run::Paused => {}
    }
    if seen.resets < spec.resets {
        return Some(Step::Reset);
    }
    // A snapshot is of all that the VM has, so devices come first.
    let snapshot = seen.snapshot.filter(|_| machine.run != Run::Prelaunch).map(Step::Snapshot);
    decide_devices(spec, machine).or(snapshot).or_else(|| in_passing(seen, machine, now))
}

/// Work beside which the guest goes on.
fn in_passing(seen: &Observed, machine: &Machine, now: Timestamp) -> Option<Step> {
    let renewal = seen.renewal.filter(|_| machine.run == Run::Running);
    let renew = renewal.map(|at| if at > now { Step::Wait(at) } else { Step::Renew });
    match (renew, tidy(seen, now)) {
        (Some(Step::Wait(one)), Some(Step::Wait(other))) => Some(Step::Wait(one.min(other))),
        (Some(Step::Wait(_)), Some(other)) => Some(other),
        (Some(step), _) => Some(step),
        (None, step) => step,
    }
}

/// Devices that are missing or too many. Removing comes first: what is added may want the same place.
fn decide_devices(spec: &VmSpec, machine: &Machine) -> Option<Step> {
    let gone = |have: &BTreeSet<Name>, want: &mut dyn Iterator<Item = &Name>| {
        let want: BTreeSet<&Name> = want.collect();
        have.iter().find(|name| !want.contains(name)).cloned()
    };
    if let Some(name) = gone(&machine.disks, &mut spec.disks.iter().map(|d| &d.name)) {
        return Some(Step::UnplugDisk(name));
    }
    if let Some(name) = gone(&machine.nics, &mut spec.nics.iter().map(|n| &n.name)) {
        return Some(Step::UnplugNic(name));
    }
    if let Some(disk) = spec.disks.iter().find(|d| !machine.disks.contains(&d.name)) {
        return Some(Step::PlugDisk(disk.name.clone()));
    }
    if let Some(nic) = spec.nics.iter().find(|n| !machine.nics.contains(&n.name)) {
        return Some(Step::PlugNic(nic.name.clone()));
    }
    if let Some(step) = decide_limits(spec, machine) {
        return Some(step);
    }
    // Drives themselves come and go with a start; what is in them changes at any time.
    let wrong = |drive: &&CdDrive| {
        let wanted = drive.image.clone().map_or(Medium::Nothing, Medium::Image);
        machine.cdroms.get(&drive.name).is_some_and(|medium| *medium != wanted)
    };
    if let Some(drive) = spec.cdroms.iter().find(wrong) {
        return Some(Step::ChangeMedium(drive.name.clone()));
    }
    // CPUs and memory only grow while it runs; less of them comes with the next start.
    if machine.cpus < spec.cpus {
        return Some(Step::PlugCpus(spec.cpus));
    }
    if machine.memory_bytes < spec.memory_bytes {
        return Some(Step::PlugMemory(spec.memory_bytes));
    }
    None
}

/// The first disk that is there and has other limits than it is to have.
fn decide_limits(spec: &VmSpec, machine: &Machine) -> Option<Step> {
    let wrong = |disk: &&VmDisk| {
        machine.disks.contains(&disk.name)
            && machine.limits.get(&disk.name).copied().unwrap_or_default() != disk.limits
    };
    spec.disks.iter().find(wrong).map(|disk| Step::LimitDisk(disk.name.clone()))
}

#[cfg(test)]
mod tests;
