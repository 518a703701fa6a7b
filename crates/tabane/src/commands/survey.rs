//! Surveys are collected here, over SSH, or of what others have measured, and sent to the server if it shall plan.

mod import;
mod push;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tabane_model::Survey;
use tabane_survey::collect::{self, Options, Progress, Target};

use super::objects;
use crate::{
    arguments::{SurveyCommand, SurveyExport, SurveyRun},
    context::Context,
    output::counted,
    progress,
};

const LIST_BYTES_MAX: u64 = 16 << 20;

pub async fn run(context: &Context, command: SurveyCommand) -> Result<()> {
    match command {
        SurveyCommand::Run(run) => collect_loads(run).await,
        SurveyCommand::Export(export) => tokio::task::spawn_blocking(move || export_traces(&export)).await?,
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
    let mut targets = arguments.sources;
    if let Some(list) = &arguments.list {
        targets.extend(read_list(list)?);
    }
    targets.sort();
    targets.dedup();
    if targets.is_empty() {
        bail!("there is no server to look at: name them, or put them into the file, one a line");
    }
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

/// A server on each line; empty lines, and what is behind a `#`, count nothing.
fn read_list(path: &Path) -> Result<Vec<Target>> {
    let text = tabane_survey::read_text(path, LIST_BYTES_MAX)?;
    let lines =
        text.lines().enumerate().map(|(at, line)| (at + 1, line.split('#').next().unwrap_or("").trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty());
    lines.map(|(at, line)| line.parse().with_context(|| format!("{}, line {at}", path.display()))).collect()
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
