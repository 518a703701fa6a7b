//! Ports that a server listens on and connections that it has, as `ss` and `netstat` tell them.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

/// Of each server; more is left out.
const LINES_MAX: usize = 200_000;

/// Of one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sockets {
    /// Its own, where others can reach it.
    pub addresses: BTreeSet<IpAddr>,
    pub listening: BTreeSet<u16>,
    /// Its own end and the other.
    pub connections: BTreeSet<(SocketAddr, SocketAddr)>,
}

impl Sockets {
    /// Lines of `ss -Htln` or `netstat -tln`, and of `ss -Htn state established` or `netstat -tn`. What is no connection says
    /// nothing. `name` is an address if the server was named by it.
    pub fn read(name: &str, listening: &[&str], connections: &[&str]) -> Self {
        let mut sockets = Self::default();
        for line in listening.iter().take(LINES_MAX) {
            // Whoever listens on loopback alone serves nobody else.
            if let Some((address, port)) = ends(line).next()
                && !address.is_some_and(|address| address.is_loopback())
            {
                sockets.listening.extend(port);
            }
        }
        for line in connections.iter().take(LINES_MAX) {
            let mut ends = ends(line).map_while(|(address, port)| Some(SocketAddr::new(address?, port?)));
            let (Some(own), Some(other)) = (ends.next(), ends.next()) else { continue };
            if reaches(own.ip()) && reaches(other.ip()) {
                sockets.addresses.insert(own.ip());
                sockets.connections.insert((own, other));
            }
        }
        if !sockets.is_empty() {
            sockets.addresses.extend(name.parse().ok().filter(|address| reaches(*address)));
        }
        sockets
    }

    pub fn is_empty(&self) -> bool {
        self.listening.is_empty() && self.connections.is_empty()
    }
}

fn reaches(address: IpAddr) -> bool {
    !address.is_loopback() && !address.is_unspecified()
}

/// Fields that are an address, or any (`*`), and a port, or any.
fn ends<'a>(line: &'a str) -> impl Iterator<Item = (Option<IpAddr>, Option<u16>)> + use<'a> {
    line.split_whitespace().filter_map(|field| {
        let (address, port) = field.rsplit_once(':')?;
        let port = if port == "*" { None } else { Some(port.parse().ok()?) };
        if address == "*" {
            return Some((None, port));
        }
        let address = address.trim_start_matches('[').trim_end_matches(']');
        // Which network card it is of.
        let address = address.split('%').next().unwrap_or_default();
        let address =
            if address == "*" { None } else { Some(address.parse::<IpAddr>().ok()?.to_canonical()) };
        Some((address, port))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_read_as_both_tools_tell_them() {
        let listening = [
            "LISTEN 0      4096   127.0.0.53%lo:53        0.0.0.0:*",
            "LISTEN 0      128          0.0.0.0:22        0.0.0.0:*",
            "LISTEN 0      511                *:443             *:*",
            "LISTEN 0      128             [::]:80           [::]:*",
            "LISTEN 0      128 192.168.1.5%eth0:8080      0.0.0.0:*",
            "Active Internet connections (only servers)",
            "Proto Recv-Q Send-Q Local Address           Foreign Address         State",
            "tcp6       0      0 :::3306                 :::*                    LISTEN",
            "tcp        0      0 127.0.0.1:6379          0.0.0.0:*               LISTEN",
        ];
        let connections = [
            "0      0      10.0.0.1:22    10.0.0.9:50000",
            "0      0      [::ffff:10.0.0.1]:443    [::ffff:10.0.0.8]:50000",
            "tcp6       0      0 fd00::1:3306            fd00::2:40000           ESTABLISHED",
            "0      0      127.0.0.1:6379    127.0.0.1:50000",
            "0      0      10.0.0.1:70000    10.0.0.9:1",
        ];
        let sockets = Sockets::read("10.0.0.7", &listening, &connections);
        assert_eq!(sockets.listening.iter().copied().collect::<Vec<_>>(), [22, 80, 443, 3306, 8080]);
        let told: Vec<String> =
            sockets.connections.iter().map(|(own, other)| format!("{own} {other}")).collect();
        assert_eq!(
            told,
            ["10.0.0.1:22 10.0.0.9:50000", "10.0.0.1:443 10.0.0.8:50000", "[fd00::1]:3306 [fd00::2]:40000"]
        );
        let addresses: Vec<String> = sockets.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["10.0.0.1", "10.0.0.7", "fd00::1"]);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_said_is_no_panic(lines in proptest::collection::vec("[0-9a-f:.*%\\[\\] \\t]{0,40}|.{0,40}", 0..20)) {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let sockets = Sockets::read("x", &lines, &lines);
            proptest::prop_assert!(sockets.connections.len() <= lines.len());
        }
    }
}
