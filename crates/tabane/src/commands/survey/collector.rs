//! `tabane survey run --collection NAME`: looks at the servers of a collection, tells the server how far it is, and makes
//! the surveys that are wished for.
//!
//! ```text
//!   collection {sources} ─► measured into a folder ─┬─► report ─► server ─► wishes
//!                                                   └─◄ a survey: exported beside, sent, told by the next report
//! ```
//!
//! Invariants: what is measured is on the disk here first; a server that is away stops nothing. A survey that was cut short
//! is sent again as it was exported, so that each step may happen twice.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tabane_client::{Call, Client, Error};
use tabane_model::{
    Name,
    planning::{Collection, CollectionReport, CollectionWishes},
};
use tabane_survey::collect::{self, Sources};
use tokio::task::JoinHandle;

use super::{
    known,
    push::{self, Complete},
    run::{Measuring, options},
    targets,
};
use crate::{arguments::SurveyRun, context::Context};

/// Exports that are not taken down by the server yet, each by the name of its survey.
const EXPORTS: &str = "surveys";
const SESSION: &str = "session";
const BIN_S: u32 = 300;
/// A wish that could not be fulfilled is tried again after this.
const AGAIN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(500);

type Task = JoinHandle<Result<()>>;

pub async fn run(context: &Context, arguments: SurveyRun, name: Name) -> Result<()> {
    let client = context.client().await?;
    let collection: Collection = client.get(name.as_str(), &Call::default()).await?;
    let mut sources = Sources::default();
    for source in &collection.spec.sources {
        let range = source.parse().with_context(|| format!("the collection names {source:?}"))?;
        sources.add(range)?;
    }
    let folder = arguments.out.clone().unwrap_or_else(|| PathBuf::from(name.as_str()));
    let mut collector = Collector {
        session: session(&folder, &collection)?,
        machine: known::plain(&rustix::system::uname().nodename().to_string_lossy()),
        client,
        folder,
        name,
        measuring: Measuring::of(&sources.named),
        every: Duration::from_secs(u64::from(collection.spec.report_every_s())),
        made: Vec::new(),
        making: None,
        failed: None,
        is_away: false,
    };
    // Whether this one may begin is known before any source is asked.
    let wishes = collector.report(false).await?;
    let mut measured = None;
    if !wishes.ended {
        let targets = targets::of(sources, arguments.ssh_config.as_deref()).await?;
        collector.measuring = Measuring::of(&targets);
        let options = options(arguments, collection.spec.step_s);
        let measuring = collector.measuring.clone();
        measured = Some(tokio::spawn(measuring.measure(targets, collector.folder.clone(), options)));
    }
    let ended = tokio::select! {
        ended = collector.go_on(wishes, &mut measured) => ended,
        _ = tokio::signal::ctrl_c() => collector.say_farewell().await,
    };
    if let Some(measured) = measured {
        measured.abort();
    }
    collector.measuring.bar.finish_and_clear();
    let told = collector.measuring.known().told();
    println!("{told}; the samples are in {}", collector.folder.display());
    ended
}

struct Collector {
    session: String,
    machine: String,
    client: Client,
    name: Name,
    folder: PathBuf,
    measuring: Measuring,
    every: Duration,
    made: Vec<Name>,
    making: Option<(Name, Task)>,
    /// The wish that could not be fulfilled.
    failed: Option<Failed>,
    /// The server was not reached when it was to be told last.
    is_away: bool,
}

struct Failed {
    survey: Name,
    why: anyhow::Error,
    at: Instant,
}

impl Collector {
    /// Until the collection has ended, is gone, or nothing can be written.
    async fn go_on(&mut self, mut wishes: CollectionWishes, measured: &mut Option<Task>) -> Result<()> {
        let mut reported = Instant::now();
        loop {
            if let Some(measuring) = measured.take_if(|_| wishes.ended) {
                measuring.abort();
                // Its files are closed once it is gone.
                let _ = measuring.await;
            }
            let news = self.making_has_ended().await;
            self.begin(&wishes);
            if wishes.ended && self.making.is_none() {
                match self.failed.take_if(|failed| wishes.survey.as_ref() == Some(&failed.survey)) {
                    Some(failed) if !is_passing(&failed.why) => {
                        let message = told(&failed.why);
                        self.send(CollectionReport { message, ended: true, ..self.now() }).await?;
                        return Err(failed.why.context(format!("the survey {} is not made", failed.survey)));
                    }
                    waits @ Some(_) => self.failed = waits,
                    None if wishes.survey.is_none() => return self.report(true).await.map(drop),
                    None => {}
                }
            }
            if !news {
                tokio::time::sleep(LOOK).await;
            }
            if let Some(measuring) = measured.take_if(|measuring| measuring.is_finished()) {
                return measuring.await.context("measuring has come to an end")?;
            }
            if news || reported.elapsed() >= self.every {
                reported = Instant::now();
                wishes = self.report_or_wait(wishes).await?;
            }
        }
    }

    /// Begins to make the survey that is wished for, unless that has failed just now.
    fn begin(&mut self, wishes: &CollectionWishes) {
        let Some(survey) = &wishes.survey else {
            self.failed = None;
            return;
        };
        let waits = |failed: &Failed| {
            failed.survey == *survey
                && (failed.at.elapsed() < AGAIN || (wishes.ended && !is_passing(&failed.why)))
        };
        let is_made = self.made.contains(survey);
        if self.making.is_some() || is_made || self.failed.as_ref().is_some_and(waits) {
            return;
        }
        self.measuring.say(&format!("making the survey {survey}"));
        let making = make(self.client.clone(), self.folder.clone(), survey.clone(), self.name.clone());
        self.making = Some((survey.clone(), tokio::spawn(making)));
    }

    /// Whether a survey has just been made, or not.
    async fn making_has_ended(&mut self) -> bool {
        let Some((survey, making)) = self.making.take_if(|(_, making)| making.is_finished()) else {
            return false;
        };
        match making.await.map_err(anyhow::Error::from).flatten() {
            Ok(()) => {
                self.measuring.say(&format!("the survey {survey} is made"));
                self.failed = None;
                self.made.push(survey);
            }
            Err(why) => {
                self.measuring.say(&format!("the survey {survey} is not made: {why:#}"));
                self.failed = Some(Failed { survey, why, at: Instant::now() });
            }
        }
        true
    }

    /// A server that is away is told later.
    async fn report_or_wait(&mut self, wishes: CollectionWishes) -> Result<CollectionWishes> {
        match self.report(false).await {
            Err(error) if is_passing(&error) => {
                if !std::mem::replace(&mut self.is_away, true) {
                    self.measuring.say(&format!("{error:#}; measuring goes on"));
                }
                Ok(wishes)
            }
            Ok(wishes) => {
                if std::mem::take(&mut self.is_away) {
                    self.measuring.say("the server is there again");
                }
                Ok(wishes)
            }
            Err(error) => Err(error),
        }
    }

    async fn say_farewell(&mut self) -> Result<()> {
        match self.report(true).await {
            // It will see that nobody is heard.
            Err(error) if is_passing(&error) => Ok(()),
            said => said.map(drop),
        }
    }

    async fn report(&mut self, ended: bool) -> Result<CollectionWishes> {
        self.send(CollectionReport { ended, ..self.now() }).await
    }

    fn now(&self) -> CollectionReport {
        CollectionReport {
            session: self.session.clone(),
            collector: self.machine.clone(),
            made: self.made.clone(),
            message: self.failed.as_ref().map(|failed| told(&failed.why)).unwrap_or_default(),
            ..self.measuring.known().report()
        }
    }

    async fn send(&mut self, report: CollectionReport) -> Result<CollectionWishes> {
        let wishes = self.client.report_collection(self.name.as_str(), &report).await?;
        // The server knows of them now: whoever goes on here does not need their exports.
        for made in &report.made {
            let export = self.folder.join(EXPORTS).join(made.as_str());
            if export.exists() {
                std::fs::remove_dir_all(&export)
                    .with_context(|| format!("cannot remove {}", export.display()))?;
            }
        }
        Ok(wishes)
    }
}

/// Who goes on in the same folder is the same to the server, so that it may do so at once. Two at a time are refused by the
/// locks of the recordings. A folder is of one collection: another one of its name may have other servers.
fn session(folder: &Path, collection: &Collection) -> Result<String> {
    const BYTES_MAX: u64 = 256;
    let path = folder.join(SESSION);
    let of = collection.meta.uid.to_string();
    if path.exists() {
        let kept = tabane_survey::read_text(&path, BYTES_MAX)?;
        return match kept.trim_end().split_once(' ') {
            Some((uid, session)) if uid == of => Ok(session.to_owned()),
            _ => bail!(
                "{} has samples of another collection: say by --out where those of {} are to be kept",
                folder.display(),
                collection.meta.name
            ),
        };
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let session = uuid::Uuid::now_v7().to_string();
    tabane_survey::replace(&path, &format!("{of} {session}\n"))?;
    Ok(session)
}

/// Exports what was collected, if that has not been done for this survey, and sends it.
async fn make(client: Client, folder: PathBuf, survey: Name, collection: Name) -> Result<()> {
    let export = folder.join(EXPORTS).join(survey.as_str());
    let (from, to) = (folder, export.clone());
    tokio::task::spawn_blocking(move || exported(&from, &to)).await??;
    let note = format!("of the collection {collection}");
    push::send(&client, &survey, &export, &note, Complete::IsSent, |_| {}).await.map(drop)
}

fn exported(folder: &Path, to: &Path) -> Result<()> {
    // The folder has its name once everything is in it.
    if to.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(folder.join(EXPORTS)).context("cannot write beside the samples")?;
    collect::export(folder, to, BIN_S)?;
    Ok(())
}

fn is_passing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Error>().is_some_and(Error::is_passing)
}

fn told(error: &anyhow::Error) -> String {
    known::plain(&format!("{error:#}"))
}
