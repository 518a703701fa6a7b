//! Plans are made one after the other, in the order in which they were asked for.
//!
//! ```text
//!   pending ──► making ──► ready      the document is on disk before the plan says so
//!      │           │  └──► failed
//!      └───────────┴─────► gone       whoever deletes it stops the work
//! ```
//!
//! Level, not edge: a plan that is not ready is made, whatever was done for it before. One that was being made when the
//! server ended is made again.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tabane_core::plan::{self, Request};
use tabane_model::{
    HostTypes, Survey, Traces, Uid,
    planning::{Plan, PlanPhase, PlanProgress, PlanSpec, PlanStatus, PlanSummary, SurveyPhase},
};
use tokio::sync::oneshot;

use super::placement::report;
use crate::{Error, Result, api::planning::parsed, app::App, commit::modify, planning::chain};

const RETRY: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(300);
const TELL_EVERY: Duration = Duration::from_secs(1);

pub async fn run(app: Arc<App>) {
    let mut revisions = app.cache.subscribe();
    let mut held = Held::default();
    loop {
        revisions.mark_unchanged();
        while let Some((plan, survey)) = next(&app, &held).await {
            match make(&app, &plan, &survey).await {
                Ok(()) => held.release(plan.meta.uid),
                // The disk may be full: others may be made meanwhile, and this one later.
                Err(error) => {
                    let later = held.hold(plan.meta.uid);
                    let message = format!("{}; tried again in {} s", chain(&error), later.as_secs());
                    report(&plan.meta.name, Err(error));
                    let status = PlanStatus { message, ..PlanStatus::default() };
                    report(&plan.meta.name, write(&app, &plan, status).await);
                }
            }
        }
        let _ = tokio::time::timeout(RETRY, revisions.changed()).await;
    }
}

/// Plans that could not be made for a reason that may pass, and until when they wait.
#[derive(Default)]
struct Held(HashMap<Uid, (Instant, Duration)>);

impl Held {
    /// Each time for twice as long.
    fn hold(&mut self, plan: Uid) -> Duration {
        let before = self.0.get(&plan).map_or(RETRY / 2, |(_, waited)| *waited);
        let wait = (before * 2).min(RETRY_MAX);
        self.0.insert(plan, (Instant::now() + wait, wait));
        wait
    }

    fn release(&mut self, plan: Uid) {
        self.0.remove(&plan);
    }

    fn waits(&self, plan: Uid) -> bool {
        self.0.get(&plan).is_some_and(|(until, _)| Instant::now() < *until)
    }
}

/// The plan that is to be made now, and its survey. Those that wait for something say so.
async fn next(app: &Arc<App>, held: &Held) -> Option<(Arc<Plan>, Arc<Survey>)> {
    let open = |plan: &Plan| {
        matches!(plan.status.phase, PlanPhase::Pending | PlanPhase::Making) && !held.waits(plan.meta.uid)
    };
    let (mut plans, _) = app.cache.list::<Plan>(None, usize::MAX, open);
    plans.sort_by_key(|plan| plan.meta.uid);
    for plan in plans {
        let survey = app.cache.get::<Survey>(plan.spec.survey.as_str());
        let phase = survey.as_ref().map_or(SurveyPhase::Failed, |survey| survey.status.phase);
        let name = &plan.spec.survey;
        let status = match (phase, survey) {
            (SurveyPhase::Ready, Some(survey)) => return Some((plan, survey)),
            (SurveyPhase::Failed, _) => failed(format!("the survey {name} is no survey that can be read")),
            _ => PlanStatus { message: format!("waits for the survey {name}"), ..PlanStatus::default() },
        };
        report(&plan.meta.name, write(app, &plan, status).await);
    }
    None
}

fn failed(message: String) -> PlanStatus {
    PlanStatus { phase: PlanPhase::Failed, message, ..PlanStatus::default() }
}

/// What the thread that makes a plan tells, and is told.
#[derive(Default)]
struct Work {
    stopped: AtomicBool,
    turns: AtomicU64,
    /// Bits of the present cost, which is never zero before there is one.
    cost: AtomicU64,
}

/// The work ends when nobody waits for it any more.
struct StopOnDrop(Arc<Work>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }
}

async fn make(app: &Arc<App>, plan: &Arc<Plan>, survey: &Survey) -> Result<()> {
    let began = Instant::now();
    write(app, plan, making(None, began)).await?;
    let traces = match app.planning.traces(survey.meta.uid).await {
        Ok(traces) => traces,
        Err(message) => return write(app, plan, failed(message)).await,
    };
    let before = match &plan.spec.after {
        Some(after) => Some(parsed(app, after.plan.as_str()).await?),
        None => None,
    };
    let work = StopOnDrop(Arc::new(Work::default()));
    let mut made = begin(&plan.spec, before, traces, app.now(), work.0.clone())?;
    let made = loop {
        tokio::select! {
            made = &mut made => break made,
            () = tokio::time::sleep(TELL_EVERY) => {}
        }
        match write(app, plan, making(Some(&work.0), began)).await {
            // Its thread is waited for, so that there are never two.
            Err(Error::Missing { .. }) => work.0.stopped.store(true, Ordering::Relaxed),
            written => report(&plan.meta.name, written),
        }
    };
    let status = match made {
        Ok(Ok(document)) => {
            let seconds = began.elapsed().as_secs_f64();
            let summary = PlanSummary::new(&document, (seconds * 10.0).round() / 10.0);
            let (keeper, uid) = (app.clone(), plan.meta.uid);
            // Of one that is gone the folder is swept away.
            let kept = tokio::task::spawn_blocking(move || keeper.planning.keep(uid, &document)).await;
            kept.map_err(|error| Error::Bug(error.to_string()))??;
            PlanStatus { phase: PlanPhase::Ready, summary: Some(summary), ..PlanStatus::default() }
        }
        Ok(Err(message)) => failed(message),
        Err(_) => failed("the work ended by a fault of the server; its log says more".into()),
    };
    write(app, plan, status).await
}

fn making(work: Option<&Work>, began: Instant) -> PlanStatus {
    let seconds = u32::try_from(began.elapsed().as_secs()).unwrap_or(u32::MAX);
    let cost = work.map(|work| f64::from_bits(work.cost.load(Ordering::Relaxed)));
    let turns = work.map_or(0, |work| work.turns.load(Ordering::Relaxed));
    let progress = PlanProgress { turns, cost: cost.filter(|_| turns > 0), seconds };
    PlanStatus { phase: PlanPhase::Making, progress: Some(progress), ..PlanStatus::default() }
}

/// A thread of its own: the end of the server does not wait for it.
fn begin(
    spec: &PlanSpec,
    before: Option<tabane_model::Plan>,
    traces: Arc<Traces>,
    now: jiff::Timestamp,
    work: Arc<Work>,
) -> Result<oneshot::Receiver<std::result::Result<tabane_model::Plan, String>>> {
    let spec = spec.clone();
    let (done, made) = oneshot::channel();
    let thread = std::thread::Builder::new().name("plan".into());
    let run = move || {
        let hosts = HostTypes { host_type: spec.hosts };
        let request = Request {
            hosts: &hosts,
            policy: &spec.policy,
            costs: spec.costs.as_ref(),
            products: &spec.products,
            support: &spec.support,
        };
        let began = Instant::now();
        let limit = Duration::from_secs(u64::from(spec.policy.time_limit_s));
        let stop = |turns: u64, cost: f64| {
            work.turns.store(turns, Ordering::Relaxed);
            work.cost.store(cost.to_bits(), Ordering::Relaxed);
            work.stopped.load(Ordering::Relaxed) || began.elapsed() >= limit
        };
        // What follows the search may take as long again.
        let searched = OnceLock::new();
        let give_up = || {
            let searched: &Instant = searched.get_or_init(Instant::now);
            work.stopped.load(Ordering::Relaxed) || searched.elapsed() >= limit.max(plan::FINISH_MIN)
        };
        // The rest is for requests.
        let workers = std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2);
        let plan = match (&spec.after, before) {
            (Some(after), Some(before)) => {
                let done = before.waves.iter().position(|wave| wave.name == after.done);
                let done = done.map_or(0, |at| at + 1);
                plan::replan(&before, done, &traces, request, now, &give_up)
            }
            _ => plan::make_until(&traces, request, now, workers, &stop, &give_up),
        };
        let _ = done.send(plan.map_err(|error| chain(&error)));
    };
    thread.spawn(run).map_err(|error| Error::Bug(format!("no thread for a plan: {error}")))?;
    Ok(made)
}

/// Writes the status of this very plan; it is missing if there is another one of its name.
async fn write(app: &Arc<App>, plan: &Plan, status: PlanStatus) -> Result<()> {
    let change = |now: &mut Plan| {
        if now.meta.uid != plan.meta.uid {
            let name = plan.meta.name.to_string();
            return Err(Error::Missing { kind: tabane_model::Kind::Plan, name });
        }
        let differs = now.status != status;
        if differs {
            now.status = status.clone();
        }
        Ok(differs)
    };
    modify::<Plan>(app, &plan.meta.name, change, None).await.map(drop)
}
