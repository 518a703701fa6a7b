//! Objects as tables, JSON and YAML.

use anyhow::Result;
use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde::Serialize;
use tabane_model::{
    Disk, Event, Flavor, Host, Image, ImageSource, Network, Pool, Resource, Snapshot, Survey, Token, Verdict,
    Vm, format_bytes,
    planning::{Collection, CollectionPhase, Plan, PlanSummary, Wave},
};

use crate::arguments::Form;

/// An object as a line of a table.
pub trait Row: Resource {
    const HEADERS: &'static [&'static str];
    fn cells(&self) -> Vec<String>;
}

fn join<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let text: Vec<String> = items.into_iter().map(|i| i.to_string()).collect();
    if text.is_empty() { "-".into() } else { text.join(", ") }
}

fn or_dash(text: Option<impl ToString>) -> String {
    text.map_or_else(|| "-".into(), |t| t.to_string())
}

/// `1 host`, `2 hosts`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// How long ago, in the largest unit that says enough.
pub fn age(at: Option<Timestamp>) -> String {
    let Some(at) = at else { return "-".into() };
    let seconds = Timestamp::now().duration_since(at).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

impl Row for Vm {
    const HEADERS: &'static [&'static str] = &["NAME", "STATE", "CPUS", "MEMORY", "ADDRESSES", "HOST", "AGE"];
    fn cells(&self) -> Vec<String> {
        let told = self.status.guest.iter().flat_map(|g| g.addresses.iter());
        let mut addresses: Vec<_> = self.spec.nics.iter().filter_map(|n| n.address).collect();
        addresses.extend(told.filter(|a| a.is_ipv4()));
        addresses.dedup();
        vec![
            self.meta.name.to_string(),
            self.phase().into(),
            self.spec.cpus.to_string(),
            format_bytes(self.spec.memory_bytes),
            join(addresses),
            or_dash(self.spec.host.as_ref()),
            age(self.meta.created_at),
        ]
    }
}

impl Row for Image {
    const HEADERS: &'static [&'static str] =
        &["NAME", "STATE", "KIND", "SOURCE", "OS", "SIZE", "ON HOST", "AGE"];
    fn cells(&self) -> Vec<String> {
        let source = match &self.spec.source {
            ImageSource::Upload { .. } => "upload".into(),
            ImageSource::Url { url } => url.clone(),
            ImageSource::Build { recipe } => format!("recipe {recipe}"),
            ImageSource::Snapshot { snapshot, .. } => format!("snapshot {snapshot}"),
        };
        vec![
            self.meta.name.to_string(),
            match &self.status.progress {
                Some(p) => format!("{} {:.0} %", self.phase(), p.fraction * 100.0),
                None => self.phase().into(),
            },
            match &self.status {
                status if status.cdrom => "cd".into(),
                status if status.kernel => "kernel".into(),
                status if status.disk => "disk".into(),
                _ => "-".into(),
            },
            source,
            or_dash(self.status.os.as_ref()),
            format_bytes(self.status.virtual_size_bytes),
            format_bytes(self.status.size_bytes),
            age(self.meta.created_at),
        ]
    }
}

impl Row for Disk {
    const HEADERS: &'static [&'static str] =
        &["NAME", "STATE", "SIZE", "USED", "IMAGE", "VM", "POOL", "HOST"];
    fn cells(&self) -> Vec<String> {
        vec![
            self.meta.name.to_string(),
            self.phase().into(),
            format_bytes(self.status.size_bytes),
            format_bytes(self.status.used_bytes),
            or_dash(self.spec.image.as_ref()),
            or_dash(self.spec.vm.as_ref()),
            self.spec.pool.to_string(),
            or_dash(self.spec.host.as_ref()),
        ]
    }
}

impl Row for Snapshot {
    const HEADERS: &'static [&'static str] =
        &["NAME", "STATE", "VM", "CONTENT", "USED", "PARENT", "EXPIRES", "AGE", "NOTE"];
    fn cells(&self) -> Vec<String> {
        let taken = self.status.taken_at.is_some();
        vec![
            self.meta.name.to_string(),
            self.phase().into(),
            self.spec.vm.to_string(),
            or_dash(taken.then_some(self.status.consistency)),
            format_bytes(self.status.used_bytes),
            or_dash(self.status.parent.as_ref()),
            or_dash(self.spec.expires_at.map(|at| at.round(jiff::Unit::Minute).unwrap_or(at))),
            age(self.status.taken_at.or(self.meta.created_at)),
            self.spec.note.clone(),
        ]
    }
}

impl Row for Flavor {
    const HEADERS: &'static [&'static str] = &["NAME", "CPUS", "MEMORY", "DISK", "DESCRIPTION"];
    fn cells(&self) -> Vec<String> {
        vec![
            self.meta.name.to_string(),
            self.spec.cpus.to_string(),
            format_bytes(self.spec.memory_bytes),
            self.spec.disk_bytes.map_or_else(|| "as the image".into(), format_bytes),
            self.spec.description.clone(),
        ]
    }
}

impl Row for Pool {
    const HEADERS: &'static [&'static str] = &["NAME", "STATE", "KIND", "FREE", "OF", "REFLINK"];
    fn cells(&self) -> Vec<String> {
        let hosts = self.status.hosts.values();
        vec![
            self.meta.name.to_string(),
            self.phase().into(),
            self.spec.kind.to_string(),
            format_bytes(hosts.clone().map(|h| h.free_bytes).sum()),
            format_bytes(hosts.clone().map(|h| h.capacity_bytes).sum()),
            if hosts.clone().any(|h| h.reflink) { "yes" } else { "no" }.into(),
        ]
    }
}

impl Row for Network {
    const HEADERS: &'static [&'static str] = &["NAME", "STATE", "KIND", "RANGE"];
    fn cells(&self) -> Vec<String> {
        let cells = [self.meta.name.to_string(), self.phase().into(), self.spec.kind.to_string()];
        [&cells[..], &[or_dash(self.spec.cidr)]].concat()
    }
}

impl Row for Host {
    const HEADERS: &'static [&'static str] =
        &["NAME", "STATE", "CPUS", "MEMORY", "FREE", "ACCEL", "QEMU", "HEARD"];
    fn cells(&self) -> Vec<String> {
        vec![
            self.meta.name.to_string(),
            self.phase().into(),
            self.status.cpus.to_string(),
            format_bytes(self.status.memory_bytes),
            format_bytes(self.status.memory_free_bytes),
            if self.status.accel.kvm { "kvm" } else { "tcg" }.into(),
            or_dash(self.status.qemu_version.as_ref()),
            age(self.status.heard_at),
        ]
    }
}

impl Row for Event {
    const HEADERS: &'static [&'static str] = &["AT", "LEVEL", "ABOUT", "REASON", "MESSAGE"];
    fn cells(&self) -> Vec<String> {
        vec![
            self.spec.at.round(jiff::Unit::Second).unwrap_or(self.spec.at).to_string(),
            self.spec.level.to_string(),
            format!("{}/{}", self.spec.about.kind, self.spec.about.name),
            self.spec.reason.clone(),
            self.spec.message.clone(),
        ]
    }
}

impl Row for Survey {
    const HEADERS: &'static [&'static str] =
        &["NAME", "STATE", "SERVERS", "DAYS", "METRICS", "FINDINGS", "AGE"];
    fn cells(&self) -> Vec<String> {
        let status = &self.status;
        let ready = status.servers > 0;
        vec![
            self.meta.name.to_string(),
            match (status.message.as_str(), self.phase()) {
                ("", "uploading") => {
                    format!("uploading {} of {}", status.received.len(), self.spec.files.len())
                }
                ("", phase) => phase.into(),
                (message, phase) => format!("{phase}: {message}"),
            },
            or_dash(ready.then_some(status.servers)),
            or_dash(ready.then(|| format!("{:.1}", status.days))),
            or_dash(ready.then_some(status.metrics.len())),
            or_dash(ready.then_some(status.findings_count)),
            age(self.meta.created_at),
        ]
    }
}

impl Row for Collection {
    const HEADERS: &'static [&'static str] =
        &["NAME", "STATE", "SERVERS", "REACHED", "SAMPLES", "COLLECTOR", "SURVEYS", "AGE"];
    fn cells(&self) -> Vec<String> {
        let status = &self.status;
        let report = status.report.as_ref();
        let state = match report.map_or("", |report| report.message.as_str()) {
            "" if status.phase == CollectionPhase::Waiting => "waits for a collector".into(),
            "" => self.phase().into(),
            message => format!("{}: {message}", self.phase()),
        };
        let surveys: Vec<&str> = status.surveys.iter().map(|name| name.as_str()).collect();
        vec![
            self.meta.name.to_string(),
            state,
            or_dash(report.map(|report| report.servers)),
            or_dash(report.map(|report| report.reached)),
            or_dash(report.map(|report| report.samples)),
            or_dash(report.map(|report| report.collector.clone())),
            or_dash((!surveys.is_empty()).then(|| surveys.join(", "))),
            age(self.meta.created_at),
        ]
    }
}

impl Row for Plan {
    const HEADERS: &'static [&'static str] =
        &["NAME", "STATE", "SURVEY", "SERVERS", "HOSTS", "BOUND", "SPARE", "WITHOUT A HOST", "COST", "AGE"];
    fn cells(&self) -> Vec<String> {
        let summary = self.status.summary.as_ref();
        let counted = |of: fn(&PlanSummary) -> u32| or_dash(summary.map(of));
        vec![
            self.meta.name.to_string(),
            if self.status.message.is_empty() {
                self.phase().into()
            } else {
                format!("{}: {}", self.phase(), self.status.message)
            },
            self.spec.survey.to_string(),
            counted(|summary| summary.servers),
            counted(|summary| summary.hosts),
            counted(|summary| summary.lower_bound_hosts),
            counted(|summary| summary.spare_hosts),
            counted(|summary| summary.unplaced),
            or_dash(summary.map(|summary| summary.cost)),
            age(self.meta.created_at),
        ]
    }
}

impl Row for Wave {
    const HEADERS: &'static [&'static str] = &["NAME", "STATE", "PLAN", "WAVE", "REVIEW", "AGE"];
    fn cells(&self) -> Vec<String> {
        let verdict = self.verdict().map(|verdict| match verdict {
            Verdict::Pass => "passes",
            Verdict::Wait => "waits",
            Verdict::Stop => "says stop",
            Verdict::RollBack => "says roll back",
        });
        vec![
            self.meta.name.to_string(),
            self.phase().into(),
            self.spec.plan.to_string(),
            self.spec.wave.clone(),
            if self.status.message.is_empty() { or_dash(verdict) } else { self.status.message.clone() },
            age(self.meta.created_at),
        ]
    }
}

impl Row for Token {
    const HEADERS: &'static [&'static str] = &["NAME", "ROLE", "DESCRIPTION", "EXPIRES", "AGE"];
    fn cells(&self) -> Vec<String> {
        vec![
            self.meta.name.to_string(),
            self.spec.role.to_string(),
            self.spec.description.clone(),
            or_dash(self.spec.expires_at),
            age(self.meta.created_at),
        ]
    }
}

fn plain_table(headers: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(headers);
    // Columns are set apart by two spaces and begin at the left edge.
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// Lines of a table without trailing blanks.
pub fn table(headers: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = plain_table(headers);
    table.add_rows(rows);
    let lines: Vec<String> = table.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

pub fn say(text: &str) -> Result<()> {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{text}") {
        // `tabane vm list | head` is no error.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}

pub fn list<R: Row>(form: Form, items: &[R]) -> Result<()> {
    match form {
        Form::Table if items.is_empty() => {
            eprintln!("there are no {}", R::KIND.plural());
            Ok(())
        }
        Form::Table => say(&table(R::HEADERS, items.iter().map(Row::cells))),
        form => value(form, &items),
    }
}

pub fn one<R: Row>(form: Form, item: &R) -> Result<()> {
    match form {
        Form::Table => list(form, std::slice::from_ref(item)),
        form => value(form, item),
    }
}

/// Lines as they are.
pub fn lines(lines: &[String]) -> Result<()> {
    say(&lines.join("\n"))
}

/// One line of a table without its head, for lists that go on.
pub fn line<R: Row>(form: Form, item: &R) -> Result<()> {
    match form {
        Form::Table => say(&item.cells().join("  ")),
        Form::Json => say(&serde_json::to_string(item)?),
        Form::Yaml => say(&format!("---\n{}", serde_yaml_ng::to_string(item)?.trim_end())),
    }
}

pub fn value<T: Serialize>(form: Form, value: &T) -> Result<()> {
    match form {
        Form::Yaml => say(serde_yaml_ng::to_string(value)?.trim_end()),
        Form::Json | Form::Table => say(&serde_json::to_string_pretty(value)?),
    }
}
