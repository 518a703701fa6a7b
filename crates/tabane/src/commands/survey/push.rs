//! Sending a folder of traces to the server.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tabane_client::{Call, Client, Content};
use tabane_model::{
    Meta, Resource, Survey,
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
    let files = files(&push.traces)?;
    let spec =
        SurveySpec { files: files.iter().map(|(file, _)| file.clone()).collect(), note: push.note.clone() };
    let client = context.client().await?;
    let name = push.name.as_str();
    let survey = Survey::new(Meta::new(push.name.clone()), spec);
    if push.change.dry_run {
        let call = Call { dry_run: true, ..Call::default() };
        return output::one(context.form()?, &client.create(&survey, &call).await?);
    }
    let survey = create_or_go_on(&client, survey).await?;
    let bar = progress::bar(&format!("survey {name}"));
    for (at, (file, path)) in files.iter().enumerate() {
        if survey.status.received.contains(&file.name) {
            continue;
        }
        let size = tabane_model::format_bytes(file.size_bytes);
        bar.set_message(format!("{} of {}: {}, {size}", at + 1, counted(files.len(), "file"), file.name));
        let content = tokio::fs::File::open(path).await;
        let content = content.with_context(|| format!("cannot read {}", path.display()))?;
        match client.send_survey_file(name, &file.name, Content::from(content)).await {
            // It had arrived when what we did before was cut short.
            Err(error) if error.code() == Some("not_uploading") => {}
            sent => sent?,
        }
    }
    bar.finish_and_clear();
    let survey: Survey = client.get(name, &objects::call(&push.change)).await?;
    output::one(context.form()?, &survey)
}

/// One that was cut short is taken up again by the same command.
async fn create_or_go_on(client: &Client, survey: Survey) -> Result<Survey> {
    match client.create(&survey, &Call::default()).await {
        Err(error) if error.code() == Some("name_taken") => {
            let known: Survey = client.get(survey.meta.name.as_str(), &Call::default()).await?;
            let same = known.spec.files == survey.spec.files;
            let goes_on = same && known.status.phase == SurveyPhase::Uploading;
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
