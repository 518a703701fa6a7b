//! What other tools have measured becomes a folder of traces.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, Result};
use serde_json::json;
use tabane_survey::import::{self, Assumed, Form as Foreign, Imported, Request, Watch};

use crate::{
    arguments::{Form, SurveyImport},
    context::Context,
    output::{self, counted},
    progress,
};

pub async fn run(context: &Context, arguments: SurveyImport) -> Result<()> {
    let form = context.form()?;
    let foreign = Foreign::ALL.into_iter().find(|form| form.name() == arguments.form);
    let request = Request {
        form: foreign.context("the form is one of those that are named")?,
        files: arguments.files,
        to: arguments.to,
        bin_s: arguments.bin,
        first_bin_unix: arguments.first_bin,
        assumed: Assumed {
            cores: arguments.cores,
            core_mhz: arguments.core_mhz,
            memory_mib: arguments.memory_mib,
        },
        servers: arguments.servers,
    };
    let stopped = Arc::new(AtomicBool::new(false));
    let seen = stopped.clone();
    let mut working = tokio::task::spawn_blocking(move || work(&request, &seen).map(|told| (request, told)));
    let (request, imported) = tokio::select! {
        done = &mut working => done??,
        // What is half done is taken away before this ends.
        _ = tokio::signal::ctrl_c() => {
            stopped.store(true, Ordering::Relaxed);
            working.await??
        }
    };
    match form {
        Form::Table => tell(&request, &imported),
        form => output::value(form, &as_json(&request, &imported)),
    }
}

fn work(request: &Request, stopped: &AtomicBool) -> tabane_survey::Result<Imported> {
    let bar = progress::bar("import");
    let watch = Watch { tell: &|told| bar.set_message(told), stopped: &|| stopped.load(Ordering::Relaxed) };
    let imported = import::import(request, &watch);
    bar.finish_and_clear();
    imported
}

fn tell(request: &Request, imported: &Imported) -> Result<()> {
    for group in import::grouped(&imported.findings) {
        output::say(&group.to_string())?;
    }
    let servers = counted(imported.servers, "server");
    let to = request.to.display();
    if request.form.is_inventory() {
        output::say(&format!("{servers} without loads over time: {to}/servers.csv"))?;
        return output::say("plans need traces, too: import them with `--servers` and this file");
    }
    let metrics: Vec<&str> = imported.metrics.iter().map(|metric| metric.name()).collect();
    let bins = counted(imported.bins, "bin");
    output::say(&format!("{servers} in {bins} of {} s, {}: {to}", request.bin_s, metrics.join(", ")))
}

fn as_json(request: &Request, imported: &Imported) -> serde_json::Value {
    let findings: Vec<serde_json::Value> = imported
        .findings
        .iter()
        .map(|it| json!({ "kind": it.kind.name(), "server": it.server, "count": it.count, "example": it.example, "told": it.kind.told() }))
        .collect();
    let metrics: Vec<&str> = imported.metrics.iter().map(|metric| metric.name()).collect();
    json!({
        "folder": request.to,
        "servers": imported.servers,
        "bins": imported.bins,
        "step_s": request.bin_s,
        "metrics": metrics,
        "findings": findings,
    })
}
