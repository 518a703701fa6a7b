//! What is odd about files without being a reason to stop: counted by kind and server, with one example of each.

use std::collections::BTreeMap;

/// What can be odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Bins between the first and the last of the time line.
    Gap,
    /// Nothing at all was measured.
    NoTrace,
    Duplicate,
    /// A sample is earlier than the one before it.
    ClockStep,
    /// A counter that only grows is less than it was.
    CounterReset,
    /// Negative, no number, or far more than the server has.
    Impossible,
    /// Files have the same times of the same server.
    Overlap,
    /// Before the first bin that was asked for.
    Early,
    /// It had more or less at another time.
    HardwareChanged,
    /// Its name would not fit into a file.
    Renamed,
    /// The file ends within a line.
    Cut,
    /// Something of the file was left out.
    LeftOut,
    /// Averages are no trace.
    Averages,
}

impl Kind {
    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::NoTrace => "no_trace",
            Self::Duplicate => "duplicate",
            Self::ClockStep => "clock_step",
            Self::CounterReset => "counter_reset",
            Self::Impossible => "impossible",
            Self::Overlap => "overlap",
            Self::Early => "early",
            Self::HardwareChanged => "hardware_changed",
            Self::Renamed => "renamed",
            Self::Cut => "cut",
            Self::LeftOut => "left_out",
            Self::Averages => "averages",
        }
    }

    /// What is counted, and what became of it.
    pub fn told(self) -> &'static str {
        match self {
            Self::Gap => "bins without a sample; they stay so",
            Self::NoTrace => "servers of which nothing was measured",
            Self::Duplicate => "samples twice; the larger one counts",
            Self::ClockStep => {
                "samples that are earlier than those before them, as when a clock was set; the larger one counts"
            }
            Self::CounterReset => "counters that began anew; what was between is a gap",
            Self::Impossible => "samples that cannot be; left out",
            Self::Overlap => "files that overlap; the larger samples count",
            Self::Early => "samples before the first bin; left out",
            Self::HardwareChanged => "changes of what a server has; the most of it counts",
            Self::Renamed => "names that would not fit into a file; changed",
            Self::Cut => "files that end within a line; the last sample may be cut short",
            Self::LeftOut => "parts of the files that say nothing of servers; left out",
            Self::Averages => {
                "averages, which are no trace: labels of servers.csv, and no plan is made of them"
            }
        }
    }
}

/// What is odd about a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    pub server: String,
    pub count: u64,
    /// The first of them.
    pub example: String,
}

/// Everything of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group<'a> {
    pub kind: Kind,
    pub servers: usize,
    pub count: u64,
    /// The server that has the most.
    pub worst: &'a Finding,
}

impl std::fmt::Display for Group<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (servers, s) = (self.servers, if self.servers == 1 { "" } else { "s" });
        write!(f, "{}: {} ({servers} server{s}", self.kind.told(), self.count)?;
        let Finding { server, count, example, .. } = self.worst;
        if self.servers > 1 && self.count > self.servers as u64 {
            write!(f, ", the most {count} of {server}")?;
        }
        write!(f, "; for example {server}: {example})")
    }
}

/// One line for each kind.
pub fn grouped(findings: &[Finding]) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<Kind, Group<'_>> = BTreeMap::new();
    for finding in findings {
        let Finding { kind, count, .. } = *finding;
        groups
            .entry(kind)
            .and_modify(|group| {
                group.servers += 1;
                group.count += count;
                if count > group.worst.count {
                    group.worst = finding;
                }
            })
            .or_insert(Group { kind, servers: 1, count, worst: finding });
    }
    groups.into_values().collect()
}

/// Findings while files are read. The number is that of the server; the text is made only for the first.
#[derive(Debug, Default)]
pub(super) struct Findings(BTreeMap<(Kind, usize), (u64, String)>);

impl Findings {
    pub fn add(&mut self, kind: Kind, server: usize, count: u64, example: impl FnOnce() -> String) {
        self.0.entry((kind, server)).or_insert_with(|| (0, example())).0 += count;
    }

    /// `name` of a number.
    pub fn finish(self, name: impl Fn(usize) -> String) -> Vec<Finding> {
        let told = self.0.into_iter();
        told.map(|((kind, server), (count, example))| Finding { kind, server: name(server), count, example })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_one_line_however_many_servers_have_it() {
        let mut findings = Findings::default();
        for server in 0..900 {
            findings.add(Kind::Gap, server, 2, || format!("bin {server}"));
        }
        findings.add(Kind::Gap, 7, 5, || "never asked".into());
        findings.add(Kind::Impossible, 1, 1, || "web.csv, line 3: -1".into());
        let all = findings.finish(|server| format!("s{server}"));
        assert_eq!(all.len(), 901);
        let told: Vec<String> = grouped(&all).iter().map(Group::to_string).collect();
        assert_eq!(
            told,
            [
                "bins without a sample; they stay so: 1805 (900 servers, the most 7 of s7; for example s7: bin 7)",
                "samples that cannot be; left out: 1 (1 server; for example s1: web.csv, line 3: -1)"
            ]
        );
    }
}
