//! Whatever numbers are accepted, sums of them are numbers, and the plan is proved.

use proptest::prelude::*;
use serde_json::{Value, json};
use tabane_model::{Costs, LicencePosition, PlanProduct, licence::Catalogue};

use super::{
    licences::{CATALOGUE, need},
    tco::costs,
    *,
};

/// What is asked for, as a file has it.
fn asked() -> Value {
    let policy = PlanPolicy {
        objective: Objective::Cost,
        licence: vec![need("database", &["s1", "s4"]), need("agent", &["s0", "s1"])],
        licence_position: LicencePosition::Policy,
        overhead: vec![tabane_model::Overhead {
            servers: super::rules::patterns(&["*"]),
            cpu_percent: 1.0,
            memory_mib: 1,
        }],
        ..policy()
    };
    let mut hosts = hosts();
    hosts.host_type[0].count = Some(40);
    let catalogue: Catalogue = toml::from_str(CATALOGUE).unwrap();
    json!({ "hosts": hosts, "policy": policy, "costs": costs(), "catalogue": catalogue })
}

fn numbers(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, v)| numbers(v, &format!("{at}/{name}"), found))
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(place, v)| numbers(v, &format!("{at}/{place}"), found));
        }
        Value::Number(_) => found.push(at.to_owned()),
        Value::String(_) if at.ends_with("/amount") => found.push(at.to_owned()),
        _ => {}
    }
}

fn absurd() -> impl Strategy<Value = Value> {
    let floats =
        prop::sample::select(vec![0.0, -0.0, 5e-324, 1e-9, 0.999, 20.0, 9e5, 1e6, 1e12, 1e15, 1e308]);
    let whole =
        prop::sample::select(vec![0u64, 1, 20, 65_536, 604_800, 1_000_000, 16_777_216, 4_294_967_295]);
    prop_oneof![floats.prop_map(|number| json!(number)), whole.prop_map(|number| json!(number))]
}

fn taken<T: serde::de::DeserializeOwned>(value: &Value, part: &str) -> Option<T> {
    serde_json::from_value(value[part].clone()).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn accepted_numbers_add_up_to_numbers(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), absurd()), 1..4)
    ) {
        let mut asked = asked();
        let mut places = Vec::new();
        numbers(&asked, "", &mut places);
        for (at, number) in changes {
            let at: &String = at.get(&places);
            let place = asked.pointer_mut(at).unwrap();
            *place = if place.is_string() { json!(number.to_string().trim_end_matches(".0")) } else { number };
        }
        let (Some(hosts), Some(policy), Some(costs), Some(catalogue)) = (
            taken::<HostTypes>(&asked, "hosts"),
            taken::<PlanPolicy>(&asked, "policy"),
            taken::<Costs>(&asked, "costs"),
            taken::<Catalogue>(&asked, "catalogue"),
        ) else {
            return Ok(());
        };
        let faults = [hosts.faults(), policy.faults(), costs.faults(), catalogue.faults()];
        if faults.iter().any(|faults| !faults.is_empty()) {
            return Ok(());
        }
        let products: Vec<PlanProduct> = catalogue.product.iter().map(|product| PlanProduct {
            vendor: catalogue.vendor.clone(),
            as_of: catalogue.as_of,
            product: product.clone(),
        }).collect();
        let traces = traces(5);
        let request =
            Request { hosts: &hosts, policy: &policy, costs: Some(&costs), products: &products, support: &[] };
        let Ok(plan) = make(&traces, request, Timestamp::UNIX_EPOCH, 1, &|turns, _| turns > 100) else {
            return Ok(());
        };
        // JSON has no word for what is no number.
        let text = serde_json::to_string(&plan).unwrap();
        let read: Plan = serde_json::from_str(&text).expect("every number is one");
        let faults: Vec<String> = verify(&read, &traces).iter().map(ToString::to_string).collect();
        prop_assert_eq!(faults, [""; 0]);
    }
}
