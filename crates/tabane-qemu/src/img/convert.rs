//! Copying an image into a new one of ours, with progress.

use std::ffi::OsString;
use std::path::Path;

use super::{Error, Format, Img, METADATA_BYTES, Result, Source, Target, failure, fd_name};
use crate::img::source::Lock;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Qcow2 {
        /// Smaller and slower: zstd for each cluster.
        compress: bool,
    },
    Raw,
    /// streamOptimized: compressed, and readable in one pass.
    Vmdk,
    Vhdx,
}

impl Output {
    pub(super) fn driver(self) -> &'static str {
        match self {
            Output::Qcow2 { .. } => Format::Qcow2.driver(),
            Output::Raw => Format::Raw.driver(),
            Output::Vmdk => Format::Vmdk.driver(),
            Output::Vhdx => Format::Vhdx.driver(),
        }
    }
}

/// Called with what is done, from 0 to 1, never going back.
pub type Progress<'a> = &'a (dyn Fn(f32) + Send + Sync);

impl Img {
    /// Writes the source, with all that is behind it if it is our own, into the new file `path`. It is there, whole and
    /// durable, or not at all. Returns its length in bytes.
    pub async fn convert(
        &self,
        source: &Source,
        path: &Path,
        output: Output,
        progress: Progress<'_>,
    ) -> Result<u64> {
        let opened = source.open()?;
        let info = self.info_of(source, &opened).await?;
        let target = Target::new(path, self.sandbox.identity)?;
        let mut arguments: Vec<OsString> = ["convert", "-p", "-O", output.driver()].map(Into::into).into();
        if output == (Output::Qcow2 { compress: true }) {
            arguments.extend(["-c", "-o", "compression_type=zstd"].map(Into::into));
        }
        match output {
            Output::Vmdk => arguments.extend(["-o", "subformat=streamOptimized"].map(Into::into)),
            Output::Vhdx => arguments.extend(["-o", "subformat=dynamic"].map(Into::into)),
            Output::Qcow2 { .. } | Output::Raw => {}
        }
        arguments.push("--image-opts".into());
        arguments.push(opened.options(Lock::Yes));
        arguments.push(fd_name(target.file()).into());

        let size_bytes = info.virtual_size_bytes;
        // A qcow2 that is full, with 64 KiB for every 512 MiB of it and the tables above.
        let largest = size_bytes + size_bytes / 1024 + METADATA_BYTES;
        let run = self.copying(arguments, vec![&opened.file, target.file()], size_bytes, largest);
        let mut reports = Reports::default();
        progress(0.0);
        let ended = self
            .run("convert", &source.path, run, |bytes| {
                if let Some(fraction) = reports.push(bytes) {
                    progress(fraction);
                }
            })
            .await?;
        if !ended.status.success() {
            return Err(match failure("convert", &source.path, &ended) {
                // It is the target that has no space.
                Error::NoSpace { .. } => Error::NoSpace { path: path.to_owned() },
                error => error,
            });
        }
        target.finish().await?;
        progress(1.0);
        let fault = |source| Error::File { action: "look at", path: path.to_owned(), source };
        Ok(std::fs::metadata(path).map_err(fault)?.len())
    }
}

/// Reads `    (12.34/100%)\r`, which may come in pieces.
#[derive(Default)]
struct Reports {
    piece: Vec<u8>,
    last: f32,
}

impl Reports {
    /// The latest fraction, if it is a new one.
    fn push(&mut self, bytes: &[u8]) -> Option<f32> {
        let mut latest = None;
        for byte in bytes {
            match byte {
                b'(' => self.piece.clear(),
                b'/' => {
                    let text = std::str::from_utf8(&self.piece).unwrap_or_default();
                    let percent: f32 = text.parse().unwrap_or(-1.0);
                    let fraction = percent / 100.0;
                    if fraction > self.last && fraction <= 1.0 {
                        self.last = fraction;
                        latest = Some(fraction);
                    }
                }
                _ if self.piece.len() < 16 => self.piece.push(*byte),
                _ => {}
            }
        }
        latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_comes_in_pieces_and_never_goes_back() {
        let mut reports = Reports::default();
        assert_eq!(reports.push(b"    (0.00/100%)\r"), None);
        assert_eq!(reports.push(b"    (12."), None);
        assert_eq!(reports.push(b"50/100%)\r  (2"), Some(0.125));
        assert_eq!(reports.push(b".00/100%)\r"), None);
        assert_eq!(reports.push(b"(nonsense/(NaN/(250.0/(25.00/100%)\r(50.00/100%)\r"), Some(0.5));
        assert_eq!(reports.push(&[0xff; 100]), None);
    }
}
