//! `tabane doctor`: looks at this machine and says how to mend what is missing.

use std::process::ExitCode;

use anyhow::Result;
use tabane_host::Severity;

use super::DONE;
use crate::{arguments::Form, context::Context, output};

pub async fn run(context: &Context) -> Result<ExitCode> {
    let findings = tabane_host::examine(&context.host_folder()).await;
    let faults = findings.iter().filter(|f| f.severity == Severity::Fault).count();
    match context.form()? {
        Form::Table => {
            for finding in &findings {
                let sign = match finding.severity {
                    Severity::Fine => "ok   ",
                    Severity::Note => "note ",
                    Severity::Fault => "FAULT",
                };
                println!("{sign}  {}: {}", finding.about, finding.told);
                if !finding.mend.is_empty() {
                    println!("       → {}", finding.mend);
                }
            }
        }
        form => {
            let each = findings.iter().map(|f| {
                let severity = format!("{:?}", f.severity).to_ascii_lowercase();
                serde_json::json!({ "severity": severity, "about": f.about, "told": f.told, "mend": f.mend })
            });
            output::value(form, &each.collect::<Vec<_>>())?;
        }
    }
    Ok(if faults == 0 { DONE } else { ExitCode::FAILURE })
}
