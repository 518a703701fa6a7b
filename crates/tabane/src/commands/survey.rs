//! Surveys are collected here, over SSH, or of what others have measured, and sent to the server if it shall plan.

mod dependencies;
mod import;
mod push;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Result, bail};
use tabane_model::Survey;
use tabane_survey::collect::{self, Options, Progress, Sources, Target};

use super::objects;
use crate::{
    arguments::{SurveyCommand, SurveyExport, SurveyRun},
    context::Context,
    output::{self, counted},
    progress,
};

pub async fn run(context: &Context, command: SurveyCommand) -> Result<()> {
    match command {
        SurveyCommand::Run(run) => collect_loads(run).await,
        SurveyCommand::Export(export) => tokio::task::spawn_blocking(move || export_traces(&export)).await?,
        SurveyCommand::Dependencies(arguments) => dependencies::run(context.form()?, &arguments),
        SurveyCommand::Licences(arguments) => {
            let servers = tabane_survey::read_servers(&arguments.traces)?;
            output::say(tabane_survey::licences::proposed(&servers).trim_end())
        }
        SurveyCommand::Import(arguments) => import::run(context, arguments).await,
        SurveyCommand::Push(push) => push::run(context, &push).await,
        SurveyCommand::List(list) => objects::list::<Survey>(context, &list).await,
        SurveyCommand::Get(named) => objects::get::<Survey>(context, &named.name).await,
        SurveyCommand::Delete(named) => objects::delete::<Survey>(context, &named).await,
    }
}

/// What is known of the sources while they are sampled.
#[derive(Default)]
struct Known {
    samples: BTreeMap<Target, u64>,
    lost: BTreeMap<Target, String>,
}

impl Known {
    fn told(&self, all: usize) -> String {
        let reached = self.samples.keys().filter(|target| !self.lost.contains_key(target)).count();
        let samples: u64 = self.samples.values().sum();
        let lost = self.lost.iter().next().map(|(target, why)| format!("; {target}: {why}"));
        let (all, samples) = (counted(all, "server"), counted(samples as usize, "sample"));
        format!("{reached} of {all} reached, {samples}{}", lost.unwrap_or_default())
    }
}

async fn collect_loads(arguments: SurveyRun) -> Result<()> {
    let targets = targets_of(&arguments).await?;
    let mut names: Vec<String> = targets.iter().map(Target::name).collect();
    names.sort();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!("{} is named twice with different users; name it once", twice[0]);
    }
    let options = Options {
        step: Duration::from_secs(u64::from(arguments.step)),
        ssh_config: arguments.ssh_config,
        identity: arguments.identity,
    };
    let all = targets.len();
    let known = Arc::new(Mutex::new(Known::default()));
    let bar = progress::bar("survey");
    let (seen, shown) = (known.clone(), bar.clone());
    let tell = move |target: &Target, progress: Progress| {
        let mut known = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match progress {
            Progress::Reached { inventory } => {
                known.lost.remove(target);
                known.samples.entry(target.clone()).or_default();
                say(
                    &shown,
                    &format!(
                        "{target}: {}, {} cores, {} MiB",
                        inventory.os, inventory.cores, inventory.mem_mib
                    ),
                );
            }
            Progress::Sampled { samples } => {
                known.samples.insert(target.clone(), samples);
            }
            Progress::Lost { why, again_in } => {
                let unknown = why.contains("Host key verification failed");
                let next = if unknown { " (see its key and accept it by `ssh`, once)" } else { "" };
                say(&shown, &format!("{target}: {why}{next}; tried again in {} s", again_in.as_secs()));
                known.lost.insert(target.clone(), why);
            }
        }
        shown.set_message(known.told(all));
    };
    let length = arguments.length.map(Duration::try_from).transpose()?;
    let ended = async {
        match length {
            Some(length) => tokio::time::sleep(length).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        failed = collect::collect(targets, &arguments.out, &options, Arc::new(tell)) => failed?,
        () = ended => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    bar.finish_and_clear();
    let known = known.lock().unwrap_or_else(PoisonError::into_inner);
    println!("{}", known.told(all));
    println!(
        "go on with `tabane survey export {} --to FOLDER`, or collect more by the same command",
        arguments.out.display()
    );
    Ok(())
}

/// Above the bar, or on standard error where there is none.
fn say(bar: &indicatif::ProgressBar, text: &str) {
    if bar.is_hidden() { eprintln!("{text}") } else { bar.println(text) }
}

/// Who is named, and of subnets who answers.
async fn targets_of(arguments: &SurveyRun) -> Result<Vec<Target>> {
    let mut sources = Sources::default();
    arguments.sources.iter().cloned().try_for_each(|range| sources.add(range))?;
    if let Some(list) = &arguments.list {
        sources.read(list)?;
    }
    let Sources { named: mut targets, addresses } = sources.sorted();
    if !addresses.is_empty() {
        let bar = progress::bar("survey");
        bar.set_message(format!("asking {} of subnets who answers", addresses_of(addresses.len())));
        let (there, silent) = collect::probe(addresses, arguments.ssh_config.as_deref()).await;
        bar.finish_and_clear();
        for line in silence(&silent) {
            eprintln!("{line}");
        }
        targets.extend(there);
        targets.sort();
    }
    if targets.is_empty() {
        bail!(
            "there is no server to look at: name servers that answer, or put them into the file, one a line"
        );
    }
    Ok(targets)
}

fn addresses_of(count: usize) -> String {
    if count == 1 { "1 address".into() } else { format!("{count} addresses") }
}

/// Addresses that do not answer, by why: they are left out, and looked at again by the next run.
fn silence(silent: &[(Target, String)]) -> Vec<String> {
    const SHOWN: usize = 16;
    let mut by_why: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (target, why) in silent {
        by_why.entry(why).or_default().push(target.to_string());
    }
    let told = |(why, targets): (&str, Vec<String>)| {
        let more = targets.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let shown = targets[..targets.len().min(SHOWN)].join(", ");
        let left = if targets.len() == 1 {
            "does not answer and is left out"
        } else {
            "do not answer and are left out"
        };
        format!("{} {left} ({why}): {shown}{more}", addresses_of(targets.len()))
    };
    by_why.into_iter().map(told).collect()
}

fn export_traces(arguments: &SurveyExport) -> Result<()> {
    let exported = collect::export(&arguments.collection, &arguments.to, arguments.bin)?;
    for finding in &exported.findings {
        println!("{finding}");
    }
    let (servers, bins) = (counted(exported.servers, "server"), counted(exported.bins, "bin"));
    println!("{servers} in {bins} of {} s: {}", arguments.bin, arguments.to.display());
    Ok(())
}
