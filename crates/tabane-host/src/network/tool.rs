//! Running a program of the host that does one thing and ends.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::io::AsyncWriteExt;

use crate::{Error, Result};

/// A program that takes longer than this hangs; on a busy host a second is nothing unusual.
const TIMEOUT: Duration = Duration::from_secs(30);
const DETAIL_LENGTH_MAX: usize = 600;
/// Where programs of the administrator are, which are not in everybody's `PATH`.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin"];

pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// Runs a program to its end; returns what it wrote. `package` has it, on Debian.
///
/// Errors: [`Error::Unfit`] if it is not there or lacks rights; [`Error::Tool`] with what it said.
pub async fn run(program: &str, package: &str, arguments: &[OsString], input: &str) -> Result<String> {
    let path = find(program).ok_or_else(|| {
        Error::unfit(format!("the host has no {program}"), format!("install it: `apt install {package}`"))
    })?;
    let failed = |detail: String| Error::Tool { tool: program.into(), detail };
    let work = talk(&path, arguments, input);
    let output = match tokio::time::timeout(TIMEOUT, work).await {
        Ok(output) => output.map_err(|e| failed(e.to_string()))?,
        Err(_) => return Err(failed(format!("it does not end within {} s", TIMEOUT.as_secs()))),
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let mut detail: String =
        said.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(DETAIL_LENGTH_MAX).collect();
    if detail.is_empty() {
        detail = output.status.to_string();
    }
    if ["not permitted", "ermission denied"].iter().any(|text| detail.contains(text)) {
        return Err(no_rights(format!("{program} may not do its work: {detail}")));
    }
    Err(failed(detail))
}

/// The one answer to all refusals of the kernel for want of rights.
pub fn no_rights(detail: String) -> Error {
    Error::unfit(detail, "run the agent as root, or use a network of kind user, which needs no rights")
}

async fn talk(path: &Path, arguments: &[OsString], input: &str) -> std::io::Result<std::process::Output> {
    let mut child = tokio::process::Command::new(path)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(input.as_bytes()).await {
            // It has ended early, and its own words say why.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    child.wait_with_output().await
}
