//! Two plans side by side.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::TcoPosition;

/// What differs between two plans.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanComparison {
    pub a: PlanFigures,
    pub b: PlanFigures,
    /// Hosts of both, each beside the one that shares the most servers with it.
    pub hosts: Vec<ComparedHost>,
    /// Servers that are not on the host beside theirs.
    pub moved: Vec<MovedServer>,
    /// Servers that go with another wave.
    pub rescheduled: Vec<RescheduledServer>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanFigures {
    pub name: String,
    /// Spare ones not counted.
    pub hosts: u32,
    pub spare_hosts: u32,
    pub lower_bound_hosts: u32,
    pub unplaced: u32,
    pub cost: f64,
    /// Where the plan counts licences.
    pub licences: Option<f64>,
    pub fill: f64,
    pub predicted_overload_share: Option<f64>,
    /// Where the plan was made with costs.
    pub costs: Option<ComparedCosts>,
    pub waves: u32,
    /// Days from the beginning of the pilot to that of the last wave.
    pub last_day: Option<u32>,
    /// Of the last window, where the policy has windows.
    #[schema(value_type = Option<String>, format = Date)]
    pub last_date: Option<Date>,
}

/// What a plan costs over its years.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ComparedCosts {
    pub currency: String,
    pub years: u32,
    /// If everything goes on as it is.
    pub before: f64,
    pub after: f64,
    pub positions: Vec<TcoPosition>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComparedHost {
    pub a: Option<String>,
    pub b: Option<String>,
    /// Servers that are on both.
    pub same: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MovedServer {
    pub server: String,
    /// Its host in the one plan; `null`: it has none there.
    pub a: Option<String>,
    pub b: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RescheduledServer {
    pub server: String,
    /// Its wave in the one plan; `null`: it has none there.
    pub a: Option<String>,
    pub b: Option<String>,
}
