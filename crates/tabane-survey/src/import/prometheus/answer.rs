//! The JSON of an answer: of the API, or the bare series that `promtool query range -o json` writes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::lines::At;
use crate::Result;

#[derive(Debug, Deserialize)]
pub(super) struct Series<'a> {
    pub metric: BTreeMap<String, String>,
    /// Seconds, and a number as text.
    #[serde(borrow, default)]
    pub values: Vec<(f64, &'a str)>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(default)]
    status: String,
    #[serde(default)]
    error: String,
    #[serde(borrow)]
    data: Option<Data<'a>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(rename = "resultType")]
    result_type: String,
    #[serde(borrow)]
    result: Vec<Series<'a>>,
}

pub(super) fn parse<'a>(text: &'a str, at: At) -> Result<Vec<Series<'a>>> {
    let wrong = |error: serde_json::Error| {
        let at = At { line: error.line().max(1), column: error.column(), ..at };
        at.wrong(format!("this is no answer of Prometheus to query_range, or it is cut short: {error}"))
    };
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map_err(wrong);
    }
    let answer: Answer = serde_json::from_str(text).map_err(wrong)?;
    match answer.data {
        Some(data) if data.result_type == "matrix" => Ok(data.result),
        Some(data) => {
            Err(at.wrong(format!("this is a {:?} of one moment; ask with query_range", data.result_type)))
        }
        None if answer.status == "error" => {
            let error: String = answer.error.chars().take(200).collect();
            Err(at.wrong(format!("Prometheus answered with an error: {error}")))
        }
        None => Err(at.wrong("there is no data in the answer".into())),
    }
}

/// `NaN` and `+Inf` are numbers, too, but no loads; whoever takes them says so.
pub(super) fn number(text: &str) -> std::result::Result<f64, String> {
    text.parse().map_err(|_| format!("{:?} is no number", text.chars().take(40).collect::<String>()))
}
