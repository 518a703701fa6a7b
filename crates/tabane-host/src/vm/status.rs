//! What is told of a VM.

use jiff::Timestamp;
use tabane_core::vm::{Cause, Hold, Observed, Process};
use tabane_model::{
    Condition, Identity, Kind, NicStatus, Power, Vm, VmDiskStatus, VmPhase, VmStatus, set_condition,
};

use super::{
    driver::Driver,
    obstacle::Obstacle,
    state::{Ended, Reason},
};

impl Driver {
    pub(super) fn publish(&mut self, vm: &Vm) {
        let status = self.status(vm);
        self.shared.reporter.status(Kind::Vm, &vm.meta.name, vm.meta.uid, &status);
    }

    fn status(&mut self, vm: &Vm) -> VmStatus {
        let now = Timestamp::now();
        let phase = self.phase(vm);
        let mut conditions: Vec<Condition> =
            self.conditions.take().unwrap_or_else(|| vm.status.conditions.clone());
        conditions.retain(|c| c.kind != "placed");
        self.conditions(vm, phase, &mut conditions, now);
        let guest = self.guest.clone();
        let hindered = self.obstacle.is_some();
        let storage_full = self.storage_full;
        let prepared_disks = self.prepared.as_ref().map(|p| p.disks.clone()).unwrap_or_default();
        let cdroms = self.media_told(vm);
        let (used_bytes, snapshot) = (self.layered_used_bytes(), self.current_snapshot());
        let state = self.state();
        let running = state.process.as_ref();
        if storage_full {
            let message = "a disk cannot be written; the guest waits";
            set_condition(&mut conditions, "storage", false, "io_error", message, now);
        } else {
            conditions.retain(|c| c.kind != "storage");
        }
        let status = VmStatus {
            // A spec that could not be made true yet has not been observed: who waits for it goes on waiting.
            observed_generation: if hindered && phase != VmPhase::Failed {
                vm.status.observed_generation.min(vm.meta.generation.saturating_sub(1))
            } else {
                vm.meta.generation
            },
            phase,
            conditions,
            pid: running.map(|r| r.process.pid),
            started_at: running.map(|r| r.started_at),
            pinned: state.pinned.clone(),
            restarts: state.restarts,
            resets: state.resets,
            last_exit: state.last_exit.as_ref().map(|e| describe(e.reason, &e.told)),
            cpus: running.map_or(0, |r| r.cpus),
            memory_bytes: running.map_or(0, |r| r.memory_bytes),
            nics: nics(vm, guest.as_ref()),
            cdroms,
            disks: prepared_disks
                .iter()
                .map(|(name, disk)| VmDiskStatus {
                    name: name.clone(),
                    size_bytes: disk.size_bytes,
                    used_bytes: used_bytes.get(name).copied().unwrap_or_default(),
                })
                .collect(),
            guest,
            released: state.released.as_ref().map(|r| r.id),
            reverted: state.reverted,
            snapshot,
            // Told by the host that it moves to.
            arrival: None,
        };
        self.conditions = Some(status.conditions.clone());
        status
    }

    fn phase(&mut self, vm: &Vm) -> VmPhase {
        let paused = vm.spec.power == Power::Paused;
        let connected = self.connected.is_some();
        let prepared = self.is_prepared(vm);
        let wants_on = Self::wants_on(vm);
        let Some(state) = &self.state else { return VmPhase::Pending };
        if vm.spec.moving.is_some() && state.process.is_none() {
            return VmPhase::Moving;
        }
        match (&state.process, wants_on && vm.spec.moving.is_none()) {
            (Some(_), false) => VmPhase::Stopping,
            (Some(_), true) if !connected => VmPhase::Starting,
            (Some(_), true) if paused => VmPhase::Paused,
            (Some(_), true) => VmPhase::Running,
            (None, on) => without_process(on, &self.obstacle, prepared, state.last_exit.as_ref()),
        }
    }

    fn conditions(&mut self, vm: &Vm, phase: VmPhase, conditions: &mut Vec<Condition>, now: Timestamp) {
        match &self.obstacle {
            Some(met) => set_condition(conditions, "ready", false, met.reason(), met.told(), now),
            None => conditions.retain(|c| c.kind != "ready"),
        }
        let held =
            matches!(phase, VmPhase::Crashed | VmPhase::Stopped) && Self::wants_on(vm) && self.is_held(vm);
        if held {
            let why = if phase == VmPhase::Crashed {
                "it crashed and is held"
            } else {
                "the guest shut itself down"
            };
            let message = format!("{why}; `tabane vm start {}` starts it again", vm.meta.name);
            set_condition(conditions, "power", false, "held", message, now);
        } else if phase == VmPhase::Crashed {
            let told = self.state.as_ref().and_then(|s| s.last_exit.as_ref()).map(|e| e.told.clone());
            let message =
                format!("it is started again soon; it crashed: {}", told.unwrap_or_default().trim());
            set_condition(conditions, "power", false, "restarting", message, now);
        } else {
            conditions.retain(|c| c.kind != "power");
        }
        self.identity_condition(vm, phase, conditions, now);
        let agent = self.guest.as_ref().is_some_and(|g| g.agent);
        if phase == VmPhase::Running {
            let (reason, message) = if agent {
                ("answers", "")
            } else {
                ("silent", "no answer from the guest agent: it may still be booting, or is not installed")
            };
            set_condition(conditions, "agent", agent, reason, message, now);
        } else {
            conditions.retain(|c| c.kind != "agent");
        }
    }

    /// Of a clone: whether its guest knows that it is a machine of its own.
    fn identity_condition(&self, vm: &Vm, phase: VmPhase, conditions: &mut Vec<Condition>, now: Timestamp) {
        let Some(origin) = self.likeness(vm).filter(|_| phase == VmPhase::Running) else {
            conditions.retain(|c| c.kind != "identity");
            let renews = vm.spec.clone_of.as_ref().is_some_and(|origin| origin.identity == Identity::Renew);
            if renews && self.likeness(vm).is_none() {
                set_condition(conditions, "identity", true, "renewed", "", now);
            }
            return;
        };
        let cut = if origin.memory { "; its nics are unplugged until then" } else { "" };
        let (reason, message) = match &self.renewal.failure {
            Some(told) => ("failed", format!("{told}{cut}; it is tried again")),
            None => {
                ("waiting", format!("the guest has not been told yet that it is a machine of its own{cut}"))
            }
        };
        set_condition(conditions, "identity", false, reason, message, now);
    }

    fn is_held(&self, vm: &Vm) -> bool {
        let Some(state) = &self.state else { return false };
        let Some(exit) = &state.last_exit else { return false };
        let seen = Observed {
            prepared: true,
            process: Process::Absent,
            last_exit: Some(tabane_core::vm::Exit { at: exit.at, cause: Cause::from(exit.reason) }),
            restarts: state.restarts,
            starts: state.starts,
            resets: state.resets,
            shutdown_asked_at: None,
            released: None,
            reverted: None,
            snapshot: None,
            layers: Default::default(),
            renewal: None,
        };
        tabane_core::vm::held(&vm.spec, &seen) == Hold::ForSomebody
    }
}

/// The phase of a VM that has no process.
fn without_process(
    wants_on: bool,
    obstacle: &Option<Obstacle>,
    prepared: bool,
    last_exit: Option<&Ended>,
) -> VmPhase {
    match (obstacle, wants_on) {
        (Some(_), _) if !prepared => VmPhase::Preparing,
        (Some(Obstacle::Failure(_)), true) => VmPhase::Failed,
        (_, true) => match last_exit.map(|e| e.reason) {
            Some(Reason::Crash) => VmPhase::Crashed,
            Some(Reason::GuestShutdown) => VmPhase::Stopped,
            _ if prepared => VmPhase::Starting,
            _ => VmPhase::Preparing,
        },
        (_, false) => VmPhase::Stopped,
    }
}

fn describe(reason: Reason, told: &str) -> String {
    let told: String = told.chars().filter(|c| !c.is_control() || *c == '\n').take(500).collect();
    match reason {
        Reason::Asked => "stopped as asked".into(),
        Reason::GuestShutdown => "the guest shut itself down".into(),
        Reason::HostLost => "the host went down".into(),
        Reason::Crash => format!("crashed: {}", told.trim()),
    }
}

/// The addresses that we gave, and those that the guest tells when there is one nic only to which they can belong.
fn nics(vm: &Vm, guest: Option<&tabane_model::Guest>) -> Vec<NicStatus> {
    let alone = vm.spec.nics.len() == 1;
    let told = guest.filter(|_| alone).map(|g| g.addresses.clone()).unwrap_or_default();
    let each = vm.spec.nics.iter().filter_map(|nic| {
        let mut addresses: Vec<std::net::IpAddr> = nic.address.into_iter().collect();
        addresses.extend(told.iter().filter(|a| Some(**a) != nic.address));
        Some(NicStatus { name: nic.name.clone(), mac: nic.mac?, addresses })
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn who_waits_has_not_failed() {
        let waiting = Some(Obstacle::of(&Error::NotYet("waiting for the snapshot base".into())));
        assert_eq!(without_process(true, &waiting, true, None), VmPhase::Starting);
        assert_eq!(without_process(true, &waiting, false, None), VmPhase::Preparing);
        assert_eq!(without_process(false, &waiting, true, None), VmPhase::Stopped);
        let failed = Some(Obstacle::of(&Error::unfit("no such device", "take another")));
        assert_eq!(without_process(true, &failed, true, None), VmPhase::Failed);
        assert_eq!(without_process(true, &failed, false, None), VmPhase::Preparing);
    }
}
