//! How qemu-img runs when it reads what a stranger wrote.
//!
//! ```text
//!   fork ─► own session ─► limits ─► drop groups, gid, uid ─► no new privileges ─► exec
//!                                                                  │
//!             timeout, too much output, or our future dropped ─► SIGKILL to the whole session
//! ```
//!
//! Invariant: nothing here needs namespaces, seccomp or cgroups, which a host may lack; the kernel's oldest means
//! (another user, rlimits) do the work. If we are killed ourselves, a long copy dies of its next progress report, and
//! anything else of its limits. (A parent-death signal would follow the thread that forked, which may end before we do.)

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// Standard output beyond this ends the process.
const STDOUT_BYTES_MAX: usize = 4 << 20;
/// Of standard error only the end is kept: the last message tells the reason.
const STDERR_BYTES_KEPT: usize = 8 << 10;
/// What a run of qemu-img may use.
#[derive(Debug, Clone)]
pub struct Sandbox {
    /// Becomes this user and group, and loses all other groups but `groups`. Only root can; must be given when we are root and
    /// images are foreign. The image files must be accessible to it; the folders they are in need not be.
    pub identity: Option<(u32, u32)>,
    /// Groups that it has beside its own, for images of ours that stand on others.
    pub groups: Vec<u32>,
    pub memory_bytes: u64,
    /// For questions that read metadata.
    pub probe_timeout_ms: u64,
    /// For work that reads or writes all data.
    pub copy_timeout_ms: u64,
}

impl Default for Sandbox {
    fn default() -> Self {
        Sandbox {
            identity: None,
            groups: Vec::new(),
            memory_bytes: 1 << 30,
            probe_timeout_ms: 60_000,
            copy_timeout_ms: 24 * 3600 * 1000,
        }
    }
}

/// One run.
pub(crate) struct Run<'a> {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    /// Stay open in the child, under the same numbers: moving them could hit the pipe by which the child reports that
    /// it cannot start.
    pub files: Vec<&'a OwnedFd>,
    pub timeout: Duration,
    /// CPU time of all threads together.
    pub cpu: Duration,
    /// No file may grow beyond this.
    pub file_bytes_max: u64,
}

/// How a run ended.
pub(crate) struct Ended {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

pub(crate) enum Fault {
    Start(io::Error),
    Wait(io::Error),
    Timeout,
    TooMuchOutput,
}

/// The whole session, killed when this is dropped before the end was seen.
struct Session {
    child: Child,
    leader: Option<i32>,
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // SAFETY: a plain system call. The leader is not reaped yet, so that the number is still its own.
            unsafe { libc::kill(-leader, libc::SIGKILL) };
        }
    }
}

impl Sandbox {
    /// Runs to the end; `seen` gets standard output as it comes.
    pub(crate) async fn run(&self, run: Run<'_>, mut seen: impl FnMut(&[u8])) -> Result<Ended, Fault> {
        let timeout = run.timeout;
        let child = self.command(&run).spawn().map_err(Fault::Start)?;
        let leader = child.id().and_then(|id| i32::try_from(id).ok());
        let mut session = Session { child, leader };
        let stdout = session.child.stdout.take();
        let stderr = session.child.stderr.take();
        let work = async {
            let (stdout, stderr) = tokio::join!(all(stdout, &mut seen), tail(stderr));
            let stdout = stdout?;
            let status = session.child.wait().await.map_err(Fault::Wait)?;
            Ok(Ended { status, stdout, stderr })
        };
        let ended = tokio::time::timeout(timeout, work).await.unwrap_or(Err(Fault::Timeout));
        if ended.is_ok() {
            session.leader = None;
        }
        ended
    }

    fn command(&self, run: &Run<'_>) -> Command {
        let mut command = Command::new(&run.program);
        command
            .args(&run.arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C")
            // Each arena reserves 64 MiB of the address space that we bound.
            .env("MALLOC_ARENA_MAX", "2")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let limits = [
            (libc::RLIMIT_AS, self.memory_bytes),
            (libc::RLIMIT_CPU, run.cpu.as_secs().max(1)),
            (libc::RLIMIT_FSIZE, run.file_bytes_max),
            (libc::RLIMIT_CORE, 0),
            (libc::RLIMIT_NOFILE, 64),
            // The default of 8 MiB for each thread would use up the address space.
            (libc::RLIMIT_STACK, 2 << 20),
        ];
        let identity = self.identity;
        let groups = self.groups.clone();
        let fds: Vec<RawFd> = run.files.iter().map(|file| file.as_raw_fd()).collect();
        // SAFETY: between fork and exec the closure makes system calls only; it neither allocates nor locks.
        unsafe { command.pre_exec(move || confine(identity, &groups, &limits, &fds)) };
        command
    }
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Runs in the child.
fn confine(
    identity: Option<(u32, u32)>,
    groups: &[u32],
    limits: &[(u32, u64)],
    fds: &[RawFd],
) -> io::Result<()> {
    // SAFETY: plain system calls on values of our own.
    unsafe {
        checked(libc::setsid())?;
        for fd in fds {
            checked(libc::fcntl(*fd, libc::F_SETFD, 0))?;
        }
        for (resource, value) in limits {
            let limit = libc::rlimit { rlim_cur: *value, rlim_max: *value };
            checked(libc::setrlimit(*resource, &limit))?;
        }
        if let Some((uid, gid)) = identity {
            checked(libc::setgroups(groups.len(), groups.as_ptr()))?;
            checked(libc::setresgid(gid, gid, gid))?;
            checked(libc::setresuid(uid, uid, uid))?;
        }
        checked(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    }
}

async fn all(pipe: Option<impl AsyncRead + Unpin>, seen: &mut impl FnMut(&[u8])) -> Result<Vec<u8>, Fault> {
    let mut kept = Vec::new();
    let Some(mut pipe) = pipe else { return Ok(kept) };
    let mut buffer = [0; 4096];
    loop {
        match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(kept),
            Ok(n) => {
                seen(&buffer[..n]);
                if kept.len() + n > STDOUT_BYTES_MAX {
                    return Err(Fault::TooMuchOutput);
                }
                kept.extend_from_slice(&buffer[..n]);
            }
        }
    }
}

async fn tail(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let mut kept = Vec::new();
    let Some(mut pipe) = pipe else { return String::new() };
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = pipe.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..n]);
        let surplus = kept.len().saturating_sub(STDERR_BYTES_KEPT);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept)
        .chars()
        .map(|c| if c.is_control() && c != '\n' { ' ' } else { c })
        .collect()
}
