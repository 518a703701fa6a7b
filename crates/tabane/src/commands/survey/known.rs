//! What is known of servers while they are looked at.

use std::collections::BTreeMap;

use tabane_model::planning::{
    COLLECTED_SOURCES_MAX, CollectedSource, CollectionReport, SourceLoad, SourceState,
};
use tabane_survey::collect::{Inventory, Progress, Target};

use crate::output::counted;

/// Texts of reports are cut to so many letters; those of four bytes each stay within what servers take.
const LETTERS_MAX: usize = 100;

pub struct Known {
    sources: BTreeMap<Target, Source>,
}

#[derive(Default)]
struct Source {
    inventory: Option<Box<Inventory>>,
    samples: u64,
    load: Option<SourceLoad>,
    /// Why it is not reached any more.
    lost: Option<String>,
}

impl Source {
    fn state(&self) -> SourceState {
        match (&self.lost, &self.inventory) {
            (Some(_), _) => SourceState::Lost,
            (None, Some(_)) => SourceState::Measured,
            (None, None) => SourceState::Waiting,
        }
    }
}

impl Known {
    pub fn of(targets: &[Target]) -> Self {
        Self { sources: targets.iter().map(|target| (target.clone(), Source::default())).collect() }
    }

    /// Takes note of what happened to a server; returns what is worth a line.
    pub fn note(&mut self, target: &Target, progress: Progress) -> Option<String> {
        let source = self.sources.entry(target.clone()).or_default();
        match progress {
            Progress::Reached { inventory } => {
                let Inventory { os, cores, mem_mib, .. } = &*inventory;
                let line = format!("{target}: {os}, {cores} cores, {mem_mib} MiB");
                source.lost = None;
                source.inventory = Some(inventory);
                Some(line)
            }
            Progress::Sampled { samples, load } => {
                source.samples = samples;
                source.load = load;
                None
            }
            Progress::Lost { why, again_in } => {
                let unknown = why.contains("Host key verification failed");
                let next = if unknown { " (see its key and accept it by `ssh`, once)" } else { "" };
                let line = format!("{target}: {why}{next}; tried again in {} s", again_in.as_secs());
                source.load = None;
                source.lost = Some(why);
                Some(line)
            }
        }
    }

    fn reached(&self) -> usize {
        self.sources.values().filter(|source| source.state() == SourceState::Measured).count()
    }

    fn samples(&self) -> u64 {
        self.sources.values().map(|source| source.samples).sum()
    }

    /// In one line.
    pub fn told(&self) -> String {
        let lost = self.sources.iter().find_map(|(target, source)| Some((target, source.lost.as_ref()?)));
        let lost = lost.map(|(target, why)| format!("; {target}: {why}")).unwrap_or_default();
        let (all, samples) =
            (counted(self.sources.len(), "server"), counted(self.samples() as usize, "sample"));
        format!("{} of {all} reached, {samples}{lost}", self.reached())
    }

    /// For the server, which is told of the troubled first.
    pub fn report(&self) -> CollectionReport {
        let mut sources: Vec<CollectedSource> = self.sources.iter().map(collected).collect();
        let rank = |state| match state {
            SourceState::Lost => 0,
            SourceState::Waiting => 1,
            SourceState::Measured => 2,
        };
        sources.sort_by_key(|source| rank(source.state));
        sources.truncate(COLLECTED_SOURCES_MAX);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        CollectionReport {
            servers: count(self.sources.len()),
            reached: count(self.reached()),
            samples: self.samples(),
            sources,
            ..CollectionReport::default()
        }
    }
}

fn collected((target, source): (&Target, &Source)) -> CollectedSource {
    let inventory = source.inventory.as_deref();
    CollectedSource {
        source: target.to_string(),
        state: source.state(),
        os: inventory.map(|inventory| plain(&inventory.os)).unwrap_or_default(),
        cores: inventory.map_or(0, |inventory| inventory.cores),
        memory_mib: inventory.map_or(0, |inventory| inventory.mem_mib),
        samples: source.samples,
        load: source.load,
        message: source.lost.as_deref().map(plain).unwrap_or_default(),
    }
}

/// What a server said may hold anything.
pub fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LETTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tabane_model::Faults;

    use super::*;

    fn known(names: &[&str]) -> (Known, Vec<Target>) {
        let targets: Vec<Target> = names.iter().map(|name| name.parse().unwrap()).collect();
        (Known::of(&targets), targets)
    }

    fn reached(os: &str) -> Progress {
        let inventory = Inventory { os: os.into(), cores: 2, mem_mib: 1_000, ..Inventory::default() };
        Progress::Reached { inventory: Box::new(inventory) }
    }

    #[test]
    fn those_in_trouble_go_first_and_what_they_say_is_made_plain() {
        let (mut known, targets) = known(&["a", "b", "c"]);
        assert_eq!(known.told(), "0 of 3 servers reached, 0 samples");
        known.note(&targets[0], reached("Debian \u{1b}[2J12"));
        known.note(&targets[0], Progress::Sampled { samples: 3, load: Some(SourceLoad::default()) });
        known.note(&targets[2], reached("Debian 12"));
        let lost =
            Progress::Lost { why: "\u{7}".repeat(9) + &"雪".repeat(500), again_in: Duration::from_secs(5) };
        assert!(known.note(&targets[2], lost).unwrap().ends_with("; tried again in 5 s"));
        assert!(known.told().starts_with("1 of 3 servers reached, 3 samples; c: "));

        let mut report = known.report();
        report.session = "s".into();
        let order: Vec<&str> = report.sources.iter().map(|source| source.source.as_str()).collect();
        assert_eq!(order, ["c", "b", "a"]);
        assert_eq!((report.servers, report.reached, report.samples), (3, 1, 3));
        assert_eq!(report.sources[2].os, "Debian [2J12");
        let mut faults = Faults::default();
        report.validate(&mut faults);
        assert!(faults.is_empty(), "{faults:?}");
    }
}
