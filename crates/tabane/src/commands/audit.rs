//! `tabane audit verify`: checks the log by itself, and against the head that the store keeps.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use tabane_server::{Config, Verdict, audit_head, verify_audit};
use tabane_store::Sqlite;

use super::DONE;
use crate::context::Context;

pub async fn verify(context: &Context) -> Result<ExitCode> {
    let folder = context.server_folder();
    let log = Config::audit_log(&folder);
    // A running server holds its store; then the log is checked by itself.
    let head = match Sqlite::open(folder.join("store")).await {
        Ok(store) => Some(audit_head(&store).await?),
        Err(tabane_store::Error::Locked { .. }) => None,
        Err(error) => return Err(error).context("cannot read the store"),
    };
    match verify_audit(&log, head.as_ref())? {
        Verdict::Sound { records, head: hash } => {
            println!("{records} records, every one in its place; the last is {hash}");
            if head.is_none() {
                println!(
                    "the server runs, so the end of the log was not compared with the store; stop it to do that"
                );
            }
            Ok(DONE)
        }
        Verdict::Broken { line, reason } => {
            eprintln!("error: {} is broken at line {line}: {reason}", log.display());
            eprintln!(
                " hint: keep the file as it is for an investigation; restore it from a backup to compare"
            );
            Ok(ExitCode::FAILURE)
        }
    }
}
