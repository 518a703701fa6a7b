//! What is remembered of connections each time that a server is looked at: who listened, and who had begun. The port of whoever
//! begins is another each time and is forgotten, so that there is a line for each pair, and not for each connection.

use std::{collections::BTreeSet, net::SocketAddr, path::Path};

use super::sockets::Sockets;
use crate::{Result, collect::parts, text};

pub(crate) const CONNECTIONS: &str = "connections.txt";
/// More of a server are not remembered.
const LINES_MAX: usize = 50_000;
const BYTES_MAX: u64 = 8 << 20;
/// Of whoever has begun.
pub(super) const FORGOTTEN: u16 = 0;

/// Adds what an inventory says to what is remembered in the folder of a server.
pub(crate) fn remember(folder: &Path, inventory: &str) -> Result<()> {
    let file = folder.join(CONNECTIONS);
    // Damaged by whatever: what is known now is worth more than the past.
    let before =
        if file.is_file() { text::read(&file, BYTES_MAX).unwrap_or_default() } else { String::new() };
    let lines: Vec<&str> = before.lines().collect();
    let mut known = Sockets::read("", &[], &lines).connections;
    let all = known.len();
    known.extend(seen(inventory).into_iter().take(LINES_MAX.saturating_sub(all)));
    if known.len() == all {
        return Ok(());
    }
    let lines: String = known.iter().map(|(own, other)| format!("{own} {other}\n")).collect();
    text::replace(&file, &lines)
}

/// Of a server; nothing if nothing was remembered.
pub(super) fn remembered(folder: &Path) -> Result<String> {
    let file = folder.join(CONNECTIONS);
    if file.is_file() { text::read(&file, BYTES_MAX) } else { Ok(String::new()) }
}

fn seen(inventory: &str) -> BTreeSet<(SocketAddr, SocketAddr)> {
    let parts = parts(inventory);
    let of = |part: &str| parts.get(part).map(Vec::as_slice).unwrap_or_default();
    let sockets = Sockets::read("", of("listening"), of("connections"));
    let forget = |end: &SocketAddr| SocketAddr::new(end.ip(), FORGOTTEN);
    let pair = |(own, other): &(SocketAddr, SocketAddr)| match sockets.listening.contains(&own.port()) {
        true => (*own, forget(other)),
        false => (forget(own), *other),
    };
    sockets.connections.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(connections: &[&str]) -> String {
        format!(
            "part listening\nLISTEN 0 1 *:443 *:*\npart connections\n{}\npart end\n",
            connections.join("\n")
        )
    }

    #[test]
    fn pairs_are_remembered_once_and_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let known = || remembered(folder.path()).unwrap();
        assert_eq!(known(), "");
        remember(
            folder.path(),
            &inventory(&["0 0 10.0.0.1:50001 10.0.0.2:5432", "0 0 10.0.0.1:50002 10.0.0.2:5432"]),
        )
        .unwrap();
        assert_eq!(known(), "10.0.0.1:0 10.0.0.2:5432\n");
        remember(
            folder.path(),
            &inventory(&["0 0 10.0.0.1:443 10.0.0.9:50000", "0 0 10.0.0.1:443 10.0.0.9:50001"]),
        )
        .unwrap();
        assert_eq!(known(), "10.0.0.1:0 10.0.0.2:5432\n10.0.0.1:443 10.0.0.9:0\n");
        let written = std::fs::metadata(folder.path().join(CONNECTIONS)).unwrap().modified().unwrap();
        remember(folder.path(), &inventory(&[])).unwrap();
        let again = std::fs::metadata(folder.path().join(CONNECTIONS)).unwrap().modified().unwrap();
        assert_eq!((known().lines().count(), again), (2, written), "nothing new, nothing written");
        // What is damaged is begun anew.
        std::fs::write(folder.path().join(CONNECTIONS), b"\xff\xff\xff").unwrap();
        remember(folder.path(), &inventory(&["0 0 10.0.0.1:443 10.0.0.9:50000"])).unwrap();
        assert_eq!(known(), "10.0.0.1:443 10.0.0.9:0\n");
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..2 {
            let lines: Vec<String> = (0..30_000)
                .map(|at| format!("10.0.0.1:50000 10.{round}.{}.{}:5432", at / 250, at % 250 + 1))
                .collect();
            remember(folder.path(), &inventory(&lines.iter().map(String::as_str).collect::<Vec<_>>()))
                .unwrap();
        }
        assert_eq!(remembered(folder.path()).unwrap().lines().count(), LINES_MAX);
    }
}
