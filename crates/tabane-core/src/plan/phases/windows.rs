//! Waves get the windows of their moves, one after the other: the first that are open, and as many as it takes.

use std::collections::{BTreeMap, HashMap};

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, DateTime},
    tz::TimeZone,
};
use tabane_model::{MoveWindow, Phases, Wave, WaveWindow};

use crate::plan::PlanError;

/// Ten years: who is closed for longer has stated something else than was meant.
const DAYS_MAX: usize = 3_660;

/// Nothing is moved before this date.
pub(in crate::plan) fn first_date(phases: &Phases, made_at: Timestamp) -> Date {
    let made = made_at.to_zoned(TimeZone::UTC).date();
    phases.first_date.unwrap_or_else(|| made.tomorrow().unwrap_or(made))
}

/// Whether anybody can be moved at all.
pub(in crate::plan) fn opens(phases: &Phases, made_at: Timestamp) -> Result<(), PlanError> {
    let first = first_date(phases, made_at).to_datetime(Default::default());
    if phases.windows.is_empty() {
        Ok(())
    } else {
        windows(phases, vec![vec![String::new()]], first, "pilot").map(|_| ())
    }
}

/// Without windows waves stay as they are; those that are over do so anyway. Servers of one unit are moved in one window.
pub(in crate::plan) fn dated(
    waves: &mut [Wave],
    phases: &Phases,
    unit_of: &HashMap<&str, usize>,
    made_at: Timestamp,
) -> Result<(), PlanError> {
    if phases.windows.is_empty() {
        return Ok(());
    }
    let mut free = first_date(phases, made_at).to_datetime(Default::default());
    let mut begun: Option<Date> = None;
    let mut before: Option<u32> = None;
    for wave in waves {
        if !wave.done {
            let mut groups: BTreeMap<usize, Vec<String>> = BTreeMap::new();
            for server in &wave.servers {
                groups.entry(unit_of[server.as_str()]).or_default().push(server.clone());
            }
            wave.windows = windows(phases, groups.into_values().collect(), free, &wave.name)?;
            wave.first_day = match (begun, wave.windows.first()) {
                (Some(begun), Some(first)) => days(begun, first.date),
                _ => before.map_or(0, |day| day.saturating_add(phases.watch_days)),
            };
        }
        if let (None, None, Some(first)) = (before, begun, wave.windows.first()) {
            begun = Some(first.date);
        }
        before = Some(wave.first_day);
        if let Some((last, (_, end))) = wave.windows.last().and_then(|last| Some((last, last.span()?))) {
            let watched = last.date.checked_add(i64::from(phases.watch_days).days());
            let watched = watched.map_err(|_| closed(&wave.name, last.date))?;
            free = free.max(end).max(watched.to_datetime(Default::default()));
        }
    }
    Ok(())
}

fn days(from: Date, until: Date) -> u32 {
    let days = until.duration_since(from).as_hours() / 24;
    u32::try_from(days).unwrap_or(0)
}

fn closed(wave: &str, from: Date) -> PlanError {
    PlanError::NoWindow { wave: wave.into(), from: from.to_string() }
}

/// The first windows from then on in which all these groups are moved, in each the largest that there are hands for.
fn windows(
    phases: &Phases,
    mut left: Vec<Vec<String>>,
    mut free: DateTime,
    wave: &str,
) -> Result<Vec<WaveWindow>, PlanError> {
    left.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let mut taken = Vec::new();
    let from = free.date();
    let mut date = from;
    for _ in 0..DAYS_MAX {
        let mut today: Vec<(&MoveWindow, (DateTime, DateTime))> =
            phases.windows.iter().filter_map(|window| Some((window, window.on(date)?))).collect();
        today.sort_by_key(|(_, (begin, _))| *begin);
        for (window, span) in today {
            if left.is_empty() {
                return Ok(taken);
            }
            if span.0 < free || phases.is_closed(span) {
                continue;
            }
            let servers = moved(&mut left, phases.moves(window) as usize);
            if !servers.is_empty() {
                taken.push(WaveWindow { date, from: window.from, hours: window.hours, servers });
                free = span.1;
            }
        }
        date = date.tomorrow().map_err(|_| closed(wave, from))?;
    }
    if left.is_empty() { Ok(taken) } else { Err(closed(wave, from)) }
}

/// Takes out whole groups of so many servers.
fn moved(left: &mut Vec<Vec<String>>, mut hands: usize) -> Vec<String> {
    let mut servers = Vec::new();
    left.retain_mut(|group| {
        let fits = group.len() <= hands;
        if fits {
            hands -= group.len();
            servers.append(group);
        }
        !fits
    });
    servers
}
