//! A policy, from its file and from what is changed for once.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use tabane_model::PlanPolicy;

/// `set` has `key=value` or `table.key=value`, values as in the file; what is no value there is a text.
pub fn read(path: Option<&Path>, set: &[String]) -> Result<PlanPolicy> {
    let mut table: toml::Table = path.map_or_else(|| Ok(toml::Table::new()), super::read_toml)?;
    for change in set {
        let Some((key, value)) = change.split_once('=') else {
            bail!("--set {change}: state key and value, for example --set growth.cpu_percent=40")
        };
        put(&mut table, key.trim(), value.trim()).with_context(|| format!("--set {change}"))?;
    }
    let told = path.map_or_else(|| "--set".into(), |path| path.display().to_string());
    // Read as text once more, so that what is wrong is told with its line.
    let policy = match (path, set.is_empty()) {
        (Some(path), true) => super::read_toml(path)?,
        _ => table.try_into().with_context(|| format!("{told} is not as it should be"))?,
    };
    Ok(policy)
}

fn put(table: &mut toml::Table, key: &str, value: &str) -> Result<()> {
    let parsed: Option<toml::Table> = toml::from_str(&format!("value = {value}")).ok();
    let value = parsed
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let mut steps: Vec<&str> = key.split('.').collect();
    let last = steps.pop().unwrap_or_default();
    let mut table = table;
    for step in steps {
        let next = table.entry(step).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let Some(inner) = next.as_table_mut() else { bail!("{step} has no keys of its own") };
        table = inner;
    }
    table.insert(last.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_changed_for_once() {
        let set = |set: &[&str]| read(None, &set.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        let policy =
            set(&["growth.cpu_percent=40", "reserve=shared", "fill_max=0.8", "exclude=[\"a\",\"b\"]"])
                .unwrap();
        assert_eq!((policy.growth.cpu_percent, policy.fill_max, policy.exclude.len()), (40.0, 0.8, 2));
        assert_eq!(policy.reserve, tabane_model::Reserve::Shared);
        let told = |list: &[&str]| format!("{:#}", set(list).unwrap_err());
        assert!(told(&["fill"]).contains("state key and value"));
        assert!(told(&["fil_max=1"]).contains("unknown field `fil_max`"), "{}", told(&["fil_max=1"]));
        assert!(told(&["fill_max=1", "fill_max.x=1"]).contains("no keys of its own"));
    }
}
