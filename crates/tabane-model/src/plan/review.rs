//! What came of a wave, beside what was planned.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Gate, GateKind};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Review {
    pub wave: String,
    pub verdict: Verdict,
    pub hosts: Vec<ReviewedHost>,
    /// Of those that have moved, servers of which nothing was measured since: nothing that is measured can hold without them.
    pub unmeasured: Vec<String>,
    pub gates: Vec<JudgedGate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The next wave may begin.
    Pass,
    /// Something does not hold yet, or is not known.
    Wait,
    /// No further server is moved.
    Stop,
    /// The wave's servers go back.
    RollBack,
}

/// A host with those servers on it that have moved so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReviewedHost {
    pub host: String,
    pub servers: u32,
    pub peaks: Vec<ReviewedPeak>,
}

/// As shares of what the host has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReviewedPeak {
    pub resource: String,
    pub planned: f64,
    pub measured: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JudgedGate {
    pub gate: Gate,
    /// `null` if nothing is known of it.
    pub value: Option<f64>,
    pub holds: Option<bool>,
}

impl JudgedGate {
    pub fn new(gate: &Gate, values: &BTreeMap<String, f64>) -> Self {
        let value = values.get(&gate.metric).copied();
        Self { gate: gate.clone(), value, holds: value.map(|value| gate.holds(value)) }
    }
}

impl Verdict {
    /// The gravest that holds. What is not known never lets pass, and never calls back either.
    pub fn of(gates: &[JudgedGate]) -> Self {
        let holds = |kind: GateKind| gates.iter().any(|it| it.gate.kind == kind && it.holds == Some(true));
        // Where nothing is asked, nothing is known.
        let mut asked = gates.iter().filter(|it| it.gate.kind == GateKind::Pass).peekable();
        let passes = asked.peek().is_some() && asked.all(|it| it.holds == Some(true));
        match (holds(GateKind::RollBack), holds(GateKind::Stop), passes) {
            (true, ..) => Self::RollBack,
            (_, true, _) => Self::Stop,
            (_, _, true) => Self::Pass,
            _ => Self::Wait,
        }
    }
}
