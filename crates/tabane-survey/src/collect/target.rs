//! Where a source is: `[USER@]HOST[:PORT]`.

use std::{fmt, str::FromStr};

use thiserror::Error;

const LENGTH_MAX: usize = 255;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub user: Option<String>,
    pub host: String,
    pub port: Option<u16>,
}

#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no source: write [USER@]HOST[:PORT], an IPv6 address in brackets")]
pub struct TargetError(String);

impl FromStr for Target {
    type Err = TargetError;

    /// Names become arguments of a program and names of folders, so only letters, digits, `.`, `-`, `_` and, in an address,
    /// `:` are taken; never one that begins with `-` or `.`.
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let failed = || TargetError(text.chars().take(80).collect());
        let (user, place) = text.rsplit_once('@').map_or((None, text), |(user, place)| (Some(user), place));
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(failed)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| failed())?;
                (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or_else(failed)?) })
            }
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let is_plain = |name: &str, more: &[char]| {
            !name.is_empty()
                && name.len() <= LENGTH_MAX
                && !name.starts_with(['-', '.'])
                && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c) || more.contains(&c))
        };
        if !is_plain(host, &[':']) || user.is_some_and(|user| !is_plain(user, &['\\'])) {
            return Err(failed());
        }
        let port = port.map(|port| port.parse::<u16>().map_err(|_| failed())).transpose()?;
        Ok(Self { user: user.map(str::to_owned), host: host.to_owned(), port })
    }
}

impl Target {
    /// As a name of a server, and of its folder.
    pub fn name(&self) -> String {
        let host = self.host.replace(':', "_");
        self.port.map_or(host.clone(), |port| format!("{host}_{port}"))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?
        } else {
            f.write_str(&self.host)?
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_and_written() {
        for text in ["web1", "root@web1.example.org", "root@10.0.0.7:2222", "[fd00::1]:22", "DOM\\anna@h"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert_eq!("root@[fd00::1]:22".parse::<Target>().unwrap().name(), "fd00__1_22");
    }

    #[test]
    fn what_would_be_an_option_or_a_path_is_refused() {
        for text in [
            "",
            "-oProxyCommand=x",
            "root@-x",
            "a/b",
            "..",
            "a b",
            "a;b",
            "h:99999",
            "[fd00::1",
            "[x]",
            "-@h",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
