//! Everything that has to hold.

use std::process::Command;

use anyhow::Result;

use crate::{run, setup, tidy};

pub fn all() -> Result<()> {
    setup::run()?;
    run::cargo(&["fmt", "--all", "--check"])?;
    tidy::run()?;
    run::cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    tests("default", "--skip=e2e_")?;
    end_to_end()
}

pub fn end_to_end() -> Result<()> {
    setup::run()?;
    tests("e2e", "e2e_")
}

fn tests(profile: &str, filter: &str) -> Result<()> {
    if run::output("cargo", &["nextest", "--version"]).is_some() {
        return run::cargo(&["nextest", "run", "--workspace", "--profile", profile]);
    }
    // Slower and with less to read, but it needs nothing that is not there.
    let threads = if profile == "e2e" { "--test-threads=1" } else { "--test-threads=2" };
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or("cargo".into()));
    run::say_and_run(cargo.args(["test", "--workspace", "--", threads, filter]).current_dir(run::root()))
}
