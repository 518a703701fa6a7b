//! Sending a folder of traces to the server.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tabane_client::{Call, Client, Content};
use tabane_model::{
    Meta, Name, Resource, Survey,
    planning::{SurveyFile, SurveyPhase, SurveySpec, survey_file_name},
};

use crate::{
    arguments::SurveyPush,
    commands::objects,
    context::Context,
    output::{self, counted},
    progress,
};

pub async fn run(context: &Context, push: &SurveyPush) -> Result<()> {
    let client = context.client().await?;
    if push.change.dry_run {
        let survey = survey(&push.name, &files(&push.traces)?, &push.note);
        let call = Call { dry_run: true, ..Call::default() };
        return output::one(context.form()?, &client.create(&survey, &call).await?);
    }
    let bar = progress::bar(&format!("survey {}", push.name));
    let tell = |told| bar.set_message(told);
    send(&client, &push.name, &push.traces, &push.note, Complete::IsTaken, tell).await?;
    bar.finish_and_clear();
    let survey: Survey = client.get(push.name.as_str(), &objects::call(&push.change)).await?;
    output::one(context.form()?, &survey)
}

/// What a survey of the same name and files means that has arrived whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Complete {
    /// Somebody else's may look the same.
    IsTaken,
    /// It is what we have sent before.
    IsSent,
}

/// Sends a folder, or the rest of it.
pub async fn send(
    client: &Client,
    name: &Name,
    folder: &Path,
    note: &str,
    complete: Complete,
    tell: impl Fn(String),
) -> Result<()> {
    let files = files(folder)?;
    let survey = create_or_go_on(client, survey(name, &files, note), complete).await?;
    for (at, (file, path)) in files.iter().enumerate() {
        if survey.status.received.contains(&file.name) {
            continue;
        }
        let size = tabane_model::format_bytes(file.size_bytes);
        tell(format!("{} of {}: {}, {size}", at + 1, counted(files.len(), "file"), file.name));
        let content = tokio::fs::File::open(path).await;
        let content = content.with_context(|| format!("cannot read {}", path.display()))?;
        match client.send_survey_file(name.as_str(), &file.name, Content::from(content)).await {
            // It had arrived when what we did before was cut short.
            Err(error) if error.code() == Some("not_uploading") => {}
            sent => sent?,
        }
    }
    Ok(())
}

fn survey(name: &Name, files: &[(SurveyFile, PathBuf)], note: &str) -> Survey {
    let files = files.iter().map(|(file, _)| file.clone()).collect();
    Survey::new(Meta::new(name.clone()), SurveySpec { files, note: note.into() })
}

/// One that was cut short is taken up again by the same command.
async fn create_or_go_on(client: &Client, survey: Survey, complete: Complete) -> Result<Survey> {
    match client.create(&survey, &Call::default()).await {
        Err(error) if error.code() == Some("name_taken") => {
            let known: Survey = client.get(survey.meta.name.as_str(), &Call::default()).await?;
            let same = known.spec.files == survey.spec.files;
            let goes_on =
                same && (known.status.phase == SurveyPhase::Uploading || complete == Complete::IsSent);
            if goes_on { Ok(known) } else { Err(error.into()) }
        }
        made => Ok(made?),
    }
}

/// What of a folder belongs to a survey, with the names that it has there.
fn files(folder: &Path) -> Result<Vec<(SurveyFile, PathBuf)>> {
    let failed = || format!("cannot read the folder {}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        let known = path.file_name().and_then(|name| survey_file_name(name.to_str()?));
        let Some(name) = known else { continue };
        let size_bytes = std::fs::metadata(&path).with_context(failed)?.len();
        files.push((SurveyFile { name, size_bytes }, path));
    }
    if files.is_empty() {
        bail!(
            "there are no traces in {}: they are servers.csv and matrices such as cpu_mhz.csv; `tabane survey export` \
             and `tabane survey import` write them",
            folder.display()
        )
    }
    files.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    Ok(files)
}
