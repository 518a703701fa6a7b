//! Waiting for an object to come as far as somebody wants it.

use std::{str::FromStr, sync::Arc, time::Duration};

use tabane_model::{
    CloneOf, Disk, DiskPhase, Identity, Image, ImagePhase, Kind, Power, Snapshot, SnapshotPhase, VmPhase,
    planning::{CollectionPhase, PlanPhase, SurveyPhase},
};

use crate::{Error, Result, admit, app::App, cache::Object};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    Running,
    /// The guest agent answers.
    Agent,
    /// The guest agent answers, and the guest of a clone knows that it is a machine of its own.
    Identity,
    Stopped,
    Paused,
    Ready,
    /// The object is gone.
    Deleted,
    /// The host has seen the present spec.
    Observed,
}

impl FromStr for Until {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "running" => Self::Running,
            "agent" => Self::Agent,
            "identity" => Self::Identity,
            "stopped" => Self::Stopped,
            "paused" => Self::Paused,
            "ready" => Self::Ready,
            "deleted" => Self::Deleted,
            "observed" => Self::Observed,
            _ => {
                return Err(Error::fault(
                    "wait",
                    format!("{:?} is nothing to wait for", text.chars().take(20).collect::<String>()),
                    "use running, agent, identity, stopped, paused, ready, observed or deleted",
                ));
            }
        })
    }
}

impl Until {
    fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Agent => "an answer of the guest agent",
            Self::Identity => "an identity of its own",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
            Self::Ready => "ready",
            Self::Deleted => "deletion",
            Self::Observed => "its host",
        }
    }

    /// `Ok(true)` when reached, an error when it will not be reached any more.
    fn is_reached(self, object: &Object) -> Result<bool> {
        match object {
            Object::Vm(vm) => {
                let current = vm.status.observed_generation >= vm.meta.generation;
                if self == Self::Observed {
                    return Ok(current);
                }
                let failed = || {
                    let why = vm.status.conditions.iter().find(|c| !c.met && !c.message.is_empty());
                    Error::WaitFailed(why.map_or_else(|| "the VM failed".into(), |c| c.message.clone()))
                };
                if self != Self::Deleted && !admit::snapshot::is_reverted(vm) {
                    return Ok(false);
                }
                let phase = vm.status.phase;
                if current && phase == VmPhase::Failed && self != Self::Deleted {
                    return Err(failed());
                }
                let held = matches!(phase, VmPhase::Crashed | VmPhase::Stopped) && vm.spec.power == Power::On;
                if current
                    && held
                    && vm.status.last_exit.is_some()
                    && matches!(self, Self::Running | Self::Agent | Self::Identity)
                {
                    // Stopped although it is to be on: it is held, or waits for its next try.
                    let held = vm.status.conditions.iter().any(|c| c.kind == "power" && c.reason == "held");
                    if held {
                        return Err(failed());
                    }
                }
                Ok(match self {
                    Self::Running => phase == VmPhase::Running,
                    Self::Agent => {
                        phase == VmPhase::Running && vm.status.guest.as_ref().is_some_and(|g| g.agent)
                    }
                    Self::Identity => {
                        let renews = |c: &CloneOf| c.identity == Identity::Renew;
                        let renewed = vm.status.conditions.iter().any(|c| c.kind == "identity" && c.met);
                        Self::Agent.is_reached(object)?
                            && (renewed || !vm.spec.clone_of.as_ref().is_some_and(renews))
                    }
                    Self::Stopped => current && phase == VmPhase::Stopped,
                    Self::Paused => phase == VmPhase::Paused,
                    Self::Ready => current && !matches!(phase, VmPhase::Pending | VmPhase::Preparing),
                    Self::Deleted | Self::Observed => false,
                })
            }
            Object::Image(image) => self.ready(
                image.status.phase == ImagePhase::Ready,
                (image.status.phase == ImagePhase::Failed)
                    .then(|| message::<Image>(&image.status.conditions)),
            ),
            Object::Disk(disk) => self.ready(
                disk.status.phase == DiskPhase::Ready,
                (disk.status.phase == DiskPhase::Failed).then(|| message::<Disk>(&disk.status.conditions)),
            ),
            Object::Snapshot(snapshot) => self.ready(
                snapshot.status.phase == SnapshotPhase::Ready,
                (snapshot.status.phase == SnapshotPhase::Failed)
                    .then(|| message::<Snapshot>(&snapshot.status.conditions)),
            ),
            Object::Survey(survey) => self.ready(
                survey.status.phase == SurveyPhase::Ready,
                (survey.status.phase == SurveyPhase::Failed).then(|| survey.status.message.clone()),
            ),
            Object::Plan(plan) => self.ready(
                plan.status.phase == PlanPhase::Ready,
                (plan.status.phase == PlanPhase::Failed).then(|| plan.status.message.clone()),
            ),
            Object::Wave(wave) => self.ready(
                wave.spec.review == wave.status.reviewed,
                (wave.spec.review == wave.status.reviewed && !wave.status.message.is_empty())
                    .then(|| wave.status.message.clone()),
            ),
            Object::Collection(collection) => {
                let is_made = |name| collection.status.surveys.contains(name);
                let ended = collection.status.phase == CollectionPhase::Ended;
                let in_vain = ended && !is_made(&collection.meta.name);
                let made = !collection.spec.ended && collection.spec.survey.as_ref().is_some_and(is_made);
                let message = || collection.status.report.as_ref().map(|report| report.message.clone());
                self.ready(ended || made, in_vain.then(message).flatten())
            }
            Object::Host(host) => self.ready(host.status.phase == tabane_model::HostPhase::Ready, None),
            _ => Ok(self == Self::Ready),
        }
    }

    fn ready(self, ready: bool, failed: Option<String>) -> Result<bool> {
        match failed {
            Some(why) if self == Self::Ready => Err(Error::WaitFailed(why)),
            _ => Ok(self == Self::Ready && ready),
        }
    }
}

fn message<R: tabane_model::Resource>(conditions: &[tabane_model::Condition]) -> String {
    let why = conditions.iter().find(|c| !c.met && !c.message.is_empty());
    why.map_or_else(|| format!("the {} failed", R::KIND), |c| c.message.clone())
}

/// Whether the status is from before its host's agent connected, or that host is away: nobody knows how the VM is.
fn is_hearsay(app: &App, object: &Object, until: Until) -> bool {
    let Object::Vm(vm) = object else { return false };
    let Some(host) = vm.spec.host.as_ref().filter(|_| until != Until::Deleted) else { return false };
    !(app.streams.is_connected(host) && app.control.has_told(host, vm.meta.uid))
}

/// Waits; answers with the object as it then is (`None` when it is gone and that was waited for).
pub async fn wait(
    app: &Arc<App>,
    kind: Kind,
    name: &str,
    until: Until,
    timeout: Duration,
) -> Result<Option<Object>> {
    let mut revisions = app.cache.subscribe();
    let mut told_more = app.control.told_more();
    let reached = async {
        loop {
            match app.cache.any(kind, name) {
                None if until == Until::Deleted => return Ok(None),
                None => return Err(Error::Missing { kind, name: name.into() }),
                Some(object) => {
                    if !is_hearsay(app, &object, until) && until.is_reached(&object)? {
                        return Ok(Some(object));
                    }
                }
            }
            let gone = tokio::select! {
                changed = revisions.changed() => changed.is_err(),
                told = told_more.changed() => told.is_err(),
            };
            if gone {
                return Err(Error::Bug("the cache is gone".into()));
            }
        }
    };
    match tokio::time::timeout(timeout, reached).await {
        Ok(result) => result,
        Err(_) => Err(Error::WaitTimedOut {
            what: format!("{kind} {name} ({})", until.as_str()),
            seconds: timeout.as_secs(),
        }),
    }
}
