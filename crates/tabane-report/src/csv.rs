//! Tables for spreadsheets: a line per server, then hosts, waves and costs, each with its own head.

use tabane_model::Plan;

use crate::{Language, words};

/// What is in a plan, as comma-separated values (RFC 4180), UTF-8.
pub fn csv(plan: &Plan) -> String {
    let mut out = String::new();
    let mut line = |fields: &[&str]| {
        let quoted: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        out.push_str(&quoted.join(","));
        out.push_str("\r\n");
    };
    line(&["server", "host", "host_type", "wave", "reason"]);
    let wave_of = |server: &str| {
        let wave = plan.waves.iter().find(|wave| wave.servers.iter().any(|name| name == server));
        wave.map_or("", |wave| &wave.name)
    };
    for host in &plan.hosts {
        for server in &host.servers {
            line(&[server, &host.id, &host.host_type, wave_of(server), ""]);
        }
    }
    for server in &plan.unplaced {
        line(&[&server.server, "", "", "", &server.reason]);
    }
    line(&[]);
    let resources = &plan.assumptions.resources;
    let peaks: Vec<String> = resources.iter().map(|name| format!("{name}_peak_share")).collect();
    let head = ["host", "host_type", "spare", "servers", "overload_probability"].into_iter();
    line(&head.chain(peaks.iter().map(String::as_str)).collect::<Vec<_>>());
    for host in &plan.hosts {
        let mut fields = vec![
            host.id.clone(),
            host.host_type.clone(),
            host.spare.to_string(),
            host.servers.len().to_string(),
            host.overload_probability.map(|share| share.to_string()).unwrap_or_default(),
        ];
        for name in resources {
            let peak = host.peaks.iter().find(|peak| peak.resource == *name);
            fields.push(peak.map(|peak| peak.share.to_string()).unwrap_or_default());
        }
        line(&fields.iter().map(String::as_str).collect::<Vec<_>>());
    }
    if let Some(tco) = &plan.tco {
        line(&[]);
        line(&["cost", &format!("before_{}", tco.currency), &format!("after_{}", tco.currency)]);
        for position in &tco.positions {
            let item = words::item(Language::English, position.item);
            line(&[item, &format!("{:.2}", position.before), &format!("{:.2}", position.after)]);
        }
        line(&["Total", &format!("{:.2}", tco.before), &format!("{:.2}", tco.after)]);
    }
    out
}

/// A field. What a spreadsheet would take for a formula begins with an apostrophe, since names come from strangers.
fn quoted(field: &str) -> String {
    let is_number = field.parse::<f64>().is_ok();
    let guarded = match field.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') if !is_number => format!("'{field}"),
        _ => field.to_owned(),
    };
    if guarded.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", guarded.replace('"', "\"\""))
    } else {
        guarded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_neither_formulas_nor_further_fields() {
        assert_eq!(quoted("web1"), "web1");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(quoted("=cmd()"), "'=cmd()");
        assert_eq!((quoted("-3.5"), quoted("-x")), ("-3.5".into(), "'-x".into()));
    }
}
