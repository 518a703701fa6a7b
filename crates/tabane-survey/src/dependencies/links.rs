//! Connections between servers that are surveyed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
};

use super::{memory::FORGOTTEN, sockets::Sockets};

/// One server talks to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// Who has begun it.
    pub client: String,
    /// Who listens.
    pub server: String,
    pub port: u16,
    /// That were there when the servers were looked at last; 0 if only before.
    pub connections: u32,
}

/// Links, most connections first, and addresses that are of several servers.
pub(super) fn linked(known: &[(String, Sockets)]) -> (Vec<Link>, Vec<String>) {
    let mut owners: HashMap<IpAddr, Option<usize>> = HashMap::new();
    for (at, (_, sockets)) in known.iter().enumerate() {
        for address in &sockets.addresses {
            owners
                .entry(*address)
                .and_modify(|owner| *owner = owner.filter(|owner| *owner == at))
                .or_insert(Some(at));
        }
    }
    // Both ends tell of a connection; here it is one.
    let mut connections: BTreeSet<(SocketAddr, SocketAddr)> = BTreeSet::new();
    for (at, (_, sockets)) in known.iter().enumerate() {
        for (own, other) in &sockets.connections {
            let Some(Some(peer)) = owners.get(&other.ip()).copied() else { continue };
            if owners.get(&own.ip()).copied() != Some(Some(at)) {
                continue;
            }
            // Where both ports are listened on, the lower one is the service.
            let own_listens = sockets.listening.contains(&own.port());
            let other_listens = known[peer].1.listening.contains(&other.port());
            match (own_listens, other_listens) {
                (true, true) if own.port() <= other.port() => connections.insert((*other, *own)),
                (true, false) => connections.insert((*other, *own)),
                (_, true) => connections.insert((*own, *other)),
                // Who listened is not known any more.
                (false, false) => continue,
            };
        }
    }
    let mut counts: BTreeMap<(usize, usize, u16), u32> = BTreeMap::new();
    let mut past: BTreeSet<(usize, usize, u16)> = BTreeSet::new();
    for (client, server) in &connections {
        let owner = |end: &SocketAddr| owners.get(&end.ip()).copied().flatten();
        if let (Some(from), Some(to)) = (owner(client), owner(server))
            && from != to
        {
            let link = (from, to, server.port());
            match client.port() {
                FORGOTTEN => _ = past.insert(link),
                _ => *counts.entry(link).or_default() += 1,
            }
        }
    }
    past.into_iter().for_each(|link| _ = counts.entry(link).or_insert(0));
    let link = |((from, to, port), connections): ((usize, usize, u16), u32)| Link {
        client: known[from].0.clone(),
        server: known[to].0.clone(),
        port,
        connections,
    };
    let mut links: Vec<Link> = counts.into_iter().map(link).collect();
    links.sort_by(|a, b| b.connections.cmp(&a.connections).then_with(|| a.cmp(b)));
    let mut ambiguous: Vec<IpAddr> =
        owners.iter().filter(|(_, owner)| owner.is_none()).map(|(address, _)| *address).collect();
    ambiguous.sort();
    (links, ambiguous.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, listening: &[&str], connections: &[&str]) -> (String, Sockets) {
        (name.into(), Sockets::read(name, listening, connections))
    }

    fn told(known: &[(String, Sockets)]) -> Vec<String> {
        let told =
            |link: &Link| format!("{} → {}:{} {}", link.client, link.server, link.port, link.connections);
        linked(known).0.iter().map(told).collect()
    }

    #[test]
    fn a_connection_counts_once_whoever_tells_of_it() {
        let web =
            server("web", &["*:443"], &["10.0.0.1:50000 10.0.0.2:5432", "10.0.0.1:50001 10.0.0.2:5432"]);
        // Its end of one of them, another that the other end did not tell of, and itself.
        let db = server(
            "db",
            &["*:5432"],
            &["10.0.0.2:5432 10.0.0.1:50001", "10.0.0.2:5432 10.0.0.1:50002", "10.0.0.2:5432 10.0.0.2:40000"],
        );
        assert_eq!(told(&[web.clone(), db.clone()]), ["web → db:5432 3"]);
        // Without the one, the other's address is nobody's.
        assert_eq!(told(&[db]), [""; 0]);
    }

    #[test]
    fn addresses_of_several_servers_and_services_of_nobody_are_left_out() {
        let a = server("a", &["*:80"], &["172.17.0.1:80 10.0.0.2:50000", "10.0.0.1:50000 10.0.0.2:9999"]);
        let b = server("b", &["*:81"], &["172.17.0.1:81 10.0.0.1:50000", "10.0.0.2:50000 10.0.0.1:80"]);
        assert_eq!(told(&[a.clone(), b.clone()]), ["b → a:80 1"]);
        assert_eq!(linked(&[a, b]).1, ["172.17.0.1"]);
    }

    #[test]
    fn what_was_there_before_is_a_link_and_no_further_connection() {
        let web = server(
            "web",
            &[],
            &["10.0.0.1:50000 10.0.0.2:5432", "10.0.0.1:0 10.0.0.2:5432", "10.0.0.1:0 10.0.0.2:8080"],
        );
        let db = server("db", &["*:5432", "*:8080"], &["10.0.0.2:5432 10.0.0.1:0"]);
        assert_eq!(told(&[web, db]), ["web → db:5432 1", "web → db:8080 0"]);
    }

    #[test]
    fn where_both_listen_the_lower_port_is_the_service() {
        let a = server("a", &["*:7000", "*:50000"], &["10.0.0.1:50000 10.0.0.2:7000"]);
        let b = server("b", &["*:7000"], &["10.0.0.2:7000 10.0.0.1:50000"]);
        assert_eq!(told(&[a, b]), ["a → b:7000 1"]);
    }
}
