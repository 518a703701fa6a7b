//! Downloads that go on where they stopped, and never become a mix of two files.
//!
//! ```text
//!   incoming/<uid>.part   what came so far
//!   incoming/<uid>.from   which version of the file that is: the server's validator (RFC 9110, 8.8)
//! ```
//!
//! Invariant: bytes are added to `.part` only from the version that `.from` names. Without a strong validator nobody can
//! say that, so then the download begins anew.

use std::{path::Path, time::Duration};

use futures_util::StreamExt;
use reqwest::{
    Response, StatusCode, Url,
    header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, RANGE},
};
use tokio::io::AsyncWriteExt;

use crate::{Error, Result, files, pool};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const REDIRECTS_MAX: usize = 5;
const TRIES: u32 = 5;
/// Left to others on the file system that the download goes to.
const SPARE_BYTES: u64 = 1 << 30;
/// Free space is looked at anew after so much.
const LOOK_EVERY_BYTES: u64 = 64 << 20;

/// What a download needs to know.
pub struct Fetch<'a> {
    pub url: &'a str,
    /// Grows; what is in it when this returns is the whole file.
    pub part: &'a Path,
    /// Doubles with each try that failed.
    pub pause: Duration,
    pub spare_bytes: u64,
}

impl<'a> Fetch<'a> {
    pub fn new(url: &'a str, part: &'a Path) -> Self {
        Self { url, part, pause: Duration::from_secs(2), spare_bytes: SPARE_BYTES }
    }

    /// Downloads. `progress` is told bytes so far and in all, where that is known.
    pub async fn run(&self, progress: &(dyn Fn(u64, Option<u64>) + Sync)) -> Result<()> {
        let mut told = String::new();
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(self.pause * (1 << (attempt - 1))).await;
            }
            match self.go_on(progress).await {
                Ok(()) => return files::remove(&from(self.part)),
                Err(error @ Error::Unfit { .. }) => return Err(error),
                Err(error) if error.is_full() => return Err(error),
                Err(error) => told = error.told(),
            }
        }
        Err(Error::unfit(
            format!("cannot download {}: {told}", self.url),
            "check the address and the host's way out; a new import goes on where this one stopped",
        ))
    }

    async fn go_on(&self, progress: &(dyn Fn(u64, Option<u64>) + Sync)) -> Result<()> {
        let mut have = self.part.metadata().map_or(0, |m| m.len());
        let version = std::fs::read_to_string(from(self.part)).unwrap_or_default();
        if version.is_empty() {
            have = 0;
        }
        let mut request = client()?.get(self.url).header(ACCEPT_ENCODING, "identity");
        if have > 0 {
            request = request.header(RANGE, format!("bytes={have}-")).header(IF_RANGE, &version);
        }
        let response = request.send().await.map_err(broken)?;
        let status = response.status();
        if status == StatusCode::RANGE_NOT_SATISFIABLE && have > 0 {
            // An earlier try may have ended just before it was done.
            if whole_of(response.headers()) == Some(have) && strong(response.headers()) == Some(version) {
                return Ok(());
            }
            files::remove(&from(self.part))?;
            return Err(Error::Stream("what came so far is no part of the file".into()));
        }
        if status.is_client_error() {
            return Err(Error::unfit(format!("{} answers {status}", self.url), "check the address"));
        }
        if !matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            return Err(Error::Stream(format!("the server answers {status}")));
        }
        let resumed = status == StatusCode::PARTIAL_CONTENT;
        if resumed && first_of(response.headers()) != Some(have) {
            files::remove(&from(self.part))?;
            return Err(Error::Stream("the server sends another part than was asked for".into()));
        }
        if !resumed {
            have = 0;
            // Cut to nothing before the new version's name is there.
            tokio::fs::File::create(self.part).await.map_err(Error::file("create", self.part))?;
            match strong(response.headers()) {
                Some(version) => files::write(&from(self.part), version.as_bytes())?,
                None => files::remove(&from(self.part))?,
            }
        }
        self.receive(response, have, progress).await
    }

    async fn receive(
        &self,
        response: Response,
        have: u64,
        progress: &(dyn Fn(u64, Option<u64>) + Sync),
    ) -> Result<()> {
        let whole = response.content_length().map(|rest| have + rest);
        self.check_space(whole.map_or(0, |whole| whole - have))?;
        let opened = tokio::fs::OpenOptions::new().append(true).open(self.part).await;
        let mut file = opened.map_err(Error::file("open", self.part))?;
        let mut body = response.bytes_stream();
        let (mut done, mut looked) = (have, have);
        let received = loop {
            match body.next().await {
                None => break Ok(()),
                Some(Err(error)) => break Err(broken(error)),
                Some(Ok(chunk)) => {
                    file.write_all(&chunk).await.map_err(Error::file("write", self.part))?;
                    done += chunk.len() as u64;
                    progress(done, whole);
                    if done - looked >= LOOK_EVERY_BYTES {
                        looked = done;
                        self.check_space(0)?;
                    }
                }
            }
        };
        // What came before it broke off is worth keeping, too.
        file.flush().await.map_err(Error::file("write", self.part))?;
        file.sync_all().await.map_err(Error::file("write", self.part))?;
        received?;
        match whole {
            Some(whole) if done != whole => Err(Error::Stream("the connection ended early".into())),
            _ => Ok(()),
        }
    }

    /// A server that sends without end must not fill the disk that guests write to.
    fn check_space(&self, needed: u64) -> Result<()> {
        let folder = self.part.parent().unwrap_or(Path::new("/"));
        let (_, free) = pool::space(folder).map_err(Error::file("look at", folder))?;
        if needed + self.spare_bytes <= free {
            return Ok(());
        }
        let free = tabane_model::format_bytes(free);
        let what = if needed == 0 {
            String::new()
        } else {
            format!("{} to come, ", tabane_model::format_bytes(needed))
        };
        Err(Error::unfit(
            format!("{} does not fit: {what}{free} free at {}", self.url, folder.display()),
            "make room on the host, then import it again",
        ))
    }
}

pub fn client() -> Result<reqwest::Client> {
    tabane_client::prepare_tls();
    let redirect = reqwest::redirect::Policy::custom(|attempt| {
        let is_web = |url: &Url| matches!(url.scheme(), "http" | "https");
        // An encrypted download stays encrypted.
        let weaker =
            attempt.url().scheme() == "http" && attempt.previous().iter().any(|u| u.scheme() == "https");
        if attempt.previous().len() > REDIRECTS_MAX {
            attempt.error("it leads from one address to the next without end")
        } else if !is_web(attempt.url()) || weaker {
            attempt.error("it leads to an address that is not encrypted, or of another kind")
        } else {
            attempt.follow()
        }
    });
    let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT);
    http.redirect(redirect).build().map_err(broken)
}

pub fn broken(error: reqwest::Error) -> Error {
    Error::Stream(crate::error::chain(&error))
}

pub fn from(part: &Path) -> std::path::PathBuf {
    part.with_extension("from")
}

/// What tells this version of a file from every other one, byte by byte.
fn strong(headers: &HeaderMap) -> Option<String> {
    let tag = headers.get(ETAG)?.to_str().ok()?;
    (!tag.starts_with("W/")).then(|| tag.to_owned())
}

/// `bytes 7-9/10` begins at 7.
fn first_of(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    range.split('-').next()?.parse().ok()
}

/// `bytes */10` has 10 in all.
fn whole_of(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_RANGE)?.to_str().ok()?.rsplit('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests;
