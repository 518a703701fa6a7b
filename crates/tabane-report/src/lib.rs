//! A plan for people: one page for managers and engineers, and tables for spreadsheets.
//!
//! ```text
//!  Plan ─► page: sections ─► charts (SVG)      one HTML file that needs nothing else
//!      └─► csv                                 hosts, servers, costs
//! ```
//!
//! Invariants: everything comes from the plan alone, so whoever has it makes the same report; names from traces are text and
//! never markup; each sentence is here in all languages, side by side.

mod chart;
mod conditions;
mod csv;
mod findings;
mod language;
mod page;
mod words;

pub use csv::csv;
pub use language::Language;
pub use page::html;
pub use words::item as cost_item;

#[cfg(test)]
mod tests;
