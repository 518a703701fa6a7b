//! `tabane survey run`: looks at servers until nobody wants it any more, on its own or for a collection of the server.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use tabane_survey::collect::{self, Options, Sources, Target};

use super::{collector, known::Known, targets};
use crate::{arguments::SurveyRun, context::Context, progress};

pub async fn run(context: &Context, arguments: SurveyRun) -> Result<()> {
    match arguments.collection.clone() {
        Some(name) => collector::run(context, arguments, name).await,
        None => alone(arguments).await,
    }
}

async fn alone(arguments: SurveyRun) -> Result<()> {
    let mut sources = Sources::default();
    arguments.sources.iter().cloned().try_for_each(|range| sources.add(range))?;
    if let Some(list) = &arguments.list {
        sources.read(list)?;
    }
    let folder = arguments.out.clone().context("say by --out where it is kept")?;
    let targets = targets::of(sources, arguments.ssh_config.as_deref()).await?;
    let measuring = Measuring::of(&targets);
    let length = arguments.length.map(Duration::try_from).transpose()?;
    let ended = async {
        match length {
            Some(length) => tokio::time::sleep(length).await,
            None => std::future::pending().await,
        }
    };
    let told = folder.display().to_string();
    let step = arguments.step;
    tokio::select! {
        failed = measuring.clone().measure(targets, folder, options(arguments, step)) => failed?,
        () = ended => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    measuring.bar.finish_and_clear();
    println!("{}", measuring.known().told());
    println!("go on with `tabane survey export {told} --to FOLDER`, or collect more by the same command");
    Ok(())
}

pub fn options(arguments: SurveyRun, step_s: u32) -> Options {
    let SurveyRun { ssh_config, identity, .. } = arguments;
    Options { step: Duration::from_secs(u64::from(step_s)), ssh_config, identity }
}

/// Servers that are looked at, and what is known of them.
#[derive(Clone)]
pub struct Measuring {
    known: Arc<Mutex<Known>>,
    pub bar: ProgressBar,
}

impl Measuring {
    pub fn of(targets: &[Target]) -> Self {
        Self { known: Arc::new(Mutex::new(Known::of(targets))), bar: progress::bar("survey") }
    }

    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends by itself only when the folder cannot be written.
    pub async fn measure(self, targets: Vec<Target>, folder: PathBuf, options: Options) -> Result<()> {
        let tell = move |target: &Target, progress| {
            let mut known = self.known();
            if let Some(line) = known.note(target, progress) {
                self.say(&line);
            }
            self.bar.set_message(known.told());
        };
        Ok(collect::collect(targets, &folder, &options, Arc::new(tell)).await?)
    }

    /// Above the bar, or on standard error where there is none.
    pub fn say(&self, text: &str) {
        if self.bar.is_hidden() { eprintln!("{text}") } else { self.bar.println(text) }
    }
}
