//! The figures of `cargo xtask bench`, as one JSON object on standard output.
//!
//! Whole processes and the real API are measured, release build, with the same QEMU started by hand beside it. Timings are
//! medians of several rounds; the machine's noise is shown by the extremes.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tabane_client::{Call, Client, Target};

mod by_hand;
mod clone;
mod console;
mod idle;
mod instant;
mod metrics;
mod plan;
mod scale;
mod start;
mod virsh;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    let mut figures = serde_json::Map::new();
    if runs("start") {
        figures.insert("start".into(), start::start().await?);
    }
    if runs("idle") {
        figures.insert("idle".into(), idle::idle().await?);
    }
    if runs("scale") {
        figures.insert("scale".into(), scale::scale().await?);
    }
    if runs("metrics") {
        figures.insert("metrics".into(), metrics::metrics().await?);
    }
    if runs("clone") {
        figures.insert("clone".into(), clone::clone().await?);
    }
    if runs("instant") {
        figures.insert("instant".into(), instant::instant().await?);
    }
    // `plan:months` is one part of it.
    let parts: Vec<&str> = wanted.iter().filter_map(|word| word.strip_prefix("plan:")).collect();
    if runs("plan") || !parts.is_empty() {
        figures.insert("plan".into(), plan::plan(&parts)?);
    }
    if runs("console") {
        figures.insert("console".into(), console::console().await?);
    }
    println!("{}", serde_json::to_string_pretty(&figures)?);
    Ok(())
}

/// `tabane up` in a folder of its own.
pub struct Up {
    pub folder: tempfile::TempDir,
    pub child: Child,
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary() -> PathBuf {
    // Examples are built beside the binary.
    let here = std::env::current_exe().unwrap_or_default();
    here.parent().and_then(Path::parent).unwrap_or(Path::new("")).join("tabane")
}

pub async fn up() -> Result<(Up, Client)> {
    let folder = tempfile::Builder::new().prefix("tabane-bench-").tempdir_in("/var/tmp")?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;
    let log = std::fs::File::create(folder.path().join("up.log"))?;
    let child = Command::new(binary())
        .args(["up", "--name", "h1", "--listen", "127.0.0.1:0"])
        .env("TABANE_DATA_DIR", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    let up = Up { folder, child };
    let target = Target::Local(up.folder.path().join("server/api.sock"));
    let started = Instant::now();
    loop {
        if let Ok(client) = Client::connect(target.clone(), None).await
            && client.get::<tabane_model::Host>("h1", &wait("ready", 10)).await.is_ok()
        {
            return Ok((up, client));
        }
        if started.elapsed() > Duration::from_secs(60) {
            return Err("`tabane up` is not ready".into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub fn wait(until: &str, timeout_s: u64) -> Call {
    Call { wait: Some(until.into()), timeout_s: Some(timeout_s), ..Call::default() }
}

pub fn spread(mut samples: Vec<f64>) -> Value {
    samples.sort_by(f64::total_cmp);
    let at = |q: f64| samples[((samples.len() - 1) as f64 * q).round() as usize];
    let round = |v: f64| (v * 100.0).round() / 100.0;
    json!({ "min": round(at(0.0)), "median": round(at(0.5)), "p95": round(at(0.95)), "p99": round(at(0.99)), "max": round(at(1.0)), "samples": samples.len() })
}

pub fn median(value: &Value) -> f64 {
    value["median"].as_f64().unwrap_or(f64::NAN)
}
