//! One function for each thing that the agent knows or does.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::PEER;
use super::bounded::List;
use super::channel::Agent;
use super::types::{
    AgentInfo, FileSystem, FreezeState, MemoryBlock, MemoryBlockResult, NetworkInterface, OsInfo,
    ShutdownMode, VcpuInfo,
};
use crate::{Error, Result};

/// Freezing waits until the guest has written all its dirty pages.
const FREEZE_TIMEOUT: Duration = Duration::from_secs(120);

impl Agent {
    /// Whether the agent answers.
    pub async fn ping(&self) -> Result<()> {
        self.ask("guest-ping", Value::Null).await
    }

    /// As [`Agent::ping`], for a quick look at a guest that may not have an agent.
    pub async fn ping_within(&self, timeout: Duration) -> Result<()> {
        let bytes_max = self.limits().line_bytes_max;
        self.call::<IgnoredAny>("guest-ping", Value::Null, timeout, bytes_max).await.map(drop)
    }

    pub async fn info(&self) -> Result<AgentInfo> {
        self.execute("guest-info", Value::Null).await
    }

    pub async fn host_name(&self) -> Result<String> {
        #[derive(Deserialize)]
        struct Name {
            #[serde(rename = "host-name")]
            name: String,
        }
        Ok(self.execute::<Name>("guest-get-host-name", Value::Null).await?.name)
    }

    pub async fn os_info(&self) -> Result<OsInfo> {
        self.execute("guest-get-osinfo", Value::Null).await
    }

    pub async fn network_interfaces(&self) -> Result<Vec<NetworkInterface>> {
        Ok(self.execute::<List<_>>("guest-network-get-interfaces", Value::Null).await?.0)
    }

    pub async fn file_systems(&self) -> Result<Vec<FileSystem>> {
        Ok(self.execute::<List<_>>("guest-get-fsinfo", Value::Null).await?.0)
    }

    /// Asks the guest to end itself. Success means that it was asked; the machine's events tell the rest.
    pub async fn shutdown(&self, mode: ShutdownMode) -> Result<()> {
        let mode = match mode {
            ShutdownMode::PowerDown => "powerdown",
            ShutdownMode::Halt => "halt",
            ShutdownMode::Reboot => "reboot",
        };
        self.call_without_answer("guest-shutdown", json!({ "mode": mode })).await
    }

    /// Sets the guest's clock, in nanoseconds since 1970 UTC; `None` takes the machine's hardware clock, which is
    /// right after a pause or a restore.
    pub async fn sync_time(&self, time_ns: Option<i64>) -> Result<()> {
        let arguments = time_ns.map_or(Value::Null, |time_ns| json!({ "time": time_ns }));
        self.ask("guest-set-time", arguments).await
    }

    /// The guest's clock, in nanoseconds since 1970 UTC.
    pub async fn time_ns(&self) -> Result<i64> {
        self.execute("guest-get-time", Value::Null).await
    }

    /// Sets a password: in the clear, or as the guest's own hash (`crypted`).
    pub async fn set_user_password(&self, user: &str, password: &str, crypted: bool) -> Result<()> {
        let password = STANDARD.encode(password);
        let arguments = json!({ "username": user, "password": password, "crypted": crypted });
        self.ask("guest-set-user-password", arguments).await
    }

    pub async fn fsfreeze_status(&self) -> Result<FreezeState> {
        self.execute("guest-fsfreeze-status", Value::Null).await
    }

    /// Freezes all file systems and returns how many. Whoever freezes must thaw, also when what comes between fails;
    /// while frozen the agent refuses most other commands.
    pub async fn fsfreeze_freeze(&self) -> Result<u64> {
        let bytes_max = self.limits().line_bytes_max;
        self.call("guest-fsfreeze-freeze", Value::Null, FREEZE_TIMEOUT, bytes_max).await
    }

    /// Thaws all file systems and returns how many were frozen.
    pub async fn fsfreeze_thaw(&self) -> Result<u64> {
        let bytes_max = self.limits().line_bytes_max;
        self.call("guest-fsfreeze-thaw", Value::Null, FREEZE_TIMEOUT, bytes_max).await
    }

    pub async fn vcpus(&self) -> Result<Vec<VcpuInfo>> {
        Ok(self.execute::<List<_>>("guest-get-vcpus", Value::Null).await?.0)
    }

    /// Takes vCPUs on or off line, as pairs of logical id and online. Returns how many were done; the agent stops at
    /// the first that fails.
    pub async fn set_vcpus(&self, vcpus: &[(u64, bool)]) -> Result<u64> {
        let list: Vec<Value> =
            vcpus.iter().map(|(id, online)| json!({ "logical-id": id, "online": online })).collect();
        self.execute("guest-set-vcpus", json!({ "vcpus": list })).await
    }

    pub async fn memory_blocks(&self) -> Result<Vec<MemoryBlock>> {
        Ok(self.execute::<List<_>>("guest-get-memory-blocks", Value::Null).await?.0)
    }

    /// Takes memory that was plugged in into use, where the guest does not do so itself. Returns the number of blocks
    /// that were off line.
    pub async fn online_memory(&self) -> Result<usize> {
        let offline: Vec<Value> = self
            .memory_blocks()
            .await?
            .iter()
            .filter(|block| !block.online)
            .map(|block| json!({ "phys-index": block.index, "online": true }))
            .collect();
        if offline.is_empty() {
            return Ok(0);
        }
        let results: List<MemoryBlockResult> =
            self.execute("guest-set-memory-blocks", json!({ "mem-blks": offline })).await?;
        if let Some(failed) = results.0.iter().find(|result| result.response != "success") {
            return Err(Error::Agent {
                command: "guest-set-memory-blocks".into(),
                class: crate::qmp::quote(&failed.response),
                desc: format!("memory block {} stays off line", failed.index),
            });
        }
        Ok(offline.len())
    }

    pub(super) async fn ask(&self, command: &str, arguments: Value) -> Result<()> {
        self.execute::<IgnoredAny>(command, arguments).await.map(drop)
    }
}

pub(super) fn decode_base64(command: &str, text: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text).map_err(|error| Error::Protocol {
        peer: PEER,
        detail: format!("the contents in the answer to {command} are not base64: {error}"),
    })
}
