//! Who talks to whom: from the connections that servers had while they were surveyed, what has to move together.
//!
//! ```text
//!  inventory.txt of each server, memory of those before ─► sockets: ports that it listens on, connections
//!     ─► links: client, server, port
//!     ─► hubs: services of nearly everybody, clients of nearly everybody ─► groups of those that talk to each other otherwise
//! ```
//!
//! Invariants: what a server says is foreign input, bounded and parsed without panics. A connection is looked at once, though
//! both its ends tell of it. Nothing is known of a connection that was not there at a moment that a server was looked at.

mod groups;
mod links;
pub(crate) mod memory;
mod policy;
mod sockets;

use std::path::Path;

use self::{groups::grouped, links::linked, sockets::Sockets};
pub use self::{
    groups::{Group, HUB_SHARE, Hub, HubKind},
    links::Link,
};
use crate::{
    Error, Result,
    collect::{INVENTORY, INVENTORY_BYTES_MAX, SERVERS, parts},
    text,
};

const SERVERS_MAX: usize = 100_000;

/// What is known of who talks to whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Dependencies {
    /// Servers that told of their connections.
    pub servers: Vec<String>,
    /// Servers that were never reached, or had nothing to tell it by.
    pub silent: Vec<String>,
    /// Connections between them, most first.
    pub links: Vec<Link>,
    pub hubs: Vec<Hub>,
    /// Servers that talk to each other, leaving hubs out; the largest first.
    pub groups: Vec<Group>,
    /// Addresses that several servers say are theirs, as of bridges: what is connected to them is nobody's.
    pub ambiguous: Vec<String>,
}

/// Reads a collection. A service that at least `hub_share` of the others (0 to 1) talk to is a hub, and so is a client that
/// talks to as many.
pub fn dependencies(collection: &Path, hub_share: f64) -> Result<Dependencies> {
    let folder = collection.join(SERVERS);
    let failed = |source| Error::Read { file: folder.clone(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
        if names.len() > SERVERS_MAX {
            return Err(Error::TooLarge { file: folder, limit: format!("{SERVERS_MAX} servers") });
        }
    }
    names.sort();
    let (mut known, mut silent) = (Vec::new(), Vec::new());
    for name in names {
        let file = folder.join(&name).join(INVENTORY);
        let said = if file.is_file() { text::read(&file, INVENTORY_BYTES_MAX)? } else { String::new() };
        let parts = parts(&said);
        let of = |part: &str| parts.get(part).map(Vec::as_slice).unwrap_or_default();
        let before = memory::remembered(&folder.join(&name))?;
        let connections: Vec<&str> = of("connections").iter().copied().chain(before.lines()).collect();
        let sockets = Sockets::read(&name, of("listening"), &connections);
        if sockets.is_empty() { silent.push(name) } else { known.push((name, sockets)) }
    }
    Ok(judged(&known, silent, hub_share))
}

fn judged(known: &[(String, Sockets)], silent: Vec<String>, hub_share: f64) -> Dependencies {
    let servers: Vec<String> = known.iter().map(|(name, _)| name.clone()).collect();
    let (links, ambiguous) = linked(known);
    let (hubs, groups) = grouped(&links, servers.len(), hub_share);
    Dependencies { servers, silent, links, hubs, groups, ambiguous }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collection(servers: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, inventory) in servers {
            let place = folder.path().join(SERVERS).join(name);
            std::fs::create_dir_all(&place).unwrap();
            if !inventory.is_empty() {
                std::fs::write(place.join(INVENTORY), inventory).unwrap();
            }
        }
        folder
    }

    #[test]
    fn a_collection_tells_which_servers_belong_together() {
        let folder = collection(&[
            // As ss tells it.
            (
                "web1",
                "part listening\nLISTEN 0 511 0.0.0.0:443 0.0.0.0:*\npart connections\n0 0 10.0.0.1:50001 10.0.0.2:5432\n0 0 10.0.0.1:50002 10.0.0.2:5432\npart end\n",
            ),
            // As netstat does.
            (
                "db1",
                "part listening\nActive Internet connections (only servers)\nProto Recv-Q Send-Q Local Address Foreign Address State\ntcp 0 0 0.0.0.0:5432 0.0.0.0:* LISTEN\npart connections\ntcp 0 0 10.0.0.2:5432 10.0.0.1:50001 ESTABLISHED\n",
            ),
            (
                "alone",
                "part listening\nLISTEN 0 128 *:80 *:*\npart connections\n0 0 10.0.0.3:80 192.0.2.7:40000\n",
            ),
            ("off", ""),
        ]);
        let told = dependencies(folder.path(), HUB_SHARE).unwrap();
        assert_eq!(told.servers, ["alone", "db1", "web1"]);
        assert_eq!(told.silent, ["off"]);
        let link = Link { client: "web1".into(), server: "db1".into(), port: 5432, connections: 2 };
        assert_eq!((told.links.as_slice(), told.hubs.len()), ([link].as_slice(), 0));
        assert_eq!(told.groups.len(), 1);
        assert_eq!(told.groups[0].servers, ["db1", "web1"]);
        // What was there at another time is remembered.
        let place = folder.path().join(SERVERS).join("alone");
        memory::remember(
            &place,
            "part listening\nLISTEN 0 1 *:80 *:*\npart connections\n0 0 10.0.0.3:40001 10.0.0.1:443\n",
        )
        .unwrap();
        let told = dependencies(folder.path(), HUB_SHARE).unwrap();
        assert_eq!(told.groups[0].servers, ["alone", "db1", "web1"]);
        assert!(dependencies(&folder.path().join("nowhere"), HUB_SHARE).is_err());
    }
}
