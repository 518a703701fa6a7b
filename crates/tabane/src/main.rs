//! `tabane`: the one binary. Command line, configuration and wiring; everything else is in the libraries.

mod arguments;
mod commands;
mod context;
mod output;
mod progress;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let default = match arguments.command {
        Command::Up(_) | Command::Server(_) | Command::Host(arguments::HostCommand::Join(_)) => "info",
        _ => "warn",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("TABANE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("cannot start")),
    };
    let result = runtime.block_on(commands::run(arguments));
    // A thread that still reads from a terminal must not keep us.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

/// Says what went wrong, with everything behind it, and what to do next; once.
fn fail(error: &anyhow::Error) -> ExitCode {
    let mut text = String::new();
    for cause in error.chain() {
        let told = cause.to_string();
        if !text.contains(&told) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&told);
        }
    }
    eprintln!("error: {text}");
    if let Some(problem) = error.chain().find_map(|e| match e.downcast_ref::<tabane_client::Error>() {
        Some(tabane_client::Error::Problem(problem)) => Some(problem),
        _ => None,
    }) {
        for fault in problem.faults.iter().skip(1) {
            eprintln!("       {}: {} ({})", fault.field, fault.message, fault.hint);
        }
    }
    if let Some(hint) = hint(error) {
        eprintln!(" hint: {hint}");
    }
    ExitCode::FAILURE
}

fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<tabane_client::Error>() {
            return error.hint();
        }
        if let Some(tabane_server::Error::Listen { source, .. }) =
            cause.downcast_ref::<tabane_server::Error>()
            && source.kind() == std::io::ErrorKind::AddrInUse
        {
            return Some(
                "another program has this port; choose another one with --listen ADDRESS:PORT".into(),
            );
        }
        if let Some(tabane_host::Error::FolderInUse { .. }) = cause.downcast_ref::<tabane_host::Error>() {
            return Some("stop the other agent, or give this one its own TABANE_DATA_DIR".into());
        }
        if let Some(tabane_store::Error::Locked { .. }) = cause.downcast_ref::<tabane_store::Error>() {
            return Some("stop the other server, or give this one its own TABANE_DATA_DIR".into());
        }
        None
    })
}
