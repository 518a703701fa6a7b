//! When servers may be moved: nights and weekends by the week, and dates that are closed.

use jiff::{
    SignedDuration,
    civil::{Date, DateTime, Time, Weekday},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Phases;
use crate::Faults;

const WINDOWS_MAX: u64 = 64;
const HOURS_MAX: f64 = 72.0;
const PEOPLE_MAX: u64 = 1_000;
/// What is lost in the last digits of hours is no move less.
const EPSILON: f64 = 1e-9;

/// A window of each week.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveWindow {
    /// On which it begins.
    pub days: Vec<DayOfWeek>,
    /// As clocks on the wall have it.
    #[schema(value_type = String, format = "time")]
    pub from: Time,
    pub hours: f64,
    /// Who move servers at the same time, one each.
    #[serde(default = "one")]
    pub people: u32,
}

fn one() -> u32 {
    1
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DayOfWeek {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl DayOfWeek {
    pub fn of(date: Date) -> Self {
        match date.weekday() {
            Weekday::Monday => Self::Mon,
            Weekday::Tuesday => Self::Tue,
            Weekday::Wednesday => Self::Wed,
            Weekday::Thursday => Self::Thu,
            Weekday::Friday => Self::Fri,
            Weekday::Saturday => Self::Sat,
            Weekday::Sunday => Self::Sun,
        }
    }
}

/// Dates on which nothing is moved, both included: `2026-12-24/2027-01-03`, or one date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Blackout {
    pub first: Date,
    pub last: Date,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no time without moves: write two dates, the earlier first, as \"2026-12-24/2027-01-03\", or one"
)]
pub struct BlackoutError(String);

impl TryFrom<String> for Blackout {
    type Error = BlackoutError;

    fn try_from(text: String) -> Result<Self, BlackoutError> {
        let (first, last) = text.split_once('/').unwrap_or((&text, &text));
        let dates = (first.trim().parse::<Date>(), last.trim().parse::<Date>());
        match dates {
            (Ok(first), Ok(last)) if first <= last => Ok(Self { first, last }),
            _ => Err(BlackoutError(text)),
        }
    }
}

impl From<Blackout> for String {
    fn from(blackout: Blackout) -> Self {
        match blackout {
            Blackout { first, last } if first == last => first.to_string(),
            Blackout { first, last } => format!("{first}/{last}"),
        }
    }
}

/// A window of a wave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = PlannedWindow)]
pub struct WaveWindow {
    #[schema(value_type = String, format = Date)]
    pub date: Date,
    #[schema(value_type = String, format = "time")]
    pub from: Time,
    pub hours: f64,
    /// Who is moved in it. Those that move together are not split.
    pub servers: Vec<String>,
}

impl WaveWindow {
    /// When it begins and ends; `None` where no calendar has it.
    pub fn span(&self) -> Option<(DateTime, DateTime)> {
        span(self.date, self.from, self.hours)
    }
}

fn span(date: Date, from: Time, hours: f64) -> Option<(DateTime, DateTime)> {
    if !(0.0..=HOURS_MAX).contains(&hours) {
        return None;
    }
    let begin = date.to_datetime(from);
    let end = begin.checked_add(SignedDuration::from_secs((hours * 3_600.0) as i64)).ok()?;
    Some((begin, end))
}

impl MoveWindow {
    /// When it begins and ends if it is on this date.
    pub fn on(&self, date: Date) -> Option<(DateTime, DateTime)> {
        span(date, self.from, self.hours).filter(|_| self.days.contains(&DayOfWeek::of(date)))
    }
}

impl Phases {
    /// Servers that are moved in such a window.
    pub fn moves(&self, window: &MoveWindow) -> u32 {
        if self.labour_hours_per_server <= 0.0 {
            return u32::MAX;
        }
        let each = (window.hours / self.labour_hours_per_server + EPSILON).floor();
        (each * f64::from(window.people)) as u32
    }

    /// Whether some of this time lies on a date on which nothing is moved.
    pub fn is_closed(&self, (begin, end): (DateTime, DateTime)) -> bool {
        // Whoever is done at midnight is not there on the next day.
        let last = if end.time() == Time::midnight() && end > begin {
            end.date().yesterday().unwrap_or(end.date())
        } else {
            end.date()
        };
        self.blackouts.iter().any(|closed| closed.first <= last && begin.date() <= closed.last)
    }

    pub(super) fn window_faults(&self, faults: &mut Faults) {
        faults.range("phases.windows", self.windows.len() as u64, 0, WINDOWS_MAX, " windows");
        for (at, window) in self.windows.iter().enumerate() {
            let field = |name: &str| format!("phases.windows[{at}].{name}");
            if window.days.is_empty() {
                faults.add(field("days"), "it is on no day", "name days: [\"sat\", \"sun\"]");
            }
            faults.amount(field("hours"), window.hours, HOURS_MAX, " hours");
            faults.range(&field("people"), window.people.into(), 1, PEOPLE_MAX, " people");
            if self.moves(window) == 0 {
                let hours = self.labour_hours_per_server;
                let message = format!("the move of a server takes {hours} hours, and does not fit");
                let hint = "make the window longer, or labour_hours_per_server less: copy beforehand, and switch over in the window";
                faults.add(field("hours"), message, hint);
            }
        }
        if self.windows.is_empty() && (self.first_date.is_some() || !self.blackouts.is_empty()) {
            let hint = "state when servers may be moved: windows = [{ days = [\"sat\"], from = \"22:00\", hours = 6 }]";
            faults.add("phases.windows", "there are dates and no windows", hint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases(text: &str) -> Phases {
        toml::from_str(text).unwrap()
    }

    fn told(text: &str) -> Vec<String> {
        let mut faults = Faults::default();
        phases(text).faults(&mut faults);
        faults.0.into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn windows_are_written_as_people_say_them() {
        let text = r#"
            windows = [{ days = ["sat", "sun"], from = "22:00", hours = 6 }]
            first_date = "2026-12-01"
            blackouts = ["2026-12-24/2027-01-03", "2027-05-01"]
        "#;
        assert_eq!(told(text), [""; 0]);
        let phases = phases(text);
        let again: Phases = toml::from_str(&toml::to_string(&phases).unwrap()).unwrap();
        assert_eq!(again, phases);
        let date = |text: &str| text.parse::<Date>().unwrap();
        let window = &phases.windows[0];
        assert_eq!((phases.moves(window), window.on(date("2026-12-04"))), (1, None));
        let saturday = window.on(date("2026-12-05")).unwrap();
        assert_eq!(saturday.1.to_string(), "2026-12-06T04:00:00");
        // The night before a closed date reaches into it.
        let closed = |text: &str| phases.is_closed(window.on(date(text)).unwrap());
        assert!(
            !closed("2026-12-20") && closed("2026-12-26") && closed("2027-01-03") && !closed("2027-01-09")
        );
        assert!(phases.is_closed((date("2027-04-30").at(22, 0, 0, 0), date("2027-05-01").at(1, 0, 0, 0))));
        assert!(!phases.is_closed((date("2027-04-30").at(22, 0, 0, 0), date("2027-05-01").at(0, 0, 0, 0))));
        for wrong in ["2027-01-03/2026-12-24", "christmas", "2026-12-24/", ""] {
            let text = format!("blackouts = [{wrong:?}]");
            let error = toml::from_str::<Phases>(&text).unwrap_err().to_string();
            assert!(error.contains("the earlier first"), "{error}");
        }
    }

    #[test]
    fn a_move_that_fits_no_window_is_refused_with_what_to_do() {
        let window =
            |more: &str| format!("windows = [{{ days = [\"sat\"], from = \"22:00\", hours = 3{more} }}]");
        assert_eq!(told(&window("")), ["phases.windows[0].hours"]);
        assert_eq!(told(&(window("") + "\nlabour_hours_per_server = 3.0")), [""; 0]);
        assert_eq!(told(&(window("") + "\nlabour_hours_per_server = 0.0")), [""; 0]);
        assert_eq!(told(&(window(", people = 0") + "\nlabour_hours_per_server = 1.0")).len(), 2);
        assert_eq!(
            told("windows = [{ days = [], from = \"22:00\", hours = 6 }]"),
            ["phases.windows[0].days"]
        );
        assert_eq!(told("blackouts = [\"2026-12-24\"]"), ["phases.windows"]);
        assert!(
            told("windows = [{ days = [\"sat\"], from = \"22:00\", hours = 1e9 }]")
                .contains(&"phases.windows[0].hours".into())
        );
    }
}
