//! Lets the guest of a clone become a machine of its own, by its agent.
//!
//! ```text
//!   agent answers ─► renew.sh: random numbers, machine-id, name, keys, MACs ─► cables in ─► network.sh: addresses ─► written down
//!                      └─ cut short anywhere: from the beginning, which does no harm
//! ```
//!
//! Invariant: a clone that began with the memory of another machine reaches no network before it is told who it is: it
//! would answer to that machine's MAC and address.

mod reseed;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tabane_model::{CloneOf, EventLevel, Identity, Kind, Vm};
use tabane_qemu::{
    agent::{Agent, Input, Output, Program},
    hotplug,
    qmp::Qmp,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::JoinHandle,
};

use super::driver::Driver;
use crate::{Error, Result, network};

const RENEW: &str = include_str!("identity/renew.sh");
const NETWORK: &str = include_str!("identity/network.sh");
/// Keys are made slowly where processors are emulated and many guests make them at once.
const RENEW_TIMEOUT: Duration = Duration::from_secs(600);
const NETWORK_TIMEOUT: Duration = Duration::from_secs(120);
const RETRY: SignedDuration = SignedDuration::from_secs(20);
/// Work under way wakes us when it is done.
const LOOK: SignedDuration = SignedDuration::from_secs(60);
/// The last line of both scripts.
const DONE: &str = "done: yes";
const LINES_MAX: usize = 64;

/// Guests that make keys at the same time make all of them wait, and those that only just begin as well.
const AT_ONCE_PER_CPU: usize = 2;
/// A guest that takes its time stands in nobody's way for longer.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);

/// Lets few guests work on their identities at the same time.
pub struct Turns(Semaphore);

impl Default for Turns {
    fn default() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self(Semaphore::new(cpus * AT_ONCE_PER_CPU))
    }
}

impl Turns {
    /// Until this is dropped others wait, but not for ever.
    async fn take(&self) -> Option<SemaphorePermit<'_>> {
        tokio::time::timeout(TURN_TIMEOUT, self.0.acquire()).await.ok()?.ok()
    }
}

/// The work on a guest's identity.
#[derive(Default)]
pub(super) struct Renewal {
    work: Option<JoinHandle<Result<Vec<String>>>>,
    /// When to look again.
    at: Option<Timestamp>,
    pub failure: Option<String>,
}

/// What the scripts are told.
struct Told {
    renew: Vec<String>,
    network: Vec<String>,
    nics: Vec<String>,
}

impl Driver {
    /// What the VM was copied from, if its guest still takes itself for that.
    pub(super) fn likeness<'a>(&self, vm: &'a Vm) -> Option<&'a CloneOf> {
        let renewed = self.state.as_ref().is_some_and(|state| state.renewed);
        vm.spec.clone_of.as_ref().filter(|origin| origin.identity == Identity::Renew && !renewed)
    }

    /// When to work on the guest's identity.
    pub(super) fn renewal_due(&self, vm: &Vm) -> Option<Timestamp> {
        self.likeness(vm)?;
        if self.renewal.work.as_ref().is_some_and(JoinHandle::is_finished) {
            return Some(Timestamp::UNIX_EPOCH);
        }
        let answers = self.guest.as_ref().is_some_and(|guest| guest.agent);
        (answers || self.renewal.work.is_some()).then(|| self.renewal.at.unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// Pulls the cables of a guest that must not be heard yet. Done before it goes on, each time.
    pub(super) async fn cut_off(&self, vm: &Vm) -> Result<()> {
        if self.likeness(vm).is_some_and(|origin| origin.memory) {
            for nic in &vm.spec.nics {
                hotplug::set_link(self.qmp()?, nic.name.as_str(), false).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn renew(&mut self, vm: &Vm) -> Result<()> {
        let Some(origin) = self.likeness(vm).cloned() else { return Ok(()) };
        self.renewal.at = Some(Timestamp::now() + LOOK);
        match self.renewal.work.take() {
            Some(work) if work.is_finished() => {
                let done = work.await.map_err(|e| Error::Stream(format!("it was cut short: {e}")));
                self.renewed(done.and_then(|done| done))
            }
            Some(work) => {
                self.renewal.work = Some(work);
                Ok(())
            }
            None => self.begin_to_renew(vm, &origin),
        }
    }

    fn begin_to_renew(&mut self, vm: &Vm, origin: &CloneOf) -> Result<()> {
        let connected =
            self.connected.as_ref().ok_or_else(|| Error::NotYet("QEMU does not answer".into()))?;
        let (agent, qmp, wake) = (connected.agent.clone(), connected.qmp.clone(), self.handle.wake.clone());
        let (told, shared) = (self.told(vm, origin), self.shared.clone());
        self.renewal.work = Some(tokio::spawn(async move {
            let done = run(&agent, &qmp, told, &shared.turns).await;
            wake.notify_one();
            done
        }));
        Ok(())
    }

    fn renewed(&mut self, done: Result<Vec<String>>) -> Result<()> {
        match done {
            Ok(lines) => {
                self.state().renewed = true;
                self.save()?;
                self.renewal = Renewal::default();
                let told = format!("the guest is a machine of its own: {}", lines.join("; "));
                self.shared.reporter.event(EventLevel::Info, "identity_renewed", Kind::Vm, &self.name, told);
                // It has another name, and other addresses.
                self.guest_asked_at = std::time::Instant::now().checked_sub(self.guest_poll());
            }
            Err(error) => {
                self.renewal.at = Some(Timestamp::now() + RETRY);
                let told = format!("the guest cannot be told who it is: {}", error.told());
                if self.renewal.failure.replace(told.clone()).as_ref() != Some(&told) {
                    let reporter = &self.shared.reporter;
                    reporter.event(EventLevel::Warning, "identity_not_renewed", Kind::Vm, &self.name, told);
                }
            }
        }
        Ok(())
    }

    fn told(&self, vm: &Vm, origin: &CloneOf) -> Told {
        let hostname = vm.spec.init.hostname.as_deref().unwrap_or(vm.meta.name.as_str());
        let (mut pairs, mut places) = (Vec::new(), Vec::new());
        for nic in &vm.spec.nics {
            let Some(mac) = nic.mac else { continue };
            if let Some(was) = origin.macs.get(&nic.name) {
                pairs.push(format!("{was},{mac}"));
            }
            let place = network::address_in(&self.shared.objects, nic);
            places.push(
                place.map_or_else(|| mac.to_string(), |(net, gateway)| format!("{mac},{net},{gateway}")),
            );
        }
        let was = origin.vm.unwrap_or_default();
        Told {
            renew: vec![
                format!("name={hostname}"),
                format!("id={}", vm.meta.uid.simple()),
                format!("instance={was} {}", vm.meta.uid),
                format!("nics={}", pairs.join(" ")),
            ],
            network: vec![format!("nics={}", places.join(" "))],
            nics: vm.spec.nics.iter().map(|nic| nic.name.to_string()).collect(),
        }
    }
}

async fn run(agent: &Agent, qmp: &Qmp, told: Told, turns: &Turns) -> Result<Vec<String>> {
    let random: [u8; reseed::RANDOM_BYTES] = rand::random();
    let mut renew = script(RENEW, told.renew);
    renew.input = Input::Bytes(reseed::program(random));
    let turn = turns.take().await;
    let mut lines = said(agent.run_to_end(&renew, RENEW_TIMEOUT).await?)?;
    drop(turn);
    for nic in &told.nics {
        hotplug::set_link(qmp, nic, true).await?;
    }
    lines.extend(said(agent.run_to_end(&script(NETWORK, told.network), NETWORK_TIMEOUT).await?)?);
    Ok(lines)
}

fn script(text: &str, environment: Vec<String>) -> Program {
    let mut program = Program::new("/bin/sh", ["-c", text]);
    program.environment = environment;
    program
}

/// The lines of a script that came to its end. The guest is a stranger: they are shortened, cleaned, and shown only.
fn said(output: Output) -> Result<Vec<String>> {
    let clean = |bytes: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(bytes);
        let lines = text.lines().map(|l| l.chars().filter(|c| !c.is_control()).take(120).collect::<String>());
        lines.filter(|l| !l.is_empty()).take(LINES_MAX).collect()
    };
    let mut lines = clean(&output.stdout);
    if lines.last().is_some_and(|last| last == DONE) {
        lines.pop();
        return Ok(lines);
    }
    let last = clean(&output.stderr).pop().or_else(|| lines.pop());
    let told = last.unwrap_or_else(|| "it said nothing".into());
    Err(Error::Stream(format!("the steps in the guest did not come to their end: {told}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(stdout: &str) -> Output {
        Output { stdout: stdout.into(), stderr: b"sh: no such thing\n".to_vec(), ..Output::default() }
    }

    #[test]
    fn only_a_script_that_came_to_its_end_is_believed() {
        assert_eq!(said(output("mac: eth0\n\x1b[1mid\ndone: yes\n")).unwrap(), ["mac: eth0", "[1mid"]);
        for text in ["", "mac: eth0\n", "done: yes\nmac: eth0\n"] {
            let told = said(output(text)).unwrap_err().told();
            assert!(told.contains("no such thing"), "{told}");
        }
        let endless = "x: y\n".repeat(10_000) + DONE;
        assert!(said(output(&endless)).is_err());
    }
}
