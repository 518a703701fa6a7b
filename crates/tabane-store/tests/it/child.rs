//! A child process that is this test binary again, running one of its tests in another role.
//!
//! The role is in the environment; without it the test is the parent's and returns at once.

use std::path::Path;
use std::process::{Command, Stdio};

const FOLDER: &str = "TABANE_STORE_TEST_FOLDER";

/// The folder to work in, when we are the child.
pub fn folder() -> Option<std::path::PathBuf> {
    std::env::var_os(FOLDER).map(Into::into)
}

/// Runs the test `name` of this binary as a child, with its standard output to read.
pub fn command(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(FOLDER, folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}
