//! Figures, as JSON on standard output: `cargo xtask bench [start] [idle] [scale] [clone]`.

use anyhow::Result;

use crate::{run, setup};

pub fn run(arguments: &[String]) -> Result<()> {
    setup::run()?;
    run::cargo(&["build", "--release", "--package", "tabane", "--bin", "tabane"])?;
    let mut all = vec!["run", "--release", "--quiet", "--package", "tabane", "--example", "bench", "--"];
    all.extend(arguments.iter().map(String::as_str));
    run::cargo(&all)
}
