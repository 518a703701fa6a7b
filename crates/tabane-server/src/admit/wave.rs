//! Waves: who may go on is told by the waves before it and by its gates.

use std::sync::Arc;

use tabane_model::{
    Survey, Verdict,
    planning::{Plan, PlanPhase, Wave, WaveState},
};

use super::{Admit, Removal, chain, referred};
use crate::{Error, Result, app::App, commit::Change};

impl Admit for Wave {
    /// What it may do depends on others.
    fn must_be_alone(old: Option<&Self>, new: &tabane_model::planning::WaveSpec) -> bool {
        old.is_none_or(|old| old.spec.state != new.state)
    }

    fn admit(app: &Arc<App>, old: Option<&Self>, new: &mut Self, change: &mut Change<'_>) -> Result<()> {
        let plan = referred::<Plan>(app, "spec.plan", &new.spec.plan, change)?;
        if let Some(review) = &new.spec.review {
            referred::<Survey>(app, "spec.review.measured", &review.measured, change)?;
        }
        let before = old.map_or(WaveState::Planned, |old| old.spec.state);
        match old {
            Some(old) if (&old.spec.plan, &old.spec.wave) != (&new.spec.plan, &new.spec.wave) => {
                let hint = "make another one for another wave";
                return Err(Error::fault("spec.wave", "a wave does not become another", hint));
            }
            Some(_) => {}
            None => is_new(app, &plan, new)?,
        }
        if old.is_some_and(|old| old.spec.review != new.spec.review)
            && !matches!(before, WaveState::Running | WaveState::Stopped)
        {
            return Err(wrong_state(format!("it is {before}"), "a wave is reviewed while it runs"));
        }
        if before == new.spec.state {
            return Ok(());
        }
        if !before.may_become(new.spec.state) {
            let detail = format!("a wave that is {before} does not become {}", new.spec.state);
            return Err(wrong_state(detail, "see docs/reference/planning.md for what follows what"));
        }
        match new.spec.state {
            WaveState::Running => may_run(app, &plan, new),
            WaveState::Done => is_passed(new),
            WaveState::RolledBack => is_last(app, &plan, new),
            WaveState::Planned | WaveState::Stopped => Ok(()),
        }
    }

    fn remove(app: &Arc<App>, wave: &Self, _: &mut Change<'_>) -> Result<Removal> {
        let name = &wave.meta.name;
        if wave.spec.state == WaveState::Running {
            return Err(Error::InUse {
                detail: format!("the wave {name} runs"),
                hint: "bring it to an end first".into(),
            });
        }
        if let Some(plan) = app.cache.get::<Plan>(wave.spec.plan.as_str()) {
            is_last(app, &plan, wave)?;
        }
        Ok(Removal::Now)
    }
}

fn wrong_state(detail: String, hint: &str) -> Error {
    Error::Refused { code: "wave_state", detail, hint: hint.into() }
}

pub(super) fn not_its_turn(detail: String, hint: &str) -> Error {
    Error::Refused { code: "wave_turn", detail, hint: hint.into() }
}

fn not_passed(detail: String, hint: &str) -> Error {
    Error::Refused { code: "gates_not_passed", detail, hint: hint.into() }
}

/// The waves of a plan, in its order.
fn order(plan: &Plan) -> impl Iterator<Item = &str> {
    plan.status.summary.iter().flat_map(|summary| &summary.waves).map(String::as_str)
}

fn of<'a>(waves: &'a [Arc<Wave>], name: &str) -> Option<&'a Arc<Wave>> {
    waves.iter().find(|wave| wave.spec.wave == name)
}

pub(super) fn waves(app: &App, plan: &Plan) -> Vec<Arc<Wave>> {
    let of_plan = |wave: &Wave| wave.spec.plan == plan.meta.name;
    app.cache.list::<Wave>(None, usize::MAX, of_plan).0
}

fn is_new(app: &App, plan: &Plan, new: &Wave) -> Result<()> {
    if plan.status.phase != PlanPhase::Ready {
        let detail = format!("the plan {} is {}", plan.meta.name, plan.status.phase);
        let hint = "wait until it is ready".into();
        return Err(Error::Refused { code: "plan_not_ready", detail, hint });
    }
    if !order(plan).any(|known| known == new.spec.wave) {
        let known: Vec<&str> = order(plan).collect();
        let hint = format!("it has {}", known.join(", "));
        return Err(Error::fault("spec.wave", "the plan has no such wave", hint));
    }
    if chain::inherited(app, plan).contains(&new.spec.wave) {
        let hint = "it was carried out by the plan before";
        return Err(Error::fault("spec.wave", "this wave is over", hint));
    }
    if let Some(other) = of(&waves(app, plan), &new.spec.wave) {
        return Err(Error::InUse {
            detail: format!("the wave {} of the plan is {}", new.spec.wave, other.meta.name),
            hint: "change that one".into(),
        });
    }
    Ok(())
}

/// All before are done, nothing has been stopped or called back, and its own last review does not say so.
fn may_run(app: &App, plan: &Plan, new: &Wave) -> Result<()> {
    chain::is_only_plan(app, plan)?;
    let (waves, inherited) = (waves(app, plan), chain::inherited(app, plan));
    let halted = |wave: &&Arc<Wave>| {
        wave.meta.name != new.meta.name
            && matches!(wave.spec.state, WaveState::Stopped | WaveState::RolledBack)
    };
    if let Some(halted) = waves.iter().find(halted) {
        let detail = format!("the wave {} of the plan is {}", halted.spec.wave, halted.spec.state);
        return Err(not_its_turn(detail, "no further server is moved until that is settled"));
    }
    let before = order(plan).take_while(|name| *name != new.spec.wave);
    let open = |name: &&str| {
        of(&waves, name).is_none_or(|wave| wave.spec.state != WaveState::Done)
            && !inherited.iter().any(|done| done == name)
    };
    if let Some(open) = before.into_iter().find(open) {
        let detail = format!("the wave {open} of the plan is not done");
        return Err(not_its_turn(detail, "waves go one after the other: see `tabane wave list`"));
    }
    match new.verdict() {
        Some(verdict @ (Verdict::Stop | Verdict::RollBack)) => {
            let said = if verdict == Verdict::Stop { "stop" } else { "roll back" };
            let hint = "review it by what is measured now, or roll it back";
            Err(not_passed(format!("its last review says: {said}"), hint))
        }
        _ => Ok(()),
    }
}

fn is_passed(new: &Wave) -> Result<()> {
    match (new.verdict(), &new.status.review) {
        (Some(Verdict::Pass), _) => Ok(()),
        (Some(_), Some(review)) => {
            let open = review.gates.iter().filter(|gate| gate.holds != Some(true));
            let open = open.filter(|gate| gate.gate.kind == tabane_model::GateKind::Pass);
            let named: Vec<&str> = open.map(|gate| gate.gate.metric.as_str()).collect();
            let detail = format!("not all of its gates have passed: {}", named.join(", "));
            Err(not_passed(detail, "see to what does not hold or is not known, and review it again"))
        }
        _ => {
            let hint = "say by which survey and facts: `tabane wave review`";
            Err(not_passed("there is no review of it by what the spec says".into(), hint))
        }
    }
}

/// What came later goes first.
fn is_last(app: &App, plan: &Plan, wave: &Wave) -> Result<()> {
    chain::is_not_stood_on(app, plan, &wave.spec.wave)?;
    let waves = waves(app, plan);
    let later = order(plan).skip_while(|name| *name != wave.spec.wave).skip(1);
    let begun = later.filter_map(|name| of(&waves, name)).find(|later| later.spec.state.has_begun());
    match begun {
        Some(begun) => Err(Error::InUse {
            detail: format!("the later wave {} is {}", begun.spec.wave, begun.spec.state),
            hint: "take back that one first".into(),
        }),
        None => Ok(()),
    }
}
