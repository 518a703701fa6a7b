//! Whether waves are moved in windows that the policy opens, one after the other, with hands for all.

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
                        Some(most) if window.servers > most || window.servers == 0 => fault(&format!(
                            "{} servers are to be moved on {}, and there are hands for {most}",
                            window.servers, window.date
                        )),
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
            let moved: u64 = wave.windows.iter().map(|window| u64::from(window.servers)).sum();
            let wanted = if limits.windows.is_empty() { 0 } else { wave.servers.len() as u64 };
            if moved != wanted && !wave.done {
                fault(&format!("its windows are for {moved} servers, and it has {wanted} to move in them"));
            }
            match self.watched(wave) {
                Ok(Some(until)) => free = free.max(until.to_datetime(Default::default())),
                Ok(None) => {}
                Err(()) => fault("it is watched for longer than there is a calendar"),
            }
        }
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
