//! Makes a plan.

use jiff::Timestamp;
use tabane_model::{
    Assumptions, Costs, Exhaustion, HostTypes, Lack, LowerBound, Objective, PLAN_VERSION, Plan, PlanNote,
    PlanPolicy, PlanProduct, PlannedHost, Proof, Reserve, Traces, UnplacedCause, UnplacedServer, Wave,
    support::Support,
};

use super::{
    PlanError, cpus,
    needs::{self, Resource},
    peaks::peaks,
    phases::{self, Way},
    quality::{measured, quality, suffices},
    reserve::{self, Moves},
    risk::{self, Margin, Risk, Risks},
    rules::is_excluded,
    setting::Setting,
    shortage, spare, supported,
    tco::{one_currency, tco},
    units::Units,
};
use crate::pack::{Bound, Certificate, Packing, Problem, Step, lower_bound};

/// Where few servers are placed, so many placements are looked at until it is known that none is cheaper.
pub(super) const EXHAUST_TURNS_MAX: u64 = 1_000_000;

/// What a plan is made for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub hosts: &'a HostTypes,
    pub policy: &'a PlanPolicy,
    pub costs: Option<&'a Costs>,
    /// Of licence catalogues.
    pub products: &'a [PlanProduct],
    /// Of the support matrix; empty if there is none.
    pub support: &'a [Support],
}

/// Makes a plan. `stop` is asked often whether better plans should still be looked for, with the turns so far and the
/// present cost in the unit of the policy's objective; the plan that there is then is returned.
pub fn make(
    traces: &Traces,
    request: Request<'_>,
    now: Timestamp,
    workers: usize,
    stop: &(dyn Fn(u64, f64) -> bool + Sync),
) -> Result<Plan, PlanError> {
    make_until(traces, request, now, workers, stop, &|| false)
}

/// As [`make`]; `give_up` is asked after that whether takeovers for hosts that fail, and fewer hosts on the way, are still
/// looked for. What is cut short leaves a plan that says so.
pub fn make_until(
    traces: &Traces,
    request: Request<'_>,
    now: Timestamp,
    workers: usize,
    stop: &(dyn Fn(u64, f64) -> bool + Sync),
    give_up: &dyn Fn() -> bool,
) -> Result<Plan, PlanError> {
    phases::opens(&request.policy.phases, now)?;
    let hosts = request.hosts.rated(request.policy);
    let begun = Begun::new(traces, Request { hosts: &hosts, ..request }, None)?;
    let (setting, problem) = (&begun.setting, &begun.problem);
    let packing = setting.pack_with_licences(problem, begun.fill, workers, stop)?;
    let (packing, exhausted) = setting.exhaust(problem, packing, begun.fill, EXHAUST_TURNS_MAX, &stop)?;
    let layout = Layout { exhausted, ..Layout::new(packing) };
    begun.plan(layout, now, give_up)
}

/// What is known before servers have hosts.
pub(super) struct Begun<'a> {
    request: Request<'a>,
    pub setting: Setting<'a>,
    moving_together: Units,
    margin: Option<Margin>,
    pub fill: f64,
    pub problem: Problem,
}

/// Which servers share which hosts, and what is settled besides.
pub(super) struct Layout<'a> {
    pub packing: Packing,
    /// What the hosts of the packing are called.
    pub ids: Vec<String>,
    /// Waves that are over.
    pub done: &'a [Wave],
    /// Where all packings were tried.
    pub exhausted: Option<Exhaustion>,
}

impl Layout<'_> {
    fn new(packing: Packing) -> Self {
        let ids = (1..=packing.hosts.len()).map(host_id).collect();
        Self { packing, ids, done: &[], exhausted: None }
    }
}

pub(super) fn host_id(number: usize) -> String {
    format!("host-{number:03}")
}

impl<'a> Begun<'a> {
    /// With the margin that is right for these traces, or a given fill.
    pub fn new(traces: &'a Traces, request: Request<'a>, fill: Option<f64>) -> Result<Self, PlanError> {
        let Request { hosts, policy, costs, products, support } = request;
        let setting = Setting::new(traces, &hosts.host_type, policy, products, support)?;
        // What would be refused in the end is refused before the search.
        costs.map_or(Ok(()), |costs| one_currency(costs, setting.licensing.currency()))?;
        let moving_together = phases::groups(&setting)?;
        let margin = match fill {
            Some(fill) => risk::margin_of(&setting, fill)?,
            None => risk::margin(&setting)?,
        };
        let fill = match margin {
            Some(margin) => margin.fill,
            // Nobody promises twice what nobody can judge.
            None => fill.unwrap_or(policy.fill_max).min(1.0),
        };
        let problem = setting.problem(setting.demand_in_full(), policy.objective, fill)?;
        Ok(Self { request, setting, moving_together, margin, fill, problem })
    }

    pub fn plan(
        mut self,
        layout: Layout<'_>,
        now: Timestamp,
        give_up: &dyn Fn() -> bool,
    ) -> Result<Plan, PlanError> {
        let Request { hosts, policy, costs, products, support } = self.request;
        let Layout { packing, ids, done, exhausted } = layout;
        let kinds = &hosts.host_type;
        // Whatever was looked for, the plan's costs are money.
        self.problem.set_prices(&needs::prices(kinds, Objective::Cost));
        let (setting, problem, traces) = (&self.setting, &self.problem, self.setting.traces);
        let bound = lower_bound(problem, &placed(&packing));

        let risks = Risks::new(setting, problem.measured()).map(|risks| risks.of(&packing));
        let margin = self.margin.zip(risks.as_ref()).map(|(margin, risks)| margin.of(risks));
        let mut notes = if support.is_empty() { vec![PlanNote::VendorSupport] } else { Vec::new() };
        match margin {
            None => notes.push(PlanNote::TooShort { days_min: risk::DAYS_MIN as u32 }),
            Some(Margin { seen, expected, .. }) if seen > policy.overload_share => {
                notes.push(PlanNote::NoMargin { expected_share: expected });
            }
            Some(Margin { expected, .. }) if expected > policy.overload_share => {
                notes.push(PlanNote::LittleHistory { expected_share: expected });
            }
            Some(_) => {}
        }
        notes.extend(large(setting, problem, &packing, self.fill));
        notes.extend(risk::overcommitted(setting, problem.measured(), &packing, self.fill));
        let quality = quality(traces);
        if !quality.thin.is_empty() {
            notes.push(PlanNote::Thin { servers: quality.thin.len() as u32 });
        }
        let servers = needs::space_unknown(traces, &setting.servers, kinds);
        if servers > 0 {
            notes.push(PlanNote::DiskSpaceUnknown { servers });
        }
        notes.extend(cpus::note(setting));
        notes.extend(shortage::note(setting, problem, &packing));
        let (names, resources) = (setting.names(), &setting.resources);
        let mut planned = planned_hosts(problem, &packing, ids, resources, hosts, &names, risks.as_deref());
        let reserve = reserved(setting, problem, &packing, give_up)?;
        let reserve = reserve.unwrap_or_else(|host| {
            let failures = policy.spare_hosts;
            let host = planned.get(host).map(|host| host.id.clone());
            // Where takeovers were not looked for to the end, nobody knows that there are none.
            let is_cut = policy.reserve == Reserve::Shared && give_up();
            notes.push(match is_cut {
                true => PlanNote::ReserveCutShort { failures },
                false => PlanNote::NotAbsorbed { failures, host },
            });
            Reserved::default()
        });
        planned.extend(reserve.spares.iter().enumerate().map(|(at, kind)| PlannedHost {
            id: format!("spare-{:03}", at + 1),
            host_type: kinds[*kind].name.clone(),
            servers: Vec::new(),
            overload_probability: None,
            spare: true,
            peaks: Vec::new(),
            curves: Vec::new(),
        }));
        let failover = reserve::told(&reserve.moves, &planned, &names);
        let way =
            Way { hosts: &planned, moves: &reserve.moves, units: &self.moving_together, done, stop: give_up };
        let mut waves = phases::waves(setting, problem, &packing, &way)?;
        phases::dated(&mut waves, &policy.phases, &self.moving_together.by_name(&names), now)?;
        let price = |host: &PlannedHost| {
            kinds.iter().find(|kind| kind.name == host.host_type).map_or(0.0, |kind| kind.price)
        };
        let mut plan = Plan {
            version: PLAN_VERSION,
            made_at: now,
            cost: planned.iter().map(price).sum(),
            hosts: planned,
            failures_absorbed: reserve.failures,
            failover,
            waves,
            gates: Vec::new(),
            unplaced: unplaced(setting, problem, &packing),
            lower_bound: LowerBound { exhausted, ..told_bound(&bound, setting) },
            predicted_overload_share: margin.map(|margin| margin.expected),
            assumptions: Assumptions {
                host_types: kinds.clone(),
                policy: policy.clone(),
                fill: self.fill,
                resources: resources.iter().map(|resource| resource.name.to_owned()).collect(),
                costs: costs.cloned(),
                products: needed_products(policy, products),
                support: supported::relevant(&traces.servers, support),
                notes,
            },
            data_quality: quality,
            support: setting.judged.clone(),
            licences: None,
            tco: None,
        };
        let supported = supported::note(&plan);
        plan.assumptions.notes.splice(0..0, supported);
        plan.licences = setting.licensing.told(&plan, traces, &setting.servers, policy.licence_years);
        plan.tco = tco(&plan, traces)?;
        plan.gates = phases::gates(policy, plan.tco.as_ref());
        Ok(plan)
    }
}

/// Servers that have hosts which are filled further than all others.
pub(super) fn large(
    setting: &Setting<'_>,
    problem: &Problem,
    packing: &Packing,
    fill: f64,
) -> Option<PlanNote> {
    let names = setting.names();
    let placed = problem.large().iter().filter(|server| !packing.unplaced.contains(server));
    let servers: Vec<String> = placed.map(|server| names[*server].to_owned()).collect();
    (!servers.is_empty()).then_some(PlanNote::Large { servers, fill })
}

/// Of the catalogues what the policy asks for.
fn needed_products(policy: &PlanPolicy, products: &[PlanProduct]) -> Vec<PlanProduct> {
    let is_needed =
        |product: &&PlanProduct| policy.licence.iter().any(|need| need.product == product.product.name);
    products.iter().filter(is_needed).cloned().collect()
}

/// Hosts that stand by, and who takes over what.
#[derive(Default)]
struct Reserved {
    spares: Vec<usize>,
    moves: Vec<Moves>,
    failures: u32,
}

/// `Err` with a host whose failure cannot be absorbed.
fn reserved(
    setting: &Setting<'_>,
    problem: &Problem,
    packing: &Packing,
    give_up: &dyn Fn() -> bool,
) -> Result<Result<Reserved, usize>, PlanError> {
    let failures = setting.policy.spare_hosts;
    if failures == 0 || packing.hosts.is_empty() {
        return Ok(Ok(Reserved::default()));
    }
    Ok(match setting.policy.reserve {
        Reserve::Spare => spare::spare_hosts(problem, packing, failures as usize).map(|spares| Reserved {
            spares,
            moves: Vec::new(),
            failures,
        }),
        Reserve::Shared => reserve::shared(
            setting,
            problem,
            &reserve::crowded(setting, problem)?,
            packing,
            failures as usize,
            give_up,
        )
        .map(|shared| Reserved { spares: shared.spares, moves: shared.moves, failures }),
    })
}

pub(super) fn placed(packing: &Packing) -> Vec<usize> {
    let mut placed: Vec<usize> = packing.hosts.iter().flat_map(|host| host.servers.clone()).collect();
    placed.sort_unstable();
    placed
}

fn planned_hosts(
    problem: &Problem,
    packing: &Packing,
    ids: Vec<String>,
    resources: &[Resource],
    hosts: &HostTypes,
    names: &[&str],
    risks: Option<&[Risk]>,
) -> Vec<PlannedHost> {
    let of = |(at, (host, id)): (usize, (&crate::pack::Packed, String))| {
        let kind = &hosts.host_type[host.kind];
        let (peaks, curves) = peaks(problem.measured(), host, kind, resources);
        let mut servers: Vec<String> = host.servers.iter().map(|server| names[*server].to_owned()).collect();
        servers.sort();
        PlannedHost {
            id,
            host_type: kind.name.clone(),
            servers,
            overload_probability: risks.map(|risks| risks[at].probability()),
            spare: false,
            peaks,
            curves,
        }
    };
    packing.hosts.iter().zip(ids).enumerate().map(of).collect()
}

fn unplaced(setting: &Setting<'_>, problem: &Problem, packing: &Packing) -> Vec<UnplacedServer> {
    let traces = setting.traces;
    let told = |server: usize, cause: UnplacedCause| UnplacedServer {
        server: traces.servers[server].name.clone(),
        reason: cause.to_string(),
        cause: Some(cause),
    };
    let left_out = (0..traces.servers.len()).filter_map(|server| {
        if is_excluded(traces, setting.policy, server) {
            return Some(told(server, UnplacedCause::Excluded));
        }
        if !traces.is_measured(server) {
            return Some(told(server, UnplacedCause::NotMeasured));
        }
        let name = &traces.servers[server].name;
        if let Some(refusal) = setting.refused.iter().find(|refusal| refusal.server == *name) {
            return Some(told(server, UnplacedCause::NotSupported { refusal: refusal.clone() }));
        }
        let days = measured(traces, server).0;
        (!suffices(traces, setting.policy, server))
            .then(|| told(server, UnplacedCause::TooLittle { days, days_min: setting.policy.days_min }))
    });
    let mut list: Vec<UnplacedServer> = left_out.collect();
    list.extend(packing.unplaced.iter().map(|at| {
        let cause = if problem.fits_any(*at) {
            UnplacedCause::NoHostLeft
        } else {
            UnplacedCause::TooLarge { lacking: lacking(setting, problem, *at) }
        };
        told(setting.servers[*at], cause)
    }));
    list
}

/// What the host lacks that is nearest to what a server needs.
fn lacking(setting: &Setting<'_>, problem: &Problem, server: usize) -> Vec<Lack> {
    let allowed = (0..problem.kinds().len()).filter(|kind| problem.may(server, *kind));
    let of = |kind: usize| -> Vec<Lack> {
        let capacity = problem.kinds()[kind].capacity.iter().copied().enumerate();
        let over = capacity.filter_map(|(dimension, there)| {
            let needed = problem.demand().peak(server, dimension);
            let resource = setting.resources[dimension].name.to_owned();
            (needed > there).then_some(Lack { resource, needed, there })
        });
        over.collect()
    };
    allowed.map(of).min_by_key(Vec::len).unwrap_or_default()
}

pub(super) fn told_step(step: Step) -> (&'static str, Option<u32>) {
    match step {
        Step::Volume => ("volume", None),
        Step::Parts(parts) => ("parts", Some(parts)),
        Step::Fringe(fringe) => ("fringe", Some(fringe)),
    }
}

fn told_bound(bound: &Bound, setting: &Setting<'_>) -> LowerBound {
    let resources = &setting.resources;
    let (kind, certificate) = match bound.hosts_by {
        Certificate::Nothing => ("nothing", None),
        Certificate::Apart { group } => {
            let resource = setting.rules.apart[group as usize].0.clone();
            ("apart", Some(Proof { resource, bin: 0, function: "apart".into(), parameter: None }))
        }
        Certificate::Moment { dimension, bin, step } => {
            let (function, parameter) = told_step(step);
            let resource = resources[dimension].name.to_owned();
            ("moment", Some(Proof { resource, bin, function: function.into(), parameter }))
        }
    };
    let cost_certificate = bound.cost_by.map(|(dimension, bin)| Proof {
        resource: resources[dimension].name.into(),
        bin,
        function: "mixture".into(),
        parameter: None,
    });
    LowerBound {
        hosts: bound.hosts as u32,
        cost: bound.cost,
        kind: kind.into(),
        certificate,
        cost_certificate,
        exhausted: None,
    }
}
