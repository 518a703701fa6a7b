//! Starting a program that outlives us, with as few rights as it needs.
//!
//! ```text
//!   here:   check, open, resolve ──clone─► (stands still) ──► word from the child ──► ProcessId, or what failed where
//!   child:                           └──► session, cgroups, handles, folder, rights (child.rs) ──► exec
//! ```
//!
//! The standard library's `Command` is not used because its own error pipe may sit on a handle number that the
//! program is to inherit, and because it cannot tell which step failed.
//!
//! Invariant: everything that needs memory or may fail for many reasons happens before the clone; the child makes
//! system calls only.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::child::{self, Plan};
use super::id::ProcessId;
use super::reaper;
use crate::{Error, Result};

/// The highest handle number that may be asked for.
const TARGET_FD_MAX: RawFd = 255;

/// Whom the program runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub uid: u32,
    pub gid: u32,
    pub supplementary_gids: Vec<u32>,
}

/// A program to be started.
///
/// It gets a session of its own, umask 077, an empty environment but for [`Launch::environment`], no capabilities
/// (also as root), `no_new_privs`, default signal handling, `/dev/null` for input and output, and no handle of ours
/// besides the inherited ones. It is not killed when we end.
#[derive(Debug)]
pub struct Launch {
    /// Looked up in `PATH` if it has no slash.
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    /// Made empty by [`Launch::new`] but for `PATH` and `LC_ALL`.
    pub environment: Vec<(OsString, OsString)>,
    /// The working directory; relative socket names live there. Entered before the privileges go, so that the
    /// folders above it may be closed to the program.
    pub directory: PathBuf,
    /// `None` leaves the user as it is.
    pub credentials: Option<Credentials>,
    /// The program's messages are appended here; the file is made, readable by us only, if it is not there.
    pub stderr: PathBuf,
    /// Handles that the program gets, each with the number (3 to 255) that it has there.
    pub inherit_fds: Vec<(OwnedFd, RawFd)>,
    /// Files (`tasks`, or `cgroup.procs` of version 2) by which the child enters its groups while it still may.
    pub cgroups: Vec<PathBuf>,
    /// Largest core file. A core file of a QEMU holds the guest's memory.
    pub core_bytes_max: u64,
    /// It may lock all memory: devices of the host that it is given write there at any time.
    pub locks_memory: bool,
}

impl Launch {
    /// A launch with the strict defaults.
    pub fn new(
        program: impl Into<PathBuf>,
        directory: impl Into<PathBuf>,
        stderr: impl Into<PathBuf>,
    ) -> Self {
        Launch {
            program: program.into(),
            arguments: Vec::new(),
            environment: vec![
                ("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()),
                ("LC_ALL".into(), "C.UTF-8".into()),
            ],
            directory: directory.into(),
            credentials: None,
            stderr: stderr.into(),
            inherit_fds: Vec::new(),
            cgroups: Vec::new(),
            core_bytes_max: 0,
            locks_memory: false,
        }
    }

    /// Starts the program; returns when it runs. Blocks for some milliseconds.
    ///
    /// Errors: [`Error::ProgramMissing`]; [`Error::Start`], which names the step that failed; [`Error::File`] for
    /// the log; [`Error::Invalid`].
    pub fn spawn(self) -> Result<ProcessId> {
        let program = resolve(&self.program)?;
        let targets = self.targets()?;
        reaper::prepare()?;

        // Every handle that the child needs lies above all targets, so that no move overwrites another's source.
        let base = targets.iter().max().map_or(3, |most| most + 1);
        let null = above(open_null()?.into(), base)?;
        let stderr = above(self.open_stderr()?.into(), base)?;
        let (report_here, report_there) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(system("make a pipe"))?;
        let report_there = above(report_there, base)?;
        let mut moves = vec![(null.as_raw_fd(), 0), (null.as_raw_fd(), 1), (stderr.as_raw_fd(), 2)];
        let mut sources = Vec::new();
        for (fd, target) in self.inherit_fds {
            let fd = above(fd, base)?;
            moves.push((fd.as_raw_fd(), target));
            sources.push(fd);
        }

        let mut arguments = vec![c_string("program", program.as_os_str())?];
        for argument in &self.arguments {
            arguments.push(c_string("argument", argument)?);
        }
        let mut environment = Vec::new();
        for (name, value) in &self.environment {
            let mut pair = name.clone();
            pair.push("=");
            pair.push(value);
            environment.push(c_string("environment", &pair)?);
        }
        let cgroups = self
            .cgroups
            .iter()
            .map(|path| c_string("cgroups", path.as_os_str()))
            .collect::<Result<Vec<_>>>()?;
        let directory = c_string("directory", self.directory.as_os_str())?;
        let plan = Plan {
            arguments: pointers(&arguments),
            environment: pointers(&environment),
            directory: &directory,
            cgroups: &cgroups,
            moves: &moves,
            credentials: self.credentials.as_ref(),
            core_bytes_max: self.core_bytes_max,
            locks_memory: self.locks_memory,
            report: report_there.as_raw_fd(),
        };
        let pid = child::start(&plan).map_err(|source| Error::System { action: "fork", source })?;
        drop(report_there);
        drop(sources);
        finish(pid, File::from(report_here), program)
    }

    fn targets(&self) -> Result<Vec<RawFd>> {
        let mut targets: Vec<RawFd> = self.inherit_fds.iter().map(|(_, target)| *target).collect();
        targets.sort_unstable();
        let doubled = targets.windows(2).any(|pair| pair[0] == pair[1]);
        if doubled || targets.iter().any(|target| !(3..=TARGET_FD_MAX).contains(target)) {
            return Err(Error::invalid("inherit_fds", "the numbers must differ and lie between 3 and 255"));
        }
        Ok(targets)
    }

    fn open_stderr(&self) -> Result<File> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            // A log file that somebody swapped for a link or a pipe is not ours.
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&self.stderr)
            .map_err(|source| Error::File { action: "append to", path: self.stderr.clone(), source })
    }
}

/// Hears from the child, and hands it to the reaper.
fn finish(pid: libc::pid_t, mut report: File, program: PathBuf) -> Result<ProcessId> {
    let mut bytes = [0; 8];
    let heard = report.read_exact(&mut bytes);
    let reap = || {
        let mut status = 0;
        // SAFETY: `pid` is our child and nobody else waits for it.
        while unsafe { libc::waitpid(pid, &raw mut status, 0) } < 0
            && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
        {}
    };
    if heard.is_ok() {
        reap();
        let [step, errno] = [&bytes[..4], &bytes[4..]]
            .map(|half| i32::from_ne_bytes(half.try_into().expect("half of eight bytes is four")));
        let source = std::io::Error::from_raw_os_error(errno);
        let step = child::step_name(step);
        if step == child::EXEC && source.kind() == std::io::ErrorKind::NotFound {
            return Err(Error::ProgramMissing { program });
        }
        return Err(Error::Start { program, step, source });
    }
    // The end of the pipe without a word: the program runs (or died before it could speak, which its status tells).
    let adopted = ProcessId::of_child(pid.unsigned_abs()).and_then(|id| reaper::adopt(id).map(|()| id));
    if adopted.is_err() {
        // SAFETY: our child, not reaped yet, so that the number is still its own.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        reap();
    }
    adopted
}

fn resolve(program: &Path) -> Result<PathBuf> {
    let missing = || Error::ProgramMissing { program: program.to_owned() };
    if program.as_os_str().as_bytes().contains(&b'/') {
        return if program.exists() { Ok(program.to_owned()) } else { Err(missing()) };
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
        .ok_or_else(missing)
}

fn open_null() -> Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/null").map_err(|source| Error::File {
        action: "open",
        path: "/dev/null".into(),
        source,
    })
}

/// The same open file under a number of at least `base`.
fn above(fd: OwnedFd, base: RawFd) -> Result<OwnedFd> {
    if fd.as_raw_fd() >= base {
        return Ok(fd);
    }
    // SAFETY: plain system call on a handle that we own.
    let moved = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, base) };
    if moved < 0 {
        return Err(Error::System { action: "duplicate a handle", source: std::io::Error::last_os_error() });
    }
    // SAFETY: the kernel just made this handle for us.
    Ok(unsafe { OwnedFd::from_raw_fd(moved) })
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}

fn c_string(field: &'static str, text: &OsStr) -> Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| Error::invalid(field, "it holds a NUL byte"))
}

fn system(action: &'static str) -> impl Fn(rustix::io::Errno) -> Error {
    move |errno| Error::System { action, source: errno.into() }
}

#[cfg(test)]
mod tests {
    use super::super::{Exit, ExitStatus, Signal, stderr_tail};
    use super::*;

    fn shell(root: &tempfile::TempDir, script: &str) -> Launch {
        let mut launch = Launch::new("sh", root.path(), root.path().join("err"));
        launch.arguments = vec!["-c".into(), script.into()];
        launch
    }

    #[tokio::test]
    async fn the_exit_status_of_a_child_is_seen_early_and_late() {
        let root = tempfile::tempdir().unwrap();
        let id = shell(&root, "echo oh >&2; exit 7").spawn().unwrap();
        assert_eq!(id.wait().await, Exit { status: Some(ExitStatus::Code(7)) });
        assert_eq!(id.wait().await, Exit { status: Some(ExitStatus::Code(7)) });
        assert!(!id.is_alive());
        assert!(!Path::new(&format!("/proc/{}", id.pid)).exists(), "a zombie stays");
        assert_eq!(stderr_tail(&root.path().join("err"), 100), "oh");

        let id = shell(&root, "exec sleep 60").spawn().unwrap();
        id.kill(Signal::Kill).unwrap();
        assert_eq!(id.wait().await, Exit { status: Some(ExitStatus::Signal(9)) });
        assert!(matches!(id.kill(Signal::Kill), Err(Error::ProcessGone { .. })));
    }

    #[test]
    fn a_missing_program_is_an_error_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        for name in ["/nonexistent/qemu", "no-such-program-anywhere"] {
            let failure = Launch::new(name, root.path(), root.path().join("err")).spawn();
            assert!(matches!(failure, Err(Error::ProgramMissing { .. })), "{failure:?}");
        }
    }

    #[test]
    fn the_failing_step_is_named() {
        let root = tempfile::tempdir().unwrap();
        let mut launch = shell(&root, "true");
        launch.directory = root.path().join("none");
        match launch.spawn() {
            Err(Error::Start { step, source, .. }) => {
                assert_eq!(step, "enter its folder");
                assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
            }
            other => panic!("{other:?}"),
        }
        let mut launch = shell(&root, "true");
        launch.program = root.path().to_owned();
        assert!(matches!(launch.spawn(), Err(Error::Start { step: child::EXEC, .. })));
    }

    #[tokio::test]
    async fn handles_arrive_under_their_numbers_and_no_others_do() {
        let root = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::write(&path, text).unwrap();
            OwnedFd::from(File::open(path).unwrap())
        };
        // A handle without close-on-exec, as a careless library would leave it.
        let leak = file("leak", "");
        // SAFETY: plain system call on a handle of this test.
        assert_eq!(unsafe { libc::fcntl(leak.as_raw_fd(), libc::F_SETFD, 0) }, 0);
        let mut launch =
            shell(&root, "cat <&3 >out3; cat <&9 >out9; ls /proc/self/fd >fds; pwd >cwd; umask >mask");
        launch.inherit_fds = vec![(file("a", "three"), 3), (file("b", "nine"), 9)];
        launch.cgroups = vec![root.path().join("tasks")];
        std::fs::write(root.path().join("tasks"), "").unwrap();
        let id = launch.spawn().unwrap();
        id.wait().await;
        let read = |name: &str| std::fs::read_to_string(root.path().join(name)).unwrap();
        assert_eq!((read("out3").as_str(), read("out9").as_str()), ("three", "nine"));
        // `ls` itself opens the folder: the next free number.
        assert_eq!(read("fds").split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3", "4", "9"]);
        assert_eq!(read("tasks"), "0");
        assert_eq!(read("mask").trim(), "0077");
        assert_eq!(Path::new(read("cwd").trim()), root.path().canonicalize().unwrap());
    }

    #[test]
    fn wrong_handle_numbers_are_refused() {
        let root = tempfile::tempdir().unwrap();
        for targets in [vec![1], vec![4, 4], vec![300]] {
            let mut launch = shell(&root, "true");
            launch.inherit_fds = targets.into_iter().map(|n| (open_null().unwrap().into(), n)).collect();
            assert!(matches!(launch.spawn(), Err(Error::Invalid { field: "inherit_fds", .. })));
        }
    }
}
