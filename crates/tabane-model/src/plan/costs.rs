//! What things cost: `costs.toml`. All amounts are of one currency; what is not stated costs nothing, and is said to.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Faults;

/// Of any currency, so that sums of what anybody states stay numbers.
pub(super) const MONEY_MAX: f64 = 1e12;
/// Of one machine.
pub(super) const WATTS_MAX: f64 = 1e6;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    pub currency: String,
    /// What is compared, from the pilot on.
    pub years: u32,
    #[serde(default)]
    pub rates: Rates,
    #[serde(default)]
    pub before: BeforeCosts,
    #[serde(default)]
    pub after: AfterCosts,
    #[serde(default)]
    pub migration: MigrationCosts,
}

/// What a unit costs, before and after.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    pub energy_kwh: f64,
    /// Power usage effectiveness: what a data centre takes in all, for each unit that its servers take (ISO/IEC 30134-2).
    pub pue: f64,
    pub labour_hour: f64,
    pub rack_unit_year: f64,
    pub network_port_year: f64,
}

/// Of each server, as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BeforeCosts {
    /// On average; a column `watts` of `servers.csv` goes before it.
    pub watts: f64,
    /// Of a new one in its place.
    pub replacement: f64,
    /// After so many years. 0: it is never replaced.
    pub replacement_years: f64,
    pub maintenance_year: f64,
    pub software_year: f64,
    pub support_year: f64,
    pub storage_year: f64,
    pub admin_hours_year: f64,
    pub rack_units: f64,
    pub network_ports: f64,
}

/// Of the hosts, and of each server on them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AfterCosts {
    pub host_maintenance_year: f64,
    /// Of each host: hypervisor, management.
    pub host_software_year: f64,
    pub host_support_year: f64,
    pub host_admin_hours_year: f64,
    pub host_rack_units: f64,
    pub host_network_ports: f64,
    pub server_software_year: f64,
    pub server_support_year: f64,
    pub server_admin_hours_year: f64,
    /// Shared storage, once and each year.
    pub storage: f64,
    pub storage_year: f64,
    /// Switches, cables.
    pub network: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MigrationCosts {
    /// How long a server and the machine that it was run side by side.
    pub double_running_months: f64,
    pub training: f64,
    /// Planning, consultants, tools.
    pub project: f64,
    /// Of a machine: data erased, taken away.
    pub disposal: f64,
}

/// Before and after, over the years.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Tco {
    pub currency: String,
    pub years: u32,
    /// Over all years.
    pub positions: Vec<TcoPosition>,
    pub before: f64,
    pub after: f64,
    /// Sums at the end of each year, with everything before.
    pub cumulative: Vec<TcoYear>,
    /// Months until less was spent than without the plan; `null` if that does not happen in these years.
    pub break_even_months: Option<f64>,
    /// Positions that nothing was stated for, so that they cost nothing here.
    pub not_stated: Vec<TcoItem>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TcoPosition {
    pub item: TcoItem,
    pub before: f64,
    pub after: f64,
}

impl TcoPosition {
    /// Whether it becomes dearer. What is spent once to get there rises by its nature, and is not meant.
    pub fn rises(&self) -> bool {
        let is_once = matches!(
            self.item,
            TcoItem::Migration | TcoItem::DoubleRunning | TcoItem::Training | TcoItem::Disposal
        );
        self.after > self.before && !is_once
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TcoItem {
    Hardware,
    Maintenance,
    Power,
    Cooling,
    Space,
    Network,
    Storage,
    Software,
    Support,
    Administration,
    Migration,
    DoubleRunning,
    Training,
    Disposal,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TcoYear {
    pub year: u32,
    pub before: f64,
    pub after: f64,
}

impl Costs {
    /// Everything that is wrong.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        if self.currency.trim().is_empty() || self.currency.chars().count() > 8 {
            faults.add("currency", "there is no currency", "state it, for example \"EUR\"");
        }
        faults.range("years", u64::from(self.years), 1, 20, " years");
        let value = serde_json::to_value(self).unwrap_or_default();
        for (table, keys) in value.as_object().into_iter().flatten() {
            for (key, amount) in keys.as_object().into_iter().flatten() {
                let (most, unit) = most_of(key);
                // What is no number has none in JSON.
                faults.amount(format!("{table}.{key}"), amount.as_f64().unwrap_or(f64::NAN), most, unit);
            }
        }
        if self.before.replacement_years != 0.0 && self.before.replacement_years < 0.1 {
            let hint = "state years, or 0 if servers are never replaced";
            faults.add("before.replacement_years", "less than a tenth of a year", hint);
        }
        if self.rates.pue != 0.0 && self.rates.pue < 1.0 {
            faults.add(
                "rates.pue",
                "less than 1",
                "a data centre takes at least what its servers take: 1.2 to 2",
            );
        }
        faults
    }
}

/// What is no money has bounds of its own.
fn most_of(key: &str) -> (f64, &'static str) {
    match key {
        "watts" => (WATTS_MAX, " W"),
        "pue" => (100.0, ""),
        "replacement_years" => (100.0, " years"),
        "double_running_months" => (240.0, " months"),
        "admin_hours_year" | "host_admin_hours_year" | "server_admin_hours_year" => (8_784.0, " hours"),
        "rack_units" | "host_rack_units" => (10_000.0, " units"),
        "network_ports" | "host_network_ports" => (10_000.0, " ports"),
        _ => (MONEY_MAX, ""),
    }
}
