//! The web console in front of 10,000 VMs, in Chromium: long tasks while the list scrolls, and how soon a change shows.

use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use crate::{
    Result,
    scale::{VMS, World},
};

pub async fn console() -> Result<Value> {
    let world = World::start().await?;
    world.create_vms().await?;
    world.placed().await?;
    let folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../web");
    let output = Command::new("node")
        .arg("scripts/measure.mjs")
        .current_dir(folder)
        .env("CONSOLE_URL", format!("https://{}", world.server.address))
        .env("CONSOLE_TOKEN", world.server.admin_token.as_deref().unwrap_or_default())
        .env("CONSOLE_VMS", VMS.to_string())
        .output()
        .await?;
    world.server.stop().await;
    if !output.status.success() {
        return Err(format!("the measurement failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
