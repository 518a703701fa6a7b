//! Files inside the guest, piece by piece.
//!
//! Invariant: what is sent and read at once is bounded, since the agent holds it all in its memory.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::PEER;
use super::channel::Agent;
use super::commands::decode_base64;
use crate::{Error, Result};

/// The most that is read or written in one call.
const PIECE_BYTES_MAX: usize = 1 << 20;

/// An open file in the guest. It stays open there until it is closed or the agent ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHandle(i64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    Read,
    /// Makes the file, or empties it.
    Write,
    Append,
}

#[derive(Deserialize)]
struct ReadAnswer {
    #[serde(rename = "buf-b64")]
    content: String,
    #[serde(default)]
    eof: bool,
}

#[derive(Deserialize)]
struct WriteAnswer {
    count: usize,
}

impl Agent {
    pub async fn file_open(&self, path: &str, mode: OpenMode) -> Result<FileHandle> {
        let mode = match mode {
            OpenMode::Read => "r",
            OpenMode::Write => "w",
            OpenMode::Append => "a",
        };
        self.execute("guest-file-open", json!({ "path": path, "mode": mode })).await.map(FileHandle)
    }

    /// The next piece and whether the end was reached.
    pub async fn file_read(&self, file: FileHandle) -> Result<(Vec<u8>, bool)> {
        const COMMAND: &str = "guest-file-read";
        let limits = self.limits();
        let arguments = json!({ "handle": file.0, "count": PIECE_BYTES_MAX });
        let answer: ReadAnswer =
            self.call(COMMAND, arguments, limits.timeout, limits.content_line_bytes_max).await?;
        Ok((decode_base64(COMMAND, &answer.content)?, answer.eof))
    }

    /// Writes all of it.
    pub async fn file_write(&self, file: FileHandle, content: &[u8]) -> Result<()> {
        let mut rest = content;
        while !rest.is_empty() {
            let piece = &rest[..rest.len().min(PIECE_BYTES_MAX)];
            let arguments = json!({ "handle": file.0, "buf-b64": STANDARD.encode(piece) });
            let WriteAnswer { count } = self.execute("guest-file-write", arguments).await?;
            if count == 0 || count > piece.len() {
                let detail = format!("it wrote {count} of {} bytes", piece.len());
                return Err(Error::Protocol { peer: PEER, detail });
            }
            rest = &rest[count..];
        }
        Ok(())
    }

    /// Closes it, after writing what the agent has not written yet.
    pub async fn file_close(&self, file: FileHandle) -> Result<()> {
        self.ask("guest-file-close", json!({ "handle": file.0 })).await
    }

    /// A whole file of at most `bytes_max` bytes; a longer one is an error.
    pub async fn read_file(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>> {
        let file = self.file_open(path, OpenMode::Read).await?;
        let content = self.read_to_end(file, path, bytes_max).await;
        let closed = self.file_close(file).await;
        let content = content?;
        closed?;
        Ok(content)
    }

    /// Makes a file or replaces its contents. Not atomic.
    pub async fn write_file(&self, path: &str, content: &[u8]) -> Result<()> {
        let file = self.file_open(path, OpenMode::Write).await?;
        let written = self.file_write(file, content).await;
        let closed = self.file_close(file).await;
        written?;
        closed
    }

    async fn read_to_end(&self, file: FileHandle, path: &str, bytes_max: usize) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            let (piece, eof) = self.file_read(file).await?;
            if content.len() + piece.len() > bytes_max {
                let reason = format!("{path} in the guest is longer than {bytes_max} bytes");
                return Err(Error::invalid("path", reason));
            }
            content.extend_from_slice(&piece);
            if eof {
                return Ok(content);
            }
            if piece.is_empty() {
                let detail = format!("reading {path} brings neither bytes nor an end");
                return Err(Error::Protocol { peer: PEER, detail });
            }
        }
    }
}
