//! Everything that has to hold.

use std::process::Command;

use anyhow::Result;

use crate::{console, run, setup, tidy};

/// What cargo starts tests by.
const RUNNER: &str = "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER";

pub fn all() -> Result<()> {
    setup::for_tests()?;
    console::build()?;
    console::check()?;
    run::cargo(&["fmt", "--all", "--check"])?;
    tidy::run()?;
    run::cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    tests("default", &["--skip=e2e_", "--skip=soak_"])?;
    end_to_end()?;
    // The program is there: it was built for the tests.
    console::browser()
}

/// The web console alone.
pub fn browser() -> Result<()> {
    setup::for_tests()?;
    console::build()?;
    console::check()?;
    run::cargo(&["build", "--package", "tabane"])?;
    console::browser()
}

pub fn end_to_end() -> Result<()> {
    setup::for_tests()?;
    tests("e2e", &["e2e_", "--skip=soak_"])
}

pub fn soak() -> Result<()> {
    setup::for_tests()?;
    tests("soak", &["soak_"])
}

fn tests(profile: &str, filters: &[&str]) -> Result<()> {
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or("cargo".into()));
    if profile != "default" && !run::is_root() {
        // Networks, users of their own for VMs, and file systems to fill need root: what was built here runs as root.
        cargo.env(RUNNER, "sudo --preserve-env");
    }
    if run::output("cargo", &["nextest", "--version"]).is_some() {
        cargo.args(["nextest", "run", "--workspace", "--profile", profile]);
    } else {
        // Slower and with less to read, but it needs nothing that is not there.
        let threads = if profile == "default" { "--test-threads=2" } else { "--test-threads=1" };
        cargo.args(["test", "--workspace", "--", threads]).args(filters);
    }
    cargo.env("PATH", run::path_with_tools());
    run::say_and_run(cargo.current_dir(run::root()))
}
