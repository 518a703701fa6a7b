//! In what two plans differ.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanComparison {
    pub figures: Vec<ComparedFigure>,
    /// Servers that the second plan has on another host than the first.
    pub moves: Vec<PlanMove>,
}

/// A figure of both plans, where they have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ComparedFigure {
    pub name: String,
    pub first: Option<f64>,
    pub second: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanMove {
    pub server: String,
    /// A host of the first plan; `null` if it had none there.
    pub from: Option<String>,
    /// A host of the second plan; `null` if it has none there.
    pub to: Option<String>,
}
