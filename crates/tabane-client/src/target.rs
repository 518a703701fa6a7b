//! Which server.

use std::{fmt, path::PathBuf, str::FromStr};

use crate::{Error, Result};

/// A server, and how to know that it is the right one.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// The server on this machine, by its local socket.
    Local(PathBuf),
    /// A server by its address, with the SHA-256 of its authority's certificate.
    Remote { url: String, fingerprint: String },
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let fault = || Error::Target(text.chars().take(200).collect());
        if text.starts_with('/') {
            return Ok(Self::Local(text.into()));
        }
        let (url, fingerprint) = text.split_once('#').ok_or_else(fault)?;
        let url = url.trim_end_matches('/');
        let host = url.strip_prefix("https://").ok_or_else(fault)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if host.is_empty() || !host.chars().all(plain) {
            return Err(fault());
        }
        if fingerprint.len() != 64 || !fingerprint.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(fault());
        }
        Ok(Self::Remote { url: url.into(), fingerprint: fingerprint.to_ascii_lowercase() })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::Remote { url, fingerprint } => write!(f, "{url}/#{fingerprint}"),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_its_fingerprint_is_refused() {
        let fingerprint = "ab".repeat(32);
        let text = format!("https://h1:8440/#{fingerprint}");
        assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        assert_eq!("/run/api.sock".parse::<Target>().unwrap(), Target::Local("/run/api.sock".into()));
        for bad in [
            "https://h1:8440",
            "http://h1#00",
            "h1",
            "",
            "https://h1/path#",
            &format!("https:///#{fingerprint}"),
        ] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }
}
