//! qemu-img: make, ask, convert, check and resize image files.
//!
//! ```text
//!   Source (path, format, trusted?) ──open──► descriptor ──► qemu-img in a Sandbox ──► Info, Measure, Check
//!                                                                     │
//!                                                                     └──► Target (new, durable, or gone again)
//! ```
//!
//! Invariants: no format is ever probed; a foreign image is refused as soon as it refers to another file; a file that
//! could not be finished does not stay. See [`Sandbox`] for what qemu-img may do.

mod answers;
mod convert;
mod error;
mod merge;
pub(crate) mod sandbox;
mod source;
mod target;
#[cfg(test)]
mod tests;
mod vmdk;

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use answers::{Check, Info, InternalSnapshot, Measure};
pub use convert::{Output, Progress};
pub use error::{Error, Result};
pub use sandbox::Sandbox;
pub use source::{Format, Source};
pub use vmdk::name_extent;

use sandbox::{Ended, Fault, Run};
use source::{Lock, Opened, absolute, fd_name};
use target::Target;

/// The largest disk that we make or take: 64 TiB.
pub const VIRTUAL_BYTES_MAX: u64 = 64 << 40;
/// CPU time for questions.
const PROBE_CPU: Duration = Duration::from_secs(60);
/// What the metadata of a new or resized qcow2 may take: far more than 64 TiB need.
const METADATA_BYTES: u64 = 1 << 30;

/// qemu-img in a sandbox.
#[derive(Debug, Clone)]
pub struct Img {
    program: PathBuf,
    sandbox: Sandbox,
}

impl Img {
    pub fn new(sandbox: Sandbox) -> Img {
        Img { program: "qemu-img".into(), sandbox }
    }

    /// Uses another qemu-img than the one in the usual places.
    #[must_use]
    pub fn with_program(mut self, program: impl Into<PathBuf>) -> Img {
        self.program = program.into();
        self
    }

    /// A new, empty qcow2 of `size_bytes` (a multiple of 512).
    pub async fn create_blank(&self, path: &Path, size_bytes: u64) -> Result<()> {
        check_size(size_bytes)?;
        let target = Target::new(path, self.sandbox.identity)?;
        let arguments = vec![fd_name(target.file()).into(), size_bytes.to_string().into()];
        self.create(path, target, arguments).await
    }

    /// A new qcow2 over another image of ours, which must not change from then on. It has the size of the backing image
    /// unless `size_bytes` says more.
    pub async fn create_overlay(
        &self,
        path: &Path,
        backing: &Path,
        backing_format: Format,
        size_bytes: Option<u64>,
    ) -> Result<()> {
        let info = self.info(&Source::own(backing, backing_format)).await?;
        let size_bytes = size_bytes.unwrap_or(info.virtual_size_bytes);
        check_size(size_bytes)?;
        if size_bytes < info.virtual_size_bytes {
            let reason =
                format!("{size_bytes} is less than the backing image's {} bytes", info.virtual_size_bytes);
            return Err(Error::Invalid { field: "size_bytes", reason });
        }
        let backing = absolute(backing)?;
        let target = Target::new(path, self.sandbox.identity)?;
        // `-u`: qemu-img need not open the backing file, whose format and size are given. An absolute name begins with
        // a slash and so is never read as a protocol.
        let arguments = vec![
            "-u".into(),
            "-b".into(),
            backing.into_os_string(),
            "-F".into(),
            backing_format.driver().into(),
            fd_name(target.file()).into(),
            size_bytes.to_string().into(),
        ];
        self.create(path, target, arguments).await
    }

    async fn create(&self, path: &Path, target: Target, last: Vec<OsString>) -> Result<()> {
        let mut arguments: Vec<OsString> = ["create", "-q", "-f", "qcow2"].map(Into::into).into();
        arguments.extend(last);
        let files = vec![target.file()];
        self.probe("create", path, arguments, files, METADATA_BYTES).await?;
        target.finish().await
    }

    /// What the image says of itself. A foreign image that refers to another file is refused.
    pub async fn info(&self, source: &Source) -> Result<Info> {
        self.info_of(source, &source.open()?).await
    }

    async fn info_of(&self, source: &Source, opened: &Opened) -> Result<Info> {
        let mut arguments: Vec<OsString> =
            ["info", "--output=json", "-U", "--image-opts"].map(Into::into).into();
        // `-U` sets what the option would; both at once are an error.
        arguments.push(opened.options(Lock::Yes));
        let stdout = self.probe("read", &source.path, arguments, vec![&opened.file], 0).await?;
        let info: Info = answer(&source.path, &stdout)?;
        let refused = |reason| Err(Error::Refused { path: source.path.clone(), reason });
        if info.virtual_size_bytes > VIRTUAL_BYTES_MAX {
            return refused(format!("its disk of {} bytes is larger than 64 TiB", info.virtual_size_bytes));
        }
        if !source.trusted
            && let Some(reason) = info.reference(&opened.name.to_string_lossy())
        {
            return refused(reason);
        }
        Ok(info)
    }

    /// How large the image will be in `output`'s format.
    pub async fn measure(&self, source: &Source, output: Output) -> Result<Measure> {
        let opened = source.open()?;
        self.info_of(source, &opened).await?;
        let mut arguments: Vec<OsString> = ["measure", "--output=json", "-O"].map(Into::into).into();
        arguments.extend([output.driver().into(), "--image-opts".into(), opened.options(Lock::No)]);
        let stdout = self.probe("measure", &source.path, arguments, vec![&opened.file], 0).await?;
        answer(&source.path, &stdout)
    }

    /// Checks the image's structure; changes nothing. Raw has none.
    pub async fn check(&self, source: &Source) -> Result<Check> {
        let opened = source.open()?;
        if !source.trusted {
            self.info_of(source, &opened).await?;
        }
        let arguments: Vec<OsString> =
            vec!["check".into(), "--output=json".into(), "--image-opts".into(), opened.options(Lock::Yes)];
        let action = "check";
        let ended =
            self.run(action, &source.path, self.copying(arguments, vec![&opened.file], 0, 0), |_| {}).await?;
        // 2: damaged; 3: leaks only. Both come with an answer.
        match ended.status.code() {
            Some(0 | 2 | 3) => answer(&source.path, &ended.stdout),
            _ => Err(failure(action, &source.path, &ended)),
        }
    }

    /// Makes one of our own images larger. To make one smaller would cut off its file system; it is refused.
    pub async fn resize(&self, path: &Path, format: Format, size_bytes: u64) -> Result<()> {
        check_size(size_bytes)?;
        let source = Source::own(path, format);
        let opened = source.open()?;
        let info = self.info_of(&source, &opened).await?;
        if size_bytes < info.virtual_size_bytes {
            let reason = format!("{size_bytes} is less than the image's {} bytes", info.virtual_size_bytes);
            return Err(Error::Invalid { field: "size_bytes", reason });
        }
        let mut arguments: Vec<OsString> = ["resize", "-q", "--image-opts"].map(Into::into).into();
        arguments.extend([opened.options(Lock::Yes), size_bytes.to_string().into()]);
        let largest = match format {
            Format::Raw => size_bytes,
            _ => opened.size_bytes + METADATA_BYTES,
        };
        self.probe("resize", path, arguments, vec![&opened.file], largest).await.map(drop)
    }

    /// A run that is over soon, and must succeed. Returns standard output.
    async fn probe(
        &self,
        action: &'static str,
        path: &Path,
        arguments: Vec<OsString>,
        files: Vec<&OwnedFd>,
        file_bytes_max: u64,
    ) -> Result<Vec<u8>> {
        let run = Run {
            program: self.program.clone(),
            arguments,
            files,
            timeout: Duration::from_millis(self.sandbox.probe_timeout_ms),
            cpu: PROBE_CPU,
            file_bytes_max,
        };
        let ended = self.run(action, path, run, |_| {}).await?;
        if ended.status.success() { Ok(ended.stdout) } else { Err(failure(action, path, &ended)) }
    }

    /// A run that reads all of `size_bytes`.
    fn copying<'a>(
        &self,
        arguments: Vec<OsString>,
        files: Vec<&'a OwnedFd>,
        size_bytes: u64,
        file_bytes_max: u64,
    ) -> Run<'a> {
        // The slowest honest work is compression, at more than a mebibyte a second.
        let cpu = Duration::from_secs(600 + size_bytes / (1 << 20));
        let timeout = Duration::from_millis(self.sandbox.copy_timeout_ms);
        Run { program: self.program.clone(), arguments, files, timeout, cpu, file_bytes_max }
    }

    async fn run(
        &self,
        action: &'static str,
        path: &Path,
        run: Run<'_>,
        seen: impl FnMut(&[u8]),
    ) -> Result<Ended> {
        let timeout_ms = run.timeout.as_millis() as u64;
        let path = path.to_owned();
        self.sandbox.run(run, seen).await.map_err(|fault| match fault {
            Fault::Start(source) if source.kind() == std::io::ErrorKind::NotFound => {
                Error::NotInstalled { program: self.program.clone() }
            }
            Fault::Start(source) => Error::Start { program: self.program.clone(), source },
            Fault::Wait(source) => Error::File { action, path, source },
            Fault::Timeout => Error::Timeout { action, path, timeout_ms },
            Fault::TooMuchOutput => Error::Limit { action, path, limit: "output" },
        })
    }
}

fn check_size(size_bytes: u64) -> Result<()> {
    let reason = if size_bytes == 0 {
        "zero"
    } else if !size_bytes.is_multiple_of(512) {
        "not a multiple of 512"
    } else if size_bytes > VIRTUAL_BYTES_MAX {
        "larger than 64 TiB"
    } else {
        return Ok(());
    };
    Err(Error::Invalid { field: "size_bytes", reason: format!("{size_bytes} is {reason}") })
}

fn answer<T: serde::de::DeserializeOwned>(path: &Path, stdout: &[u8]) -> Result<T> {
    serde_json::from_slice(stdout)
        .map_err(|error| Error::Answer { path: path.to_owned(), detail: error.to_string() })
}

/// Why a run that ended did not succeed.
fn failure(action: &'static str, path: &Path, ended: &Ended) -> Error {
    let path = path.to_owned();
    match ended.status.signal() {
        Some(libc::SIGXCPU | libc::SIGKILL) => return Error::Limit { action, path, limit: "processor time" },
        Some(libc::SIGXFSZ) => return Error::Limit { action, path, limit: "file size" },
        Some(libc::SIGABRT | libc::SIGTRAP) if ended.stderr.contains("allocat") => {
            return Error::Limit { action, path, limit: "memory" };
        }
        _ => {}
    }
    let text = ended.stderr.trim();
    if text.contains("No space left on device") || text.contains("Disk quota exceeded") {
        return Error::NoSpace { path };
    }
    if text.contains("\" lock") && text.contains("Failed to get") {
        return Error::InUse { path };
    }
    let detail = match text.lines().last() {
        // The name by which the child knew the file says nothing to anybody else.
        Some(line) => plain(line.trim_start_matches("qemu-img: "), &path),
        None => format!("qemu-img ended with {}", ended.status),
    };
    Error::Failed { action, path, detail }
}

fn plain(line: &str, path: &Path) -> String {
    let own = "/proc/self/fd/";
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once(own) {
        text.push_str(before);
        text.push_str(&path.display().to_string());
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    text + rest
}
