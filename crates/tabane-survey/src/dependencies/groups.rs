//! Which servers belong together, and who only belongs to everybody.

use std::collections::{BTreeMap, BTreeSet};

use super::Link;

/// A service that half of all others use says nothing of who belongs together.
pub const HUB_SHARE: f64 = 0.5;
/// A database of three servers is no hub because two of them use it.
const CLIENTS_MIN: usize = 5;
/// Of services that are for everybody by what they are.
const CLIENTS_MIN_OF_INFRASTRUCTURE: usize = 3;
/// By which people and surveys come; it says nothing of applications.
const ADMINISTRATION: u16 = 22;

/// Services that are there for everybody, by the ports that IANA and their makers give them.
const INFRASTRUCTURE: [(u16, &str); 22] = [
    (53, "DNS"),
    (88, "Kerberos"),
    (111, "RPC"),
    (123, "NTP"),
    (135, "RPC of Windows"),
    (161, "SNMP"),
    (389, "LDAP"),
    (445, "SMB"),
    (464, "Kerberos passwords"),
    (514, "syslog"),
    (636, "LDAPS"),
    (1514, "Wazuh"),
    (3268, "global catalogue"),
    (3269, "global catalogue"),
    (4505, "Salt"),
    (4506, "Salt"),
    (5666, "NRPE"),
    (6514, "syslog"),
    (8140, "Puppet"),
    (9100, "node_exporter"),
    (10050, "Zabbix agent"),
    (10051, "Zabbix"),
];

/// What a port is called that everybody may use; empty of others.
pub(super) fn service(port: u16) -> &'static str {
    INFRASTRUCTURE.iter().find(|(known, _)| *known == port).map_or("", |(_, name)| name)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HubKind {
    /// Nearly everybody talks to it, as to a directory.
    Server,
    /// It talks to nearly everybody, as monitoring does.
    Client,
}

/// A service that says nothing of who belongs together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hub {
    pub name: String,
    pub port: u16,
    pub kind: HubKind,
    /// How many others are at the other end.
    pub others: usize,
    /// What the port is called, if it is one of those that are for everybody.
    pub service: &'static str,
}

/// Servers that talk to each other, and by which links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub servers: Vec<String>,
    pub links: Vec<Link>,
}

/// Hubs among so many servers, and groups of what is left.
pub(super) fn grouped(links: &[Link], servers: usize, hub_share: f64) -> (Vec<Hub>, Vec<Group>) {
    let mut others: BTreeMap<(HubKind, &str, u16), BTreeSet<&str>> = BTreeMap::new();
    for Link { client, server, port, .. } in links.iter().filter(|link| link.port != ADMINISTRATION) {
        others.entry((HubKind::Server, server, *port)).or_default().insert(client);
        others.entry((HubKind::Client, client, *port)).or_default().insert(server);
    }
    let share = ((servers.saturating_sub(1)) as f64 * hub_share).ceil() as usize;
    others.retain(|(_, _, port), others| {
        let (least, enough) = match service(*port) {
            "" => (CLIENTS_MIN, share),
            _ => (CLIENTS_MIN_OF_INFRASTRUCTURE, CLIENTS_MIN_OF_INFRASTRUCTURE),
        };
        others.len() >= least.max(enough)
    });
    let is_hub = |kind: HubKind, name: &str, port: u16| others.contains_key(&(kind, name, port));
    let telling: Vec<&Link> = links
        .iter()
        .filter(|link| link.port != ADMINISTRATION)
        .filter(|link| !is_hub(HubKind::Server, &link.server, link.port))
        .filter(|link| !is_hub(HubKind::Client, &link.client, link.port))
        .collect();
    let hub = |((kind, name, port), others): (&(HubKind, &str, u16), &BTreeSet<&str>)| Hub {
        name: (*name).to_owned(),
        port: *port,
        kind: *kind,
        others: others.len(),
        service: service(*port),
    };
    let mut hubs: Vec<Hub> = others.iter().map(hub).collect();
    hubs.sort_by(|a, b| b.others.cmp(&a.others).then_with(|| a.cmp(b)));
    (hubs, connected(&telling))
}

/// Servers that are reached from each other by links, whichever way.
fn connected(links: &[&Link]) -> Vec<Group> {
    let mut neighbours: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for link in links {
        neighbours.entry(&link.client).or_default().insert(&link.server);
        neighbours.entry(&link.server).or_default().insert(&link.client);
    }
    let mut group_of: BTreeMap<&str, usize> = BTreeMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for first in neighbours.keys() {
        if group_of.contains_key(first) {
            continue;
        }
        let at = groups.len();
        let mut waiting = vec![*first];
        let mut members = BTreeSet::new();
        while let Some(server) = waiting.pop() {
            if members.insert(server) {
                group_of.insert(server, at);
                waiting.extend(&neighbours[server]);
            }
        }
        groups.push(Group { servers: members.into_iter().map(str::to_owned).collect(), links: Vec::new() });
    }
    for link in links {
        groups[group_of[link.client.as_str()]].links.push((*link).clone());
    }
    groups.sort_by(|a, b| b.servers.len().cmp(&a.servers.len()).then_with(|| a.servers.cmp(&b.servers)));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(client: &str, server: &str, port: u16) -> Link {
        Link { client: client.into(), server: server.into(), port, connections: 1 }
    }

    fn names(groups: &[Group]) -> Vec<Vec<&str>> {
        groups.iter().map(|group| group.servers.iter().map(String::as_str).collect()).collect()
    }

    /// Three applications of three servers each, whose web servers talk to others by way of their middle.
    fn applications() -> Vec<Link> {
        (0..3)
            .flat_map(|at| {
                let [web, app, db] = ["web", "app", "db"].map(|name| format!("{name}{at}"));
                [link(&web, &app, 8080), link(&app, &db, 5432)]
            })
            .collect()
    }

    #[test]
    fn what_everybody_talks_to_joins_nothing() {
        let mut links = applications();
        let all = |at: usize| ["web", "app", "db"].map(|name| format!("{name}{at}"));
        for name in (0..3).flat_map(all) {
            links.push(link(&name, "dc", 389));
            links.push(link(&name, "queue", 5672));
            links.push(link("monitoring", &name, 9100));
            links.push(link("backup", &name, 7777));
            links.push(link("jump", &name, 22));
        }
        let (hubs, groups) = grouped(&links, 13, HUB_SHARE);
        assert_eq!(
            names(&groups),
            [["app0", "db0", "web0"], ["app1", "db1", "web1"], ["app2", "db2", "web2"]]
        );
        assert_eq!(groups[1].links, applications()[2..4].to_vec());
        let told: Vec<(&str, u16, HubKind, usize, &str)> =
            hubs.iter().map(|it| (it.name.as_str(), it.port, it.kind, it.others, it.service)).collect();
        assert_eq!(
            told,
            [
                ("backup", 7777, HubKind::Client, 9, ""),
                ("dc", 389, HubKind::Server, 9, "LDAP"),
                ("monitoring", 9100, HubKind::Client, 9, "node_exporter"),
                ("queue", 5672, HubKind::Server, 9, ""),
            ]
        );
        // Among so many others nine are few; a directory stays one.
        let (hubs, groups) = grouped(&links, 100, HUB_SHARE);
        assert_eq!(hubs.iter().map(|hub| hub.name.as_str()).collect::<Vec<_>>(), ["dc", "monitoring"]);
        assert_eq!((groups.len(), groups[0].servers.len()), (1, 11));
    }

    #[test]
    fn a_database_of_a_few_servers_is_no_hub() {
        let links =
            [link("a", "db", 5432), link("b", "db", 5432), link("c", "db", 5432), link("d", "db", 5432)];
        let (hubs, groups) = grouped(&links, 5, HUB_SHARE);
        assert!(hubs.is_empty());
        assert_eq!(names(&groups), [["a", "b", "c", "d", "db"]]);
        // Two that use a directory are two that use a directory.
        assert_eq!(
            names(&grouped(&[link("a", "dc", 389), link("b", "dc", 389)], 3, HUB_SHARE).1),
            [["a", "b", "dc"]]
        );
    }
}
