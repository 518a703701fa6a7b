//! Programs inside the guest.
//!
//! Invariant: waiting for a program holds the agent only for the moments of asking, so that other calls get through.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::PEER;
use super::channel::Agent;
use super::commands::decode_base64;
use crate::{Error, Result};

const POLL_FIRST: Duration = Duration::from_millis(10);
const POLL_MAX: Duration = Duration::from_millis(500);

/// A program to be run in the guest, without a shell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    pub path: String,
    pub arguments: Vec<String>,
    /// `NAME=value`. Empty means the agent's own environment.
    pub environment: Vec<String>,
    pub input: Input,
}

impl Program {
    pub fn new<S: Into<String>>(path: impl Into<String>, arguments: impl IntoIterator<Item = S>) -> Self {
        Program {
            path: path.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            input: Input::Nothing,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Input {
    #[default]
    Nothing,
    Bytes(Vec<u8>),
}

/// One look at a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecStatus {
    Running,
    /// The agent forgets the program once it has said this.
    Ended(Output),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    pub exit_code: Option<i64>,
    /// On Linux; on Windows an exception's number.
    pub signal: Option<i64>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// The agent keeps 16 MiB of each stream and says here when there was more.
    pub stdout_truncated: bool,
    pub stderr_truncated: bool,
}

impl Output {
    pub fn success(&self) -> bool {
        self.exit_code == Some(0)
    }
}

/// What became of [`Agent::run`] when its time was over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    Ended(Output),
    /// The program goes on in the guest under this number; ask [`Agent::exec_status`].
    StillRunning {
        pid: i64,
    },
}

#[derive(Deserialize)]
struct Started {
    pid: i64,
}

#[derive(Deserialize)]
struct Answer {
    exited: bool,
    exitcode: Option<i64>,
    signal: Option<i64>,
    #[serde(rename = "out-data")]
    out_data: Option<String>,
    #[serde(rename = "err-data")]
    err_data: Option<String>,
    #[serde(rename = "out-truncated", default)]
    out_truncated: bool,
    #[serde(rename = "err-truncated", default)]
    err_truncated: bool,
}

impl Agent {
    /// Starts a program and returns its number. Without `capture` its output is lost.
    pub async fn exec(&self, program: &Program, capture: bool) -> Result<i64> {
        let mut arguments = json!({
            "path": program.path,
            "arg": program.arguments,
            "capture-output": capture,
        });
        if !program.environment.is_empty() {
            arguments["env"] = json!(program.environment);
        }
        if let Input::Bytes(bytes) = &program.input {
            arguments["input-data"] = json!(STANDARD.encode(bytes));
        }
        Ok(self.execute::<Started>("guest-exec", arguments).await?.pid)
    }

    /// Looks after a program. The answer that it has ended comes once only.
    pub async fn exec_status(&self, pid: i64) -> Result<ExecStatus> {
        const COMMAND: &str = "guest-exec-status";
        let limits = self.limits();
        let answer: Answer =
            self.call(COMMAND, json!({ "pid": pid }), limits.timeout, limits.content_line_bytes_max).await?;
        if !answer.exited {
            return Ok(ExecStatus::Running);
        }
        Ok(ExecStatus::Ended(Output {
            exit_code: answer.exitcode,
            signal: answer.signal,
            stdout: decode_base64(COMMAND, answer.out_data.as_deref().unwrap_or(""))?,
            stderr: decode_base64(COMMAND, answer.err_data.as_deref().unwrap_or(""))?,
            stdout_truncated: answer.out_truncated,
            stderr_truncated: answer.err_truncated,
        }))
    }

    /// Runs a program and waits for its end, at most for `timeout`. There is no way to end it through the agent.
    pub async fn run(&self, program: &Program, timeout: Duration) -> Result<Run> {
        let deadline = Instant::now() + timeout;
        let pid = self.exec(program, true).await?;
        let mut pause = POLL_FIRST;
        loop {
            match self.exec_status(pid).await {
                Ok(ExecStatus::Ended(output)) => return Ok(Run::Ended(output)),
                Ok(ExecStatus::Running) => {}
                // A guest under load answers late; the program is none the worse for it. If the lost answer was the
                // last one, the next question is refused, which ends this.
                Err(Error::Timeout { .. }) => {}
                Err(error) => return Err(error),
            }
            if Instant::now() + pause >= deadline {
                return Ok(Run::StillRunning { pid });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(POLL_MAX);
        }
    }

    /// As [`Agent::run`], where a program that does not end in time is an error.
    pub async fn run_to_end(&self, program: &Program, timeout: Duration) -> Result<Output> {
        match self.run(program, timeout).await? {
            Run::Ended(output) => Ok(output),
            Run::StillRunning { pid } => Err(Error::timeout(
                format!("{} with the number {pid} in the guest (asked through {PEER})", program.path),
                timeout,
            )),
        }
    }
}
