//! The form of `plan.json` for programs: JSON Schema, draft 2020-12.

use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::Plan;

/// A schema that every plan of this version satisfies.
pub fn plan_schema() -> Value {
    let mut parts = Vec::new();
    Plan::schemas(&mut parts);
    parts.push((Plan::name().into_owned(), Plan::schema()));
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    let parts: serde_json::Map<String, Value> =
        parts.into_iter().map(|(name, schema)| (name, json!(schema))).collect();
    let whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A consolidation plan of Tabane",
        "$ref": format!("#/components/schemas/{}", Plan::name()),
        "$defs": parts,
    });
    // What describes an API has its parts elsewhere.
    let text = whole.to_string().replace("#/components/schemas/", "#/$defs/");
    serde_json::from_str(&text).expect("it was JSON before")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFRESH: &str = "TABANE_UPDATE_DOCS";

    #[test]
    fn the_schema_is_up_to_date() {
        let path = std::env::var("CARGO_MANIFEST_DIR").unwrap() + "/../../docs/reference/plan.schema.json";
        let text = serde_json::to_string_pretty(&plan_schema()).unwrap() + "\n";
        if std::env::var_os(REFRESH).is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let told = format!("run: {REFRESH}=1 cargo nextest run -p tabane-model the_schema_is_up_to_date");
        assert!(std::fs::read_to_string(path).unwrap_or_default() == text, "{told}");
        for reference in text.split("#/$defs/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(plan_schema()["$defs"][name].is_object(), "{name} is named and not described");
        }
    }
}
