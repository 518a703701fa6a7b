//! Plans are made and judged here, from files and without any server; or by the server, of what it keeps.

mod catalogues;
mod changes;
mod create;
mod policy;
mod replan;
mod report;
mod review;

use std::{
    path::Path,
    process::ExitCode,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tabane_core::plan::{self, Request};
use tabane_model::{
    Costs, Faults, HostTypes, Plan, PlanPolicy, PlanProduct, Traces, planning, support::Support,
};

use super::{DONE, objects};
use crate::{
    arguments::{Form, PlanBasis, PlanCommand, PlanMake, PlanVerify},
    context::Context,
    output::{self, counted},
    progress,
};

const FILE_BYTES_MAX: u64 = 1 << 30;

pub async fn run(context: &Context, command: PlanCommand) -> Result<ExitCode> {
    match command {
        PlanCommand::Make(make) => make_plan(context, make).await,
        PlanCommand::Verify(verify) => tokio::task::spawn_blocking(move || verify_plan(&verify)).await?,
        PlanCommand::Review(arguments) => {
            let form = context.form()?;
            tokio::task::spawn_blocking(move || review::run(form, &arguments)).await?
        }
        PlanCommand::Replan(arguments) => {
            let form = context.form()?;
            tokio::task::spawn_blocking(move || replan::run(form, &arguments)).await?
        }
        PlanCommand::Report(report) => report::run(&report),
        PlanCommand::Create(create) => create::run(context, *create).await.map(|()| DONE),
        PlanCommand::Continue(arguments) => create::go_on(context, arguments).await.map(|()| DONE),
        PlanCommand::List(list) => objects::list::<planning::Plan>(context, &list).await.map(|()| DONE),
        PlanCommand::Get(named) => objects::get::<planning::Plan>(context, &named.name).await.map(|()| DONE),
        PlanCommand::Document(document) => create::document(context, &document).await.map(|()| DONE),
        PlanCommand::Try(attempt) => changes::attempt(context, attempt).await,
        PlanCommand::Compare(compare) => changes::compare(context, &compare).await.map(|()| DONE),
        PlanCommand::Delete(named) => objects::delete::<planning::Plan>(context, &named).await.map(|()| DONE),
    }
}

async fn make_plan(context: &Context, arguments: PlanMake) -> Result<ExitCode> {
    let form = context.form()?;
    let Basis { hosts, policy, costs, products, support } = read_basis(&arguments.basis)?;
    let stopped = Arc::new(AtomicBool::new(false));
    let seen = stopped.clone();
    let mut working = tokio::task::spawn_blocking(move || {
        let request = Request {
            hosts: &hosts,
            policy: &policy,
            costs: costs.as_ref(),
            products: &products,
            support: &support,
        };
        work(&arguments, request, &seen)
    });
    let plan = tokio::select! {
        plan = &mut working => plan??,
        // What was found until then is a plan, too.
        _ = tokio::signal::ctrl_c() => {
            stopped.store(true, Ordering::Relaxed);
            working.await??
        }
    };
    match form {
        Form::Table => tell(&plan),
        _ => output::value(form, &plan)?,
    }
    Ok(DONE)
}

/// What a plan is made for, besides loads.
struct Basis {
    hosts: HostTypes,
    policy: PlanPolicy,
    costs: Option<Costs>,
    products: Vec<PlanProduct>,
    support: Vec<Support>,
}

fn read_basis(files: &PlanBasis) -> Result<Basis> {
    let hosts: HostTypes = read_toml(&files.hosts)?;
    sound(&files.hosts, hosts.faults())?;
    let mut policy = policy::read(files.policy.as_deref(), &files.set)?;
    policy.time_limit_s = files.time_limit.unwrap_or(policy.time_limit_s);
    sound(files.policy.as_deref().unwrap_or(Path::new("policy.toml")), policy.faults())?;
    policy.cpu.extend(catalogues::cpus(&files.cpus)?);
    let costs: Option<Costs> = files.costs.as_deref().map(read_toml).transpose()?;
    if let (Some(path), Some(costs)) = (&files.costs, &costs) {
        sound(path, costs.faults())?;
    }
    let products = catalogues::read(&files.licences, files.prices.as_deref())?;
    let support = catalogues::support(&files.support)?;
    Ok(Basis { hosts, policy, costs, products, support })
}

fn work(arguments: &PlanMake, request: Request<'_>, stopped: &AtomicBool) -> Result<Plan> {
    let bar = progress::bar("plan");
    bar.set_message("reading the traces");
    let traces = read_traces(&arguments.traces)?;
    bar.set_message(format!(
        "{} servers: a first plan, and how large its margin has to be",
        traces.servers.len()
    ));
    let began = Instant::now();
    let policy = request.policy;
    let limit = Duration::from_secs(u64::from(policy.time_limit_s));
    let stop = |turns: u64, cost: f64| {
        if turns.is_multiple_of(64) {
            bar.set_message(format!("{cost} {}, after {turns} attempts at less", unit(policy)));
        }
        stopped.load(Ordering::Relaxed) || began.elapsed() >= limit
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    // What follows the search may take as long again.
    let searched = OnceLock::new();
    let give_up = || {
        let searched: &Instant = searched.get_or_init(Instant::now);
        stopped.load(Ordering::Relaxed) || searched.elapsed() >= limit.max(plan::FINISH_MIN)
    };
    let plan = plan::make_until(&traces, request, Timestamp::now(), workers, &stop, &give_up)?;
    bar.finish_and_clear();
    write(&arguments.out, &plan)?;
    Ok(plan)
}

fn unit(policy: &PlanPolicy) -> &'static str {
    match policy.objective {
        tabane_model::Objective::Hosts => "hosts",
        tabane_model::Objective::Cost => "in price",
    }
}

fn verify_plan(arguments: &PlanVerify) -> Result<ExitCode> {
    let plan = read_plan(&arguments.plan)?;
    let traces = read_traces(&arguments.traces)?;
    let faults = plan::verify(&plan, &traces);
    if faults.is_empty() {
        let servers: usize = plan.hosts.iter().map(|host| host.servers.len()).sum();
        println!(
            "proved: {} on {} keep every constraint at each of {} moments, and no plan has fewer than {}",
            counted(servers, "server"),
            counted(used(&plan), "host"),
            traces.grid.bins,
            counted(plan.lower_bound.hosts as usize, "host")
        );
        if let Some(exhausted) = &plan.lower_bound.exhausted {
            println!("all placements were tried again: none costs less than {:.0}", exhausted.cost);
        }
        return Ok(DONE);
    }
    for fault in &faults {
        println!("fault: {fault}");
    }
    println!("{}: this plan does not keep what it promises", counted(faults.len(), "fault"));
    Ok(ExitCode::FAILURE)
}

fn used(plan: &Plan) -> usize {
    plan.hosts.iter().filter(|host| !host.spare).count()
}

fn tell(plan: &Plan) {
    let servers: usize = plan.hosts.iter().map(|host| host.servers.len()).sum();
    let (used, bound) = (used(plan), plan.lower_bound.hosts);
    let spare = plan.hosts.len() - used;
    println!(
        "{} on {}, and {spare} spare; no plan has fewer than {}",
        counted(servers, "server"),
        counted(used, "host"),
        counted(bound as usize, "host")
    );
    for kind in &plan.assumptions.host_types {
        let count = plan.hosts.iter().filter(|host| host.host_type == kind.name).count();
        if count > 0 {
            println!("  {count} of {}", kind.name);
        }
    }
    println!("cost of hosts: {}", plan.cost);
    if let Some(licences) = &plan.licences {
        let told = |amount: f64| format!("{amount:.0} {}", licences.currency);
        println!(
            "licences in {}: {}; each server on its own: {}; no placement costs less than {}",
            counted(licences.years as usize, "year"),
            told(licences.after),
            told(licences.before),
            told(licences.lower_bound)
        );
        for product in licences.products.iter().filter(|product| product.after > product.before + 0.5) {
            println!(
                "  {} becomes dearer: {} instead of {}",
                product.product,
                told(product.after),
                told(product.before)
            );
        }
    }
    if let Some(exhausted) = &plan.lower_bound.exhausted {
        println!("all placements were tried: none costs less than {:.0}, hosts and licences", exhausted.cost);
    }
    if let Some(tco) = &plan.tco {
        let told = |amount: f64| format!("{amount:.0} {}", tco.currency);
        println!(
            "in {}: {} as it is, {} with the plan",
            counted(tco.years as usize, "year"),
            told(tco.before),
            told(tco.after)
        );
        match tco.break_even_months {
            Some(months) => println!("  it has paid for itself after {} months", months.ceil()),
            None => println!("  it does not pay for itself in that time"),
        }
        let rises = tco.positions.iter().filter(|position| position.rises());
        for position in rises {
            println!(
                "  {} rises from {} to {}",
                tabane_report::cost_item(tabane_report::Language::English, position.item),
                told(position.before),
                told(position.after)
            );
        }
    }
    if let Some(pilot) = plan.waves.first() {
        let servers = counted(pilot.servers.len(), "server");
        let then = match plan.waves.len() - 1 {
            0 => "and that is all".into(),
            waves => format!("then {}", counted(waves, "wave")),
        };
        println!("introduced by a pilot of {servers} on {}, {then}", pilot.new_hosts.join(", "));
        for wave in &plan.waves {
            if let (Some(first), Some(last)) = (wave.windows.first(), wave.windows.last()) {
                let servers = counted(wave.servers.len(), "server");
                let from = format!("{} {}", first.date, first.from.strftime("%H:%M"));
                match wave.windows.len() {
                    1 => println!("  {}: {servers} on {from}, {} h", wave.name, first.hours),
                    n => println!("  {}: {servers} in {n} windows from {from} to {}", wave.name, last.date),
                }
            }
        }
    }
    match plan.predicted_overload_share {
        Some(share) => println!(
            "overloaded: {:.4} % of host-samples are expected to be, at {:.0} % of a host; accepted: {:.4} %",
            share * 100.0,
            plan.assumptions.fill * 100.0,
            plan.assumptions.policy.overload_share * 100.0
        ),
        None => println!("overloaded: not known, the traces are too short"),
    }
    for unplaced in &plan.unplaced {
        println!("without a host: {}: {}", unplaced.server, unplaced.reason);
    }
    for note in &plan.assumptions.notes {
        println!("note: {note}");
    }
}

fn read_plan(path: &Path) -> Result<Plan> {
    let text = tabane_survey::read_text(path, FILE_BYTES_MAX)?;
    serde_json::from_str(&text).with_context(|| format!("{} is no plan", path.display()))
}

fn read_traces(folder: &Path) -> Result<Traces> {
    tabane_survey::read_folder(folder)
        .with_context(|| format!("cannot read the traces in {}", folder.display()))
}

fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T> {
    toml::from_str(&tabane_survey::read_text(path, FILE_BYTES_MAX)?)
        .with_context(|| format!("{} is not as it should be", path.display()))
}

fn sound(path: &Path, faults: Faults) -> Result<()> {
    let Some(fault) = faults.0.into_iter().next() else { return Ok(()) };
    bail!("{}: {}: {}; {}", path.display(), fault.field, fault.message, fault.hint)
}

fn write(path: &Path, plan: &Plan) -> Result<()> {
    Ok(tabane_survey::replace(path, &(serde_json::to_string_pretty(plan)? + "\n"))?)
}
