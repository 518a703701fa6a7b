//! What waves say of themselves: what they are for, how much work they are, and when they begin.
//!
//! Of a wave that is over when a plan is made anew nothing of this comes of the policy that holds now; it says what it said.

use tabane_model::{Wave, WaveKind};

use super::{Fault, judge::Judge};
use crate::plan::phases;

impl Judge<'_> {
    pub fn steps(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |what: String| faults.push(Fault::Breach(what));
        let critical = self.critical();
        let limits = &self.setting.policy.phases;
        let mut before: Option<&Wave> = None;
        for wave in &self.plan.waves {
            let name = &wave.name;
            if wave.done && before.is_some_and(|before| !before.done) {
                fault(format!("{name} is over, and one before it is not"));
            }
            let is_critical = wave.servers.iter().any(|server| critical.contains(&server.as_str()));
            let kind = match before {
                None => WaveKind::Pilot,
                Some(_) if wave.done && wave.kind != WaveKind::Pilot => wave.kind,
                Some(_) if is_critical => WaveKind::Critical,
                Some(_) => WaveKind::Wave,
            };
            if wave.kind != kind {
                fault(format!("{name} is of another kind than its servers say"));
            }
            let hours = wave.servers.len() as f64 * limits.labour_hours_per_server;
            let is_so = if wave.done {
                wave.labour_hours.is_finite() && wave.labour_hours >= 0.0
            } else {
                (wave.labour_hours - hours).abs() <= 1e-9 * hours.max(1.0)
            };
            if !is_so {
                fault(format!("{name} is said to take {} hours; it takes {hours}", wave.labour_hours));
            }
            let day = match self.begun().zip(wave.windows.first()) {
                Some((begun, first)) => first.date.duration_since(begun).as_hours() / 24,
                None => before.map_or(0, |before| before.first_day.saturating_add(limits.watch_days)).into(),
            };
            let is_so = match before {
                Some(before) if wave.done => wave.first_day >= before.first_day,
                _ => i64::from(wave.first_day) == day,
            };
            if !is_so {
                fault(format!("{name} is said to begin on day {}; that is {day}", wave.first_day));
            }
            before = Some(wave);
        }
        faults
    }

    /// Servers that are critical, and those that move with them.
    fn critical(&self) -> Vec<&str> {
        let Ok(groups) = phases::groups(self.setting) else { return Vec::new() };
        let is_critical = |server: &usize| self.setting.rules.critical.contains(server);
        let members = groups.iter().filter(|members| members.iter().any(is_critical)).flatten();
        members.map(|server| self.server(*server)).collect()
    }
}
