//! Plans that go on from each other: a server moves by one of them at a time.
//!
//! ```text
//!   first:   pilot done ── wave-2 done ── wave-3         not begun: the second goes on after wave-2
//!   second:  pilot ─────── wave-2 ─────── wave-3 …       the first two are the first plan's, and over
//! ```

use std::sync::Arc;

use tabane_model::{
    Name,
    planning::{Plan, PlanAfter, PlanPhase, Wave, WaveState},
};

use super::wave::{not_its_turn, waves};
use crate::{Error, Result, app::App};

/// The waves of a plan, in its order.
fn order(plan: &Plan) -> &[String] {
    plan.status.summary.as_ref().map(|summary| summary.waves.as_slice()).unwrap_or_default()
}

fn before(app: &App, plan: &Plan) -> Option<(Arc<Plan>, PlanAfter)> {
    let after = plan.spec.after.clone()?;
    Some((app.cache.get::<Plan>(after.plan.as_str())?, after))
}

/// Waves that a plan has from the one before it, which are over.
pub fn inherited(app: &App, plan: &Plan) -> Vec<String> {
    let of = |(before, after): (Arc<Plan>, PlanAfter)| after.waves(order(&before)).map(<[String]>::to_vec);
    before(app, plan).and_then(of).unwrap_or_default()
}

/// A plan goes on from one that is ready, after waves that are done.
pub fn may_follow(app: &App, plan: &Plan, after: &PlanAfter) -> Result<()> {
    if plan.status.phase != PlanPhase::Ready {
        let detail = format!("the plan {} is {}", plan.meta.name, plan.status.phase);
        let hint = "wait until it is ready".into();
        return Err(Error::Refused { code: "plan_not_ready", detail, hint });
    }
    let there = order(plan);
    let Some(done) = after.waves(there) else {
        let hint = format!("it has {}", there.join(", "));
        return Err(Error::fault("spec.after.done", "the plan has no such wave", hint));
    };
    let (over, waves) = (inherited(app, plan), waves(app, plan));
    let is_done = |name: &String| {
        let of_it = |wave: &Arc<Wave>| wave.spec.wave == *name && wave.spec.state == WaveState::Done;
        over.contains(name) || waves.iter().any(of_it)
    };
    match done.iter().find(|name| !is_done(name)) {
        Some(open) => {
            let hint = "carry it out first: `tabane wave list` shows how far it is";
            Err(Error::fault("spec.after.done", format!("the wave {open} of the plan is not done"), hint))
        }
        None => Ok(()),
    }
}

/// A wave stays done for as long as a plan goes on after it.
pub fn is_not_stood_on(app: &App, plan: &Plan, wave: &str) -> Result<()> {
    let stands = |other: &Arc<Plan>| {
        let after = other.spec.after.as_ref().filter(|after| after.plan == plan.meta.name);
        after
            .and_then(|after| after.waves(order(plan)))
            .is_some_and(|done| done.iter().any(|name| name == wave))
    };
    match app.cache.all::<Plan>().into_iter().find(stands) {
        Some(other) => Err(Error::InUse {
            detail: format!("the plan {} goes on after the wave {wave}", other.meta.name),
            hint: "delete that plan first".into(),
        }),
        None => Ok(()),
    }
}

fn has_begun(app: &App, plan: &Plan) -> bool {
    waves(app, plan).iter().any(|wave| wave.spec.state.has_begun())
}

/// Of the plans that go on from one, however late, but not by way of `except`: one that has begun.
fn later(app: &App, plans: &[Arc<Plan>], name: &Name, except: Option<&Name>) -> Option<Name> {
    let follows = |plan: &&Arc<Plan>| {
        plan.spec.after.as_ref().is_some_and(|after| after.plan == *name) && Some(&plan.meta.name) != except
    };
    plans.iter().filter(follows).find_map(|plan| match has_begun(app, plan) {
        true => Some(plan.meta.name.clone()),
        false => later(app, plans, &plan.meta.name, None),
    })
}

/// Whether nobody moves by another plan of the same chain.
pub fn is_only_plan(app: &App, plan: &Plan) -> Result<()> {
    let plans = app.cache.all::<Plan>();
    let other = |name: Name| {
        let detail = format!("the plan {name} has begun, which goes on from the same waves");
        Err(not_its_turn(detail, "carry out the waves of that one"))
    };
    if let Some(name) = later(app, &plans, &plan.meta.name, None) {
        return other(name);
    }
    let mut present = Arc::new(plan.clone());
    while let Some((before, after)) = before(app, &present) {
        if let Some(name) = later(app, &plans, &before.meta.name, Some(&present.meta.name)) {
            return other(name);
        }
        let done = after.waves(order(&before)).unwrap_or_default();
        let open = |wave: &&Arc<Wave>| wave.spec.state.has_begun() && !done.contains(&wave.spec.wave);
        if let Some(open) = waves(app, &before).iter().find(open) {
            let (wave, plan, state) = (&open.spec.wave, &before.meta.name, open.spec.state);
            let detail = format!("the wave {wave} of the plan {plan} before this one is {state}");
            return Err(not_its_turn(detail, "bring it to an end, and make a plan that goes on after it"));
        }
        present = before;
    }
    Ok(())
}
