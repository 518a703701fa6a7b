//! Groups as a piece of a policy, for people to look at before they plan by it.

use tabane_model::Phases;

use super::{Dependencies, Hub, HubKind, Link, groups::service};
use crate::text::toml_string;

/// Of each group; the rest is counted.
const LINKS_SHOWN: usize = 12;

impl Dependencies {
    /// `[[phases.dependency]]` for each group, as `policy.toml` has it.
    pub fn policy(&self) -> String {
        let mut text = String::from(
            "# Servers that were seen to talk to each other. Each was looked at for moments: what talks once a night is not here.\n\
             # Take out what does not have to move together, and give the groups names of your own.\n",
        );
        let mut line = |line: &str| {
            // What somebody is called never ends a comment.
            text.extend(line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }));
            text.push('\n');
        };
        if !self.silent.is_empty() {
            line(&format!("# Nothing is known of {}.", self.silent.join(", ")));
        }
        for hub in &self.hubs {
            line(&format!("# Left out, since it joins everybody: {hub}."));
        }
        for (at, group) in self.groups.iter().enumerate() {
            line("");
            for link in group.links.iter().take(LINKS_SHOWN) {
                line(&format!("# {link}"));
            }
            let more = group.links.len().saturating_sub(LINKS_SHOWN);
            if more > 0 {
                line(&format!("# and {more} more"));
            }
            let most = Phases::default().wave_servers as usize;
            if group.servers.len() > most {
                let what = "take servers out, or let phases.wave_servers be as many";
                line(&format!(
                    "# {} servers are more than a wave of {most} carries: {what}.",
                    group.servers.len()
                ));
            }
            line("[[phases.dependency]]");
            line(&format!("name = \"group-{}\"", at + 1));
            let servers: Vec<String> = group.servers.iter().map(|server| toml_string(server)).collect();
            line(&format!("servers = [{}]", servers.join(", ")));
        }
        if self.groups.is_empty() {
            line("# No two servers were seen to talk to each other.");
        }
        text
    }
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { client, server, port, connections } = self;
        let of = service(*port);
        let space = if of.is_empty() { "" } else { " " };
        write!(f, "{client} to {server}, port {port}{space}{of}: ")?;
        match connections {
            0 => f.write_str("seen before"),
            1 => f.write_str("1 connection"),
            _ => write!(f, "{connections} connections"),
        }
    }
}

impl std::fmt::Display for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, port, others, service, .. } = self;
        let space = if service.is_empty() { "" } else { " " };
        match self.kind {
            HubKind::Server => write!(f, "{others} servers talk to {name}, port {port}{space}{service}"),
            HubKind::Client => write!(f, "{name} talks to {others} servers, port {port}{space}{service}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dependencies::Group;

    #[test]
    fn groups_are_a_piece_of_a_policy_that_is_understood() {
        let link = Link { client: "web1".into(), server: "db\"1".into(), port: 636, connections: 2 };
        let group = Group { servers: vec!["db\"1".into(), "web1".into()], links: vec![link.clone(); 14] };
        let hub = Hub { name: "dc".into(), port: 53, kind: HubKind::Server, others: 9, service: "DNS" };
        let mut known = Dependencies {
            servers: Vec::new(),
            silent: vec!["off".into()],
            links: Vec::new(),
            hubs: vec![hub],
            groups: vec![group],
            ambiguous: Vec::new(),
        };
        let text = known.policy();
        for line in [
            "# Nothing is known of off.",
            "# Left out, since it joins everybody: 9 servers talk to dc, port 53 DNS.",
            "# web1 to db\"1, port 636 LDAPS: 2 connections",
            "# and 2 more",
            "servers = [\"db\\\"1\", \"web1\"]",
        ] {
            assert!(text.lines().any(|is| is == line), "{line}\n{text}");
        }
        assert!(!text.contains("a wave"));
        known.groups[0].servers.extend((0..24).map(|at| format!("more{at}")));
        assert!(
            known.policy().contains("# 26 servers are more than a wave of 25 carries"),
            "{}",
            known.policy()
        );
        let past = Link { connections: 0, ..link };
        assert_eq!(past.to_string(), "web1 to db\"1, port 636 LDAPS: seen before");
        known.groups.clear();
        assert!(known.policy().contains("No two servers"));
    }
}
