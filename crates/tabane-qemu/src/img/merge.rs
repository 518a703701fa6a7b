//! Merging layers of our own qcow2 images that nobody uses.
//!
//! Invariant: killed at any moment, each image still shows what it showed before.

use std::ffi::OsString;
use std::path::Path;

use super::{Format, Img, METADATA_BYTES, Result, Source, absolute, failure};

impl Img {
    /// Copies into an image what it lacks, and lets it stand on `backing`, which is further down in its chain, or on
    /// nothing. What is between them is not changed.
    pub async fn rebase(&self, path: &Path, backing: Option<&Path>) -> Result<()> {
        let mut arguments: Vec<OsString> =
            ["rebase", "-q", "-f", "qcow2", "-F", "qcow2", "-b"].map(Into::into).into();
        arguments.push(match backing {
            Some(backing) => absolute(backing)?.into_os_string(),
            None => "".into(),
        });
        arguments.push(absolute(path)?.into_os_string());
        self.merge("rebase", path, arguments).await
    }

    /// Writes an image into the one that it stands on. The image itself stays as it is.
    pub async fn commit(&self, path: &Path) -> Result<()> {
        let mut arguments: Vec<OsString> = ["commit", "-q", "-d", "-f", "qcow2"].map(Into::into).into();
        arguments.push(absolute(path)?.into_os_string());
        self.merge("commit", path, arguments).await
    }

    async fn merge(&self, action: &'static str, path: &Path, arguments: Vec<OsString>) -> Result<()> {
        let source = Source::own(path, Format::Qcow2);
        let opened = source.open()?;
        let size_bytes = self.info_of(&source, &opened).await?.virtual_size_bytes;
        let largest = size_bytes + size_bytes / 1024 + METADATA_BYTES;
        let ended =
            self.run(action, path, self.copying(arguments, Vec::new(), size_bytes, largest), |_| {}).await?;
        if ended.status.success() { Ok(()) } else { Err(failure(action, path, &ended)) }
    }
}
