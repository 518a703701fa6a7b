//! The web console: built when its sources changed, checked, and tried in a browser with real guests.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::run;

/// The oldest Node that the console's tools run on.
const NODE_MIN: u32 = 20;

fn folder() -> PathBuf {
    run::root().join("web")
}

/// Whether a Node that is new enough is there.
pub fn has_node() -> bool {
    let version = run::output("node", &["--version"]).unwrap_or_default();
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|v| v.parse::<u32>().ok());
    major.is_some_and(|major| major >= NODE_MIN) && run::has("npm")
}

/// Builds the console into `web/dist`, where `cargo build` finds it. Quick when nothing changed.
pub fn build() -> Result<()> {
    if !has_node() {
        bail!(
            "the web console needs Node {NODE_MIN} or later with npm: on Debian 13 `apt install nodejs npm`, elsewhere \
             see https://nodejs.org; `cargo build` works without it and leaves the console out"
        );
    }
    install()?;
    let sources = ["src", "public", "index.html", "package-lock.json", "vite.config.ts", "lingui.config.ts"];
    let stamp = folder().join("node_modules/.console-built");
    let present = digest(&sources.map(|name| folder().join(name)))?;
    if folder().join("dist/index.html").exists() && fs::read_to_string(&stamp).is_ok_and(|s| s == present) {
        return Ok(());
    }
    npm(&["run", "--silent", "build"])?;
    fs::write(&stamp, present).with_context(|| format!("cannot write {}", stamp.display()))
}

/// The packages of the lock file, no others.
fn install() -> Result<()> {
    let stamp = folder().join("node_modules/.console-installed");
    let present = digest(&[folder().join("package-lock.json")])?;
    if fs::read_to_string(&stamp).is_ok_and(|s| s == present) {
        return Ok(());
    }
    npm(&["ci", "--no-audit", "--no-fund", "--loglevel=error"])?;
    fs::write(&stamp, present).with_context(|| format!("cannot write {}", stamp.display()))
}

/// Types, texts in both languages, lints.
pub fn check() -> Result<()> {
    install()?;
    npm(&["run", "--silent", "check"])
}

/// Every page and the wizard in Chromium, against `tabane up` with real guests, by the program that was built last.
pub fn browser() -> Result<()> {
    let binary = run::target().join("debug/tabane");
    run::say_and_run(
        Command::new("npx")
            .args(["--no-install", "playwright", "test"])
            .env("TABANE_BIN", binary)
            .env("PATH", run::path_with_tools())
            .current_dir(folder()),
    )
}

/// The pictures of the README.
pub fn screenshots() -> Result<()> {
    build()?;
    run::cargo(&["build", "--package", "tabane"])?;
    let binary = run::target().join("debug/tabane");
    let mut command = Command::new("npm");
    command.args(["run", "--silent", "screenshots"]).env("TABANE_BIN", binary);
    run::say_and_run(command.current_dir(folder()))
}

fn npm(arguments: &[&str]) -> Result<()> {
    run::say_and_run(Command::new("npm").args(arguments).current_dir(folder()))
}

/// Of the names and contents of files and of everything in folders.
fn digest(paths: &[PathBuf]) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        add(path, &mut hasher)?;
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn add(path: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    let failed = || format!("cannot read {}", path.display());
    path.hash(hasher);
    if !path.is_dir() {
        fs::read(path).with_context(failed)?.hash(hasher);
        return Ok(());
    }
    let mut entries: Vec<PathBuf> =
        fs::read_dir(path).with_context(failed)?.flatten().map(|e| e.path()).collect();
    entries.sort();
    entries.iter().try_for_each(|entry| add(entry, hasher))
}
