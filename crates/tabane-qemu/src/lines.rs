//! Reading JSON lines from somebody who may be hostile.
//!
//! Invariant: the buffer never grows beyond the limit plus one read, whatever arrives.

use tokio::io::{AsyncRead, AsyncReadExt};

/// How much is read at once.
const READ_BYTES: usize = 16 << 10;

/// A buffer kept larger than this after a big line would be waste.
const KEEP_BYTES: usize = 256 << 10;

#[derive(Debug)]
pub(crate) enum LineError {
    /// The other side closed the connection.
    End,
    TooLong {
        limit_bytes: usize,
    },
    Io(std::io::Error),
}

impl std::fmt::Display for LineError {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LineError::End => to.write_str("the other side closed it"),
            LineError::TooLong { limit_bytes } => write!(to, "a line is longer than {limit_bytes} bytes"),
            LineError::Io(error) => write!(to, "{error}"),
        }
    }
}

/// Splits a stream into lines. Cancelling a call loses nothing: what was read stays in the buffer.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Up to here the buffer is known to hold no newline.
    searched: usize,
    has_read: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Lines { reader, buffer: Vec::new(), searched: 0, has_read: false }
    }

    /// The next line without its newline.
    pub(crate) async fn next(&mut self, limit_bytes: usize) -> Result<Vec<u8>, LineError> {
        loop {
            if let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                return self.take(self.searched + at, limit_bytes);
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > limit_bytes {
                return Err(LineError::TooLong { limit_bytes });
            }
            self.fill().await?;
        }
    }

    /// Throws away everything up to and including the next byte `mark`.
    pub(crate) async fn skip_past(&mut self, mark: u8) -> Result<(), LineError> {
        loop {
            self.searched = 0;
            if let Some(at) = self.buffer.iter().position(|byte| *byte == mark) {
                self.buffer.drain(..=at);
                return Ok(());
            }
            self.buffer.clear();
            self.fill().await?;
        }
    }

    /// Whether anything ever came.
    pub(crate) fn has_read(&self) -> bool {
        self.has_read
    }

    pub(crate) fn get_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    fn take(&mut self, newline: usize, limit_bytes: usize) -> Result<Vec<u8>, LineError> {
        self.searched = 0;
        if newline > limit_bytes {
            return Err(LineError::TooLong { limit_bytes });
        }
        let rest = self.buffer.split_off(newline + 1);
        let mut line = std::mem::replace(&mut self.buffer, rest);
        line.pop();
        if self.buffer.capacity() > KEEP_BYTES {
            self.buffer.shrink_to(KEEP_BYTES);
        }
        Ok(line)
    }

    async fn fill(&mut self) -> Result<(), LineError> {
        self.buffer.reserve(READ_BYTES);
        match (&mut self.reader).take(READ_BYTES as u64).read_buf(&mut self.buffer).await {
            Ok(0) => Err(LineError::End),
            Ok(_) => {
                self.has_read = true;
                Ok(())
            }
            Err(error) => Err(LineError::Io(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_and_limits() {
        let mut lines = Lines::new(&b"one\n\ntwo\nmuch too long\n"[..]);
        assert_eq!(lines.next(8).await.unwrap(), b"one");
        assert_eq!(lines.next(8).await.unwrap(), b"");
        assert_eq!(lines.next(8).await.unwrap(), b"two");
        assert!(matches!(lines.next(8).await, Err(LineError::TooLong { .. })));
    }

    #[tokio::test]
    async fn an_endless_line_is_refused_without_keeping_it() {
        let mut lines = Lines::new(tokio::io::repeat(b'x'));
        assert!(matches!(lines.next(100_000).await, Err(LineError::TooLong { .. })));
        assert!(lines.buffer.len() <= 100_000 + READ_BYTES);
    }

    #[tokio::test]
    async fn skipping_finds_the_mark() {
        let mut lines = Lines::new(&b"stale\nrubbish\xff{}\n"[..]);
        lines.skip_past(0xff).await.unwrap();
        assert_eq!(lines.next(8).await.unwrap(), b"{}");
        assert!(matches!(lines.next(8).await, Err(LineError::End)));
    }
}
