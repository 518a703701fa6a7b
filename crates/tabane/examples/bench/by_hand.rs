//! The same QEMU, started by hand.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::Result;

pub fn command_line(pid: u32) -> Result<Vec<String>> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline"))?;
    let words = bytes.split(|b| *b == 0).filter(|w| !w.is_empty());
    Ok(words.map(|w| String::from_utf8_lossy(w).into_owned()).collect())
}

/// The same QEMU with `-daemonize`: milliseconds until the command returns, and until the agent answers.
pub async fn start_by_hand(folder: &Path, arguments: &[String]) -> Result<(f64, f64)> {
    let here = folder.join("by-hand");
    let _ = std::fs::remove_dir_all(&here);
    std::fs::create_dir_all(&here)?;
    let mut words = Vec::new();
    let mut skip = false;
    for (i, word) in arguments.iter().enumerate().skip(1) {
        if std::mem::take(&mut skip) || word == "-S" {
            continue;
        }
        // `-daemonize` forks, which the filter forbids.
        if word == "-sandbox" {
            skip = true;
            continue;
        }
        let value = arguments.get(i + 1).map(String::as_str).unwrap_or_default();
        // The VM's disk and seed went with it: blank ones of the same form take their places.
        if word == "-blockdev" && value.contains("\"filename\"") {
            let mut node: Value = serde_json::from_str(value)?;
            rewrite(&mut node, &here)?;
            words.extend([word.clone(), node.to_string()]);
            skip = true;
            continue;
        }
        words.push(word.clone());
    }
    let began = Instant::now();
    let pid_file = here.join("pid");
    let status = Command::new(&arguments[0])
        .args(&words)
        .args(["-daemonize", "-pidfile"])
        .arg(&pid_file)
        .current_dir(&here)
        .stdout(Stdio::null())
        .status()?;
    let started = began.elapsed().as_secs_f64() * 1e3;
    if !status.success() {
        return Err("QEMU by hand failed".into());
    }
    let agent = tabane_qemu::agent::Agent::new(here.join("agent.sock"));
    while agent.ping_within(Duration::from_millis(150)).await.is_err() {
        if began.elapsed() > Duration::from_secs(240) {
            return Err("the guest by hand does not answer".into());
        }
    }
    let answered = began.elapsed().as_secs_f64() * 1e3;
    let pid = std::fs::read_to_string(&pid_file)?.trim().to_owned();
    Command::new("kill").args(["-9", &pid]).status()?;
    Ok((started, answered))
}

fn rewrite(node: &mut Value, folder: &Path) -> Result<()> {
    let Some(object) = node.as_object_mut() else { return Ok(()) };
    for value in object.values_mut() {
        rewrite(value, folder)?;
    }
    let Some(name) = object.get("filename").and_then(Value::as_str).map(String::from) else { return Ok(()) };
    let file = folder.join(Path::new(&name).file_name().unwrap_or_default());
    if !file.exists() {
        if name.ends_with(".qcow2") {
            tabane_qemu::qcow2::create(&file, 64 << 20, None)?;
        } else {
            std::fs::write(&file, vec![0; 1 << 20])?;
        }
    }
    object.insert("filename".into(), file.to_string_lossy().into_owned().into());
    Ok(())
}
