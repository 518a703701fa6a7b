//! The programs that a build runs.
//!
//! Invariant: a program runs in a session of its own, and ends with all its children when it takes too long or when
//! nobody waits for it any more.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use super::{Error, Result};

const LINES_KEPT: usize = 12;
const LINE_BYTES_MAX: usize = 4096;
/// The folders of programs, also when our own environment lacks those of the administrator.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program with the package that has it.
pub(super) type Needed = (&'static str, &'static str);

/// Errors: [`Error::Missing`] with all that are missing, so that one look is enough.
pub(super) fn check(needed: &[Needed]) -> Result<()> {
    let there = |program: &str| PATH.split(':').any(|folder| Path::new(folder).join(program).exists());
    let missing: Vec<_> = needed.iter().filter(|(program, _)| !there(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    Err(Error::Missing { programs: missing.iter().map(|(program, _)| *program).collect(), packages })
}

pub(super) struct Tool<'a> {
    program: &'static str,
    command: Command,
    timeout: Duration,
    seen: Option<&'a mut (dyn FnMut(&str) + Send)>,
}

/// Killed with its session unless its end was seen.
struct Session {
    child: Child,
    leader: Option<i32>,
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(leader) = self.leader.and_then(rustix::process::Pid::from_raw) {
            // The leader is not reaped yet, so that the number is still its own.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
}

impl<'a> Tool<'a> {
    pub(super) fn new(program: &'static str) -> Tool<'a> {
        let mut command = Command::new(program);
        command.env("PATH", PATH).env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Tool { program, command, timeout: Duration::from_secs(600), seen: None }
    }

    pub(super) fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.command.arg(argument.into());
        self
    }

    pub(super) fn args(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.command.args(arguments.into_iter().map(Into::into));
        self
    }

    pub(super) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    pub(super) fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(super) fn stdin(mut self, path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::file("open", path))?;
        self.command.stdin(file);
        Ok(self)
    }

    pub(super) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Gets every line as it comes.
    pub(super) fn seen(mut self, seen: &'a mut (dyn FnMut(&str) + Send)) -> Self {
        self.seen = Some(seen);
        self
    }

    /// Runs with standard output into a new file.
    pub(super) async fn into_file(mut self, path: &Path) -> Result<()> {
        let file = File::create(path).map_err(Error::file("make", path))?;
        self.command.stdout(file);
        self.run().await.map(drop)
    }

    /// Runs to a good end. Returns standard output, for programs that say little.
    pub(super) async fn run(mut self) -> Result<String> {
        // SAFETY: one system call between fork and exec.
        unsafe { self.command.pre_exec(|| rustix::process::setsid().map(drop).map_err(Into::into)) };
        let program = self.program;
        let child = self.command.spawn().map_err(|source| Error::Start { program, source })?;
        let leader = child.id().and_then(|id| i32::try_from(id).ok());
        let mut session = Session { child, leader };
        let (stdout, stderr) = (session.child.stdout.take(), session.child.stderr.take());
        let seen = std::sync::Mutex::new(self.seen);
        let tell = |line: &str| {
            if let Some(seen) = seen.lock().expect("no holder of this lock panics").as_mut() {
                seen(line);
            }
        };
        let work = async {
            let (stdout, stderr) =
                tokio::join!(lines(stdout, &tell, usize::MAX), lines(stderr, &tell, LINES_KEPT));
            (stdout, stderr, session.child.wait().await)
        };
        let Ok((stdout, stderr, status)) = tokio::time::timeout(self.timeout, work).await else {
            return Err(Error::Timeout { program, timeout_ms: self.timeout.as_millis() as u64 });
        };
        session.leader = None;
        let status = status.map_err(|source| Error::Start { program, source })?;
        if status.success() {
            return Ok(stdout.join("\n"));
        }
        let mut said = if stderr.is_empty() { stdout } else { stderr };
        said.drain(..said.len().saturating_sub(LINES_KEPT));
        Err(Error::Tool { program, status, detail: said.join("\n") })
    }
}

/// Reads to the end; keeps the last lines.
async fn lines(
    pipe: Option<impl AsyncRead + Unpin>,
    tell: &(impl Fn(&str) + Sync),
    kept_max: usize,
) -> Vec<String> {
    let mut kept = std::collections::VecDeque::new();
    let Some(pipe) = pipe else { return Vec::new() };
    let mut reader = BufReader::new(pipe);
    let mut bytes = Vec::new();
    while let Ok(1..) = reader.read_until(b'\n', &mut bytes).await {
        bytes.truncate(LINE_BYTES_MAX);
        let line: String = String::from_utf8_lossy(&bytes)
            .trim_end()
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        bytes.clear();
        if line.is_empty() {
            continue;
        }
        tell(&line);
        if kept.len() == kept_max {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    kept.into()
}

/// A name for the shell.
pub(super) fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}
