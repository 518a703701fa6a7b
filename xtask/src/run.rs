//! Running programs.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The project's root folder: of the clone that runs this, which need not be the one that built it, since clones may share
/// what is built.
pub fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    let here = PathBuf::from(here);
    here.parent().map_or(here.clone(), PathBuf::from)
}

/// Says what it does, does it, and fails if that fails.
pub fn say_and_run(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", told(command));
    let status = command.status().with_context(|| format!("cannot run {}", told(command)))?;
    if status.success() { Ok(()) } else { bail!("{} failed ({status})", told(command)) }
}

fn told(command: &Command) -> String {
    let arguments = command.get_args().map(|a| a.to_string_lossy().into_owned());
    let words = std::iter::once(command.get_program().to_string_lossy().into_owned()).chain(arguments);
    let text: Vec<String> = words.collect();
    text.join(" ")
}

pub fn cargo(arguments: &[&str]) -> Result<()> {
    say_and_run(
        Command::new(std::env::var("CARGO").unwrap_or("cargo".into())).args(arguments).current_dir(root()),
    )
}

/// Where tests find the administrator's tools, too, which are not in everybody's `PATH`.
pub fn path_with_tools() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    format!("{own}:/usr/local/sbin:/usr/sbin:/sbin")
}

/// Standard output of a program, or `None` if it is missing or fails.
pub fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

pub fn is_root() -> bool {
    output("id", &["-u"]).is_some_and(|id| id.trim() == "0")
}

pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin".into(), "/sbin".into()]);
    folders.iter().any(|folder| folder.join(program).is_file())
}

/// The folder of the build, wherever cargo has been told to put it.
pub fn target() -> PathBuf {
    metadata()
        .ok()
        .and_then(|metadata| metadata["target_directory"].as_str().map(PathBuf::from))
        .unwrap_or_else(|| root().join("target"))
}

/// What cargo says of the workspace.
pub fn metadata() -> Result<Value> {
    let output = Command::new(std::env::var("CARGO").unwrap_or("cargo".into()))
        .args(["metadata", "--format-version=1", "--no-deps"])
        .current_dir(root())
        .output()
        .context("cannot run cargo metadata")?;
    Ok(serde_json::from_slice(&output.stdout)?)
}
