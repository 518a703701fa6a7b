//! Surveys are collected here, over SSH, or of what others have measured, and sent to the server if it shall plan.

mod collector;
mod dependencies;
mod import;
mod known;
mod push;
mod run;
mod targets;

use anyhow::Result;
use tabane_model::Survey;
use tabane_survey::collect;

use super::objects;
use crate::{
    arguments::{SurveyCommand, SurveyExport},
    context::Context,
    output::{self, counted},
};

pub async fn run(context: &Context, command: SurveyCommand) -> Result<()> {
    match command {
        SurveyCommand::Run(arguments) => run::run(context, arguments).await,
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

fn export_traces(arguments: &SurveyExport) -> Result<()> {
    let exported = collect::export(&arguments.collection, &arguments.to, arguments.bin)?;
    for finding in &exported.findings {
        println!("{finding}");
    }
    let (servers, bins) = (counted(exported.servers, "server"), counted(exported.bins, "bin"));
    println!("{servers} in {bins} of {} s: {}", arguments.bin, arguments.to.display());
    Ok(())
}
