//! The house rules that no compiler checks: which crate may use which, and how long a file may be.

use std::{fs, path::Path};

use anyhow::{Result, bail};

use crate::run;

/// Each crate, and which of ours it may use. An arrow that is not here does not exist.
const ARROWS: &[(&str, &[&str])] = &[
    ("tabane-model", &[]),
    ("tabane-core", &["tabane-model"]),
    ("tabane-store", &["tabane-model"]),
    ("tabane-client", &["tabane-model"]),
    ("tabane-qemu", &[]),
    ("tabane-convert", &["tabane-model"]),
    ("tabane-survey", &["tabane-model"]),
    ("tabane-report", &["tabane-model"]),
    ("tabane-host", &["tabane-core", "tabane-client", "tabane-convert", "tabane-qemu", "tabane-model"]),
    ("tabane-server", &["tabane-core", "tabane-store", "tabane-survey", "tabane-report", "tabane-model"]),
    (
        "tabane",
        &[
            "tabane-server",
            "tabane-host",
            "tabane-client",
            "tabane-convert",
            "tabane-survey",
            "tabane-report",
            "tabane-core",
            "tabane-model",
            "tabane-store",
        ],
    ),
    ("xtask", &[]),
];
const LINES_WARN: usize = 800;
const LINES_MAX: usize = 1200;
/// Words that say nothing about what is inside.
const NAMES_REFUSED: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "misc"];

pub fn run() -> Result<()> {
    let mut faults = Vec::new();
    arrows(&mut faults)?;
    files(&run::root(), &mut faults)?;
    if faults.is_empty() {
        eprintln!("tidy: the house is in order");
        return Ok(());
    }
    for fault in &faults {
        eprintln!("tidy: {fault}");
    }
    bail!("{} house rules are broken", faults.len())
}

fn arrows(faults: &mut Vec<String>) -> Result<()> {
    let metadata = run::metadata()?;
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
            faults.push(format!("the crate {name} has no place in the house; add it to the list of arrows"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = dependency["name"].as_str().unwrap_or_default();
            let ours = ARROWS.iter().any(|(known, _)| *known == to);
            // Tests may look further than the code.
            let development = dependency["kind"].as_str() == Some("dev");
            if ours && !development && !allowed.contains(&to) {
                faults.push(format!("{name} must not use {to}"));
            }
        }
    }
    Ok(())
}

fn files(folder: &Path, faults: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                files(&path, faults)?;
            }
            continue;
        }
        let Some(stem) = name.strip_suffix(".rs") else { continue };
        if NAMES_REFUSED.contains(&stem) {
            faults.push(format!("{}: the name says nothing", path.display()));
        }
        let text = fs::read_to_string(&path)?;
        let lines = text.lines().count();
        if lines > LINES_MAX {
            faults.push(format!("{}: {lines} lines; the most is {LINES_MAX}", path.display()));
        } else if lines > LINES_WARN {
            eprintln!("tidy: note: {} has {lines} lines; think of dividing it", path.display());
        }
    }
    Ok(())
}
