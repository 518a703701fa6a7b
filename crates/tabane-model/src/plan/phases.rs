//! How a plan is introduced: a pilot, then waves, each with gates that a program can check.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Blackout, Failover, MoveWindow, ServerPattern, WaveWindow, rules};
use crate::Faults;

/// What limits the steps: `[phases]` of the policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Phases {
    /// Servers of the pilot at most.
    pub pilot_servers: u32,
    /// Servers of each later wave at most.
    pub wave_servers: u32,
    /// For the move of one server.
    pub labour_hours_per_server: f64,
    /// That there are for a wave.
    pub labour_hours_per_wave: f64,
    /// How long a wave is watched before the next one.
    pub watch_days: u32,
    /// Servers that move last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub critical: Vec<ServerPattern>,
    /// Servers that move in the same wave, since they need each other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dependency: Vec<Dependency>,
    /// When servers may be moved; at any time unless stated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<MoveWindow>,
    /// Nothing is moved before it; unless stated, before the day after the plan was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub first_date: Option<Date>,
    /// Dates on which nothing is moved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub blackouts: Vec<Blackout>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    pub name: String,
    pub servers: Vec<ServerPattern>,
}

impl Default for Phases {
    fn default() -> Self {
        Self {
            pilot_servers: 5,
            wave_servers: 25,
            labour_hours_per_server: 4.0,
            labour_hours_per_wave: 160.0,
            watch_days: 14,
            critical: Vec::new(),
            dependency: Vec::new(),
            windows: Vec::new(),
            first_date: None,
            blackouts: Vec::new(),
        }
    }
}

impl Phases {
    /// Servers that a wave has hands for.
    pub fn servers_max(&self, is_pilot: bool) -> usize {
        let most = if is_pilot { self.pilot_servers } else { self.wave_servers } as usize;
        if self.labour_hours_per_server <= 0.0 {
            return most;
        }
        most.min((self.labour_hours_per_wave / self.labour_hours_per_server) as usize)
    }

    pub(super) fn faults(&self, faults: &mut Faults) {
        let hours = [
            ("labour_hours_per_server", self.labour_hours_per_server),
            ("labour_hours_per_wave", self.labour_hours_per_wave),
        ];
        for (name, hours) in hours {
            faults.amount(format!("phases.{name}"), hours, 1e6, " hours");
        }
        faults.range("phases.watch_days", u64::from(self.watch_days), 0, 3_660, " days");
        if self.servers_max(true) == 0 || self.servers_max(false) == 0 {
            let hint = "raise pilot_servers, wave_servers or labour_hours_per_wave";
            faults.add("phases", "no wave has hands for a single server", hint);
        }
        self.window_faults(faults);
        if !self.critical.is_empty() {
            rules::patterns("phases.critical", &self.critical, faults);
        }
        let groups = self.dependency.iter().map(|group| (&*group.name, &*group.servers));
        rules::groups("phases.dependency", groups, faults);
    }
}

/// A step of the introduction. The first one is the pilot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = PlannedWave)]
pub struct Wave {
    pub name: String,
    pub servers: Vec<String>,
    /// Hosts that have to be there, besides those of earlier waves.
    pub new_hosts: Vec<String>,
    pub labour_hours: f64,
    /// Days from the beginning of the pilot, if each wave takes as long as it is watched.
    pub first_day: u32,
    /// When its servers are moved, where the policy has windows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<WaveWindow>,
    /// Where servers go when a host fails after this wave, where the reserve is shared. Of the last one: see the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failover: Vec<Failover>,
    pub kind: WaveKind,
    /// It was over when the plan was made, and says what was planned for it then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub done: bool,
}

/// Why these servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaveKind {
    /// Little is at stake, and much is learnt: they are of as many kinds as can be.
    Pilot,
    /// They need the fewest further hosts, and of those the quiet ones come first.
    Wave,
    /// They are critical, and with them whoever depends on them.
    Critical,
}

/// What has to hold before the next wave begins, or must not hold while one goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Gate {
    pub kind: GateKind,
    /// What is measured, by the name that it has in a review's measurements.
    pub metric: String,
    pub comparison: Comparison,
    pub threshold: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateKind {
    /// It has to hold before the next wave.
    Pass,
    /// If it holds, no further server is moved.
    Stop,
    /// If it holds, the wave's servers go back to what they were.
    RollBack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Comparison {
    #[serde(rename = "<=")]
    AtMost,
    #[serde(rename = ">=")]
    AtLeast,
    #[serde(rename = ">")]
    Above,
}

impl Gate {
    pub fn holds(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::AtMost => value <= self.threshold,
            Comparison::AtLeast => value >= self.threshold,
            Comparison::Above => value > self.threshold,
        }
    }
}
