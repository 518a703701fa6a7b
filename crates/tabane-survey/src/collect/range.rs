//! One source, or all addresses of a subnet: `[USER@]HOST[:PORT]`, `[USER@]10.1.2.0/28[:PORT]`, `[USER@][fd00::/124][:PORT]`.

use std::{net::IpAddr, str::FromStr};

use thiserror::Error;

use super::{Target, TargetError};

/// Subnets of more addresses than that are more likely a slip than a wish.
pub const ADDRESSES_MAX: u32 = 4_096;

/// What a line of a list means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Range {
    One(Target),
    /// Addresses of a subnet, without those that no host has; most of them may be nobody's.
    Subnet(Vec<Target>),
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum RangeError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("{0:?} is no subnet: write [USER@]10.1.2.0/28[:PORT], or [USER@][fd00::/124][:PORT]")]
    NoSubnet(String),
    #[error(
        "{subnet} has more than {ADDRESSES_MAX} addresses: write /{prefix_min} or a longer prefix, in several lines"
    )]
    TooLarge { subnet: String, prefix_min: u8 },
    #[error("the subnets have more than {ADDRESSES_MAX} addresses together: survey them one after the other")]
    TooMany,
    /// More often than not another prefix was meant.
    #[error("{address} is within {subnet}: write {subnet}, or the prefix that you mean")]
    NotItsFirst { address: IpAddr, subnet: String },
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let Some((before, after)) = text.rsplit_once('/') else { return Ok(Self::One(text.parse()?)) };
        let failed = || RangeError::NoSubnet(text.chars().take(80).collect());
        let (user, address) = before.rsplit_once('@').map_or(("", before), |(user, address)| (user, address));
        let (address, prefix, port) = match address.strip_prefix('[') {
            Some(address) => {
                let (prefix, port) = after.split_once(']').ok_or_else(failed)?;
                (address, prefix, port)
            }
            None => after.find(':').map_or((address, after, ""), |at| (address, &after[..at], &after[at..])),
        };
        let address: IpAddr = address.parse().map_err(|_| failed())?;
        if address.is_ipv6() != before.contains('[') {
            return Err(failed());
        }
        let digits =
            !prefix.is_empty() && prefix.len() <= 3 && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix: u8 = prefix.parse().ok().filter(|_| digits).ok_or_else(failed)?;
        let named = |address: IpAddr| {
            let (at, address) = (
                if user.is_empty() { "" } else { "@" },
                if address.is_ipv6() { format!("[{address}]") } else { address.to_string() },
            );
            format!("{user}{at}{address}{port}").parse::<Target>()
        };
        // What is wrong with user or port is so whatever the address.
        named(address)?;
        let hosts = hosts(address, prefix, failed)?;
        Ok(Self::Subnet(hosts.into_iter().map(named).collect::<Result<_, _>>()?))
    }
}

/// Addresses of a subnet that hosts may have. Of IPv4 the first is the subnet's and the last everybody's (RFC 1122, 3.2.1.3),
/// save where there are two (RFC 3021); of IPv6 the first is any router's (RFC 4291, 2.6.1).
fn hosts(first: IpAddr, prefix: u8, failed: impl Fn() -> RangeError) -> Result<Vec<IpAddr>, RangeError> {
    let (bits, whole): (u8, u128) = match first {
        IpAddr::V4(address) => (32, u128::from(u32::from(address))),
        IpAddr::V6(address) => (128, address.into()),
    };
    let host_bits = bits.checked_sub(prefix).ok_or_else(&failed)?;
    let named = |number: u128| match first {
        IpAddr::V4(_) => IpAddr::V4((number as u32).into()),
        IpAddr::V6(_) => IpAddr::V6(number.into()),
    };
    if host_bits > ADDRESSES_MAX.ilog2() as u8 {
        let prefix_min = bits - ADDRESSES_MAX.ilog2() as u8;
        return Err(RangeError::TooLarge { subnet: format!("{first}/{prefix}"), prefix_min });
    }
    let count = 1u128 << host_bits;
    let begin = whole & !(count - 1);
    if begin != whole {
        return Err(RangeError::NotItsFirst { address: first, subnet: format!("{}/{prefix}", named(begin)) });
    }
    let (skipped, all) = match (host_bits, first) {
        (0 | 1, _) => (0, count),
        (_, IpAddr::V4(_)) => (1, count - 1),
        (_, IpAddr::V6(_)) => (1, count),
    };
    Ok((skipped..all).map(|at| named(begin + at)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(text: &str) -> Vec<String> {
        match text.parse().unwrap() {
            Range::One(target) => vec![target.to_string()],
            Range::Subnet(targets) => targets.iter().map(Target::to_string).collect(),
        }
    }

    #[test]
    fn subnets_are_their_hosts() {
        assert_eq!(targets("web1"), ["web1"]);
        assert_eq!(targets("root@127.0.0.0/30:2222"), ["root@127.0.0.1:2222", "root@127.0.0.2:2222"]);
        assert_eq!(targets("127.0.0.0/29").len(), 6);
        assert_eq!(targets("127.0.0.4/31"), ["127.0.0.4", "127.0.0.5"]);
        assert_eq!(targets("127.0.0.4/32"), ["127.0.0.4"]);
        assert_eq!(
            targets("DOM\\a@[fd00::/126]:22"),
            ["DOM\\a@[fd00::1]:22", "DOM\\a@[fd00::2]:22", "DOM\\a@[fd00::3]:22"]
        );
        assert_eq!(targets("10.0.0.0/20").len(), 4_094);
    }

    #[test]
    fn what_is_no_subnet_or_too_large_a_one_is_refused() {
        let told = |text: &str| text.parse::<Range>().unwrap_err().to_string();
        for text in [
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0/24",
            "a/24",
            "fd00::/124",
            "[10.0.0.0/24]",
            "[fd00::/124",
            "[fd00::/129]",
            "10.0.0.0/24/24",
            "/24",
            "10.0.0.0/999999999999",
        ] {
            assert!(told(text).contains("is no subnet"), "{text}: {}", told(text));
        }
        assert!(told("10.0.0.0/8").contains("more than 4096 addresses: write /20"));
        assert!(told("[fd00::/64]").contains("write /116"));
        assert!(told("0.0.0.0/0").contains("more than 4096"));
        assert_eq!(
            told("10.1.2.5/28"),
            "10.1.2.5 is within 10.1.2.0/28: write 10.1.2.0/28, or the prefix that you mean"
        );
        // Users and ports become arguments of a program.
        for text in
            ["-oProxyCommand=x@10.0.0.0/30", "a b@10.0.0.0/30", "10.0.0.0/30:99999", "10.0.0.0/30:22 x"]
        {
            assert!(text.parse::<Range>().is_err(), "{text}");
        }
    }
}
