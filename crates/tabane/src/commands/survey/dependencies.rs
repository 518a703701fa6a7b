//! Who talks to whom, and what has to move together.

use anyhow::Result;
use serde_json::json;
use tabane_survey::dependencies::{self, Dependencies, Hub, HubKind, Link};

use crate::{
    arguments::{Form, SurveyDependencies},
    output::{self, counted},
};

pub fn run(form: Form, arguments: &SurveyDependencies) -> Result<()> {
    let found = dependencies::dependencies(&arguments.collection, arguments.hub_share)?;
    if arguments.toml {
        return output::say(found.policy().trim_end());
    }
    match form {
        Form::Table => tell(&found),
        form => output::value(form, &as_json(&found)),
    }
}

fn tell(found: &Dependencies) -> Result<()> {
    let rows = found.links.iter().map(|link| {
        vec![link.client.clone(), link.server.clone(), link.port.to_string(), link.connections.to_string()]
    });
    if !found.links.is_empty() {
        output::say(&output::table(&["CLIENT", "SERVER", "PORT", "CONNECTIONS"], rows))?;
    }
    for (at, group) in found.groups.iter().enumerate() {
        output::say(&format!("group-{}: {}", at + 1, group.servers.join(", ")))?;
    }
    for hub in &found.hubs {
        output::say(&format!("joins nobody: {hub}"))?;
    }
    if !found.silent.is_empty() {
        output::say(&format!("nothing is known of {}", found.silent.join(", ")))?;
    }
    if !found.ambiguous.is_empty() {
        output::say(&format!("several servers say that these are theirs: {}", found.ambiguous.join(", ")))?;
    }
    let (servers, groups) = (counted(found.servers.len(), "server"), counted(found.groups.len(), "group"));
    output::say(&format!("{servers}, {groups}; `--toml` makes a piece of a policy of it"))
}

fn as_json(found: &Dependencies) -> serde_json::Value {
    let link = |link: &Link| json!({ "client": link.client, "server": link.server, "port": link.port, "connections": link.connections });
    let hub = |hub: &Hub| {
        let kind = match hub.kind {
            HubKind::Server => "server",
            HubKind::Client => "client",
        };
        json!({ "name": hub.name, "port": hub.port, "kind": kind, "others": hub.others, "service": hub.service })
    };
    let groups = found.groups.iter().map(|group| {
        json!({ "servers": group.servers, "links": group.links.iter().map(link).collect::<Vec<_>>() })
    });
    json!({
        "servers": found.servers,
        "silent": found.silent,
        "links": found.links.iter().map(link).collect::<Vec<_>>(),
        "hubs": found.hubs.iter().map(hub).collect::<Vec<_>>(),
        "groups": groups.collect::<Vec<_>>(),
        "ambiguous": found.ambiguous,
    })
}
