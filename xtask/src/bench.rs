//! Figures, as JSON on standard output: `cargo xtask bench [start] [idle] [scale] [clone] [instant] [metrics] [console] [plan] [plan:PART]`.

use anyhow::Result;

use crate::{console, run, setup};

pub fn run(arguments: &[String]) -> Result<()> {
    setup::for_tests()?;
    let wants_console = arguments.is_empty() || arguments.iter().any(|a| a == "console");
    if wants_console {
        console::build()?;
    }
    run::cargo(&["build", "--release", "--package", "tabane", "--bin", "tabane"])?;
    let mut all = vec!["run", "--release", "--quiet", "--package", "tabane", "--example", "bench", "--"];
    all.extend(arguments.iter().map(String::as_str));
    run::cargo(&all)
}
