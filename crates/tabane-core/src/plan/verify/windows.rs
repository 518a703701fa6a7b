//! Whether waves are moved in windows that the policy opens, one after the other, with hands for all.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{ToSpan, civil::Date};
use tabane_model::{MoveWindow, Wave, WaveWindow};

use super::{Fault, judge::Judge};
use crate::plan::phases;

impl Judge<'_> {
    /// On which the pilot begins, where it has windows.
    pub fn begun(&self) -> Option<Date> {
        Some(self.plan.waves.first()?.windows.first()?.date)
    }

    pub fn windows(&self) -> Vec<Fault> {
        let names = self.setting.names();
        let unit_of = phases::groups(self.setting).unwrap_or_default().by_name(&names);
        let limits = &self.setting.policy.phases;
        let mut free = phases::first_date(limits, self.plan.made_at).to_datetime(Default::default());
        let mut faults = Vec::new();
        for wave in &self.plan.waves {
            let mut fault = |what: &str| faults.push(Fault::Breach(format!("{}: {what}", wave.name)));
            for window in &wave.windows {
                let Some((begin, end)) = window.span() else {
                    fault("a window is in no calendar");
                    continue;
                };
                // Where and when servers were moved that are there already is nobody's plan any more.
                if !wave.done {
                    let same = |open: &&MoveWindow| is_of(open, window);
                    let most = limits.windows.iter().filter(same).map(|open| limits.moves(open)).max();
                    match most {
                        None => fault(&format!(
                            "the policy opens no window on {} at {}",
                            window.date, window.from
                        )),
                        Some(most) if window.servers.is_empty() || window.servers.len() > most as usize => {
                            fault(&format!(
                                "{} servers are to be moved on {}, and there are hands for {most}",
                                window.servers.len(),
                                window.date
                            ));
                        }
                        Some(_) => {}
                    }
                    if limits.is_closed((begin, end)) {
                        fault(&format!("nothing is moved on {}", window.date));
                    }
                    if begin < free {
                        fault(&format!("{} is too early", window.date));
                    }
                }
                free = free.max(end);
            }
            if !wave.done {
                let wanted: &[String] = if limits.windows.is_empty() { &[] } else { &wave.servers };
                self.in_windows(wave, wanted, &unit_of).iter().for_each(|what| fault(what));
            }
            match self.watched(wave) {
                Ok(Some(until)) => free = free.max(until.to_datetime(Default::default())),
                Ok(None) => {}
                Err(()) => fault("it is watched for longer than there is a calendar"),
            }
        }
        faults
    }

    /// Each server in one window, with all that move together with it.
    fn in_windows(&self, wave: &Wave, wanted: &[String], unit_of: &HashMap<&str, usize>) -> Vec<String> {
        let mut left: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
        let mut window_of: BTreeMap<usize, usize> = BTreeMap::new();
        let mut faults = Vec::new();
        for (at, window) in wave.windows.iter().enumerate() {
            for server in &window.servers {
                if !left.remove(server.as_str()) {
                    faults.push(format!("{server} is moved on {}, and waits for no move", window.date));
                }
                let unit = unit_of.get(server.as_str());
                if unit.is_some_and(|unit| *window_of.entry(*unit).or_insert(at) != at) {
                    faults.push(format!("{server} and who depends on it move in different windows"));
                }
            }
        }
        faults.extend(left.first().map(|server| format!("{server} is moved in no window")));
        faults
    }

    fn watched(&self, wave: &Wave) -> Result<Option<Date>, ()> {
        let Some(last) = wave.windows.last() else { return Ok(None) };
        let days = i64::from(self.setting.policy.phases.watch_days).days();
        last.date.checked_add(days).map(Some).map_err(|_| ())
    }
}

fn is_of(open: &MoveWindow, window: &WaveWindow) -> bool {
    open.from == window.from
        && (open.hours - window.hours).abs() <= 1e-9 * open.hours
        && open.on(window.date).is_some()
}
