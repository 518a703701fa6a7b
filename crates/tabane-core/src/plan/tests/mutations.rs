//! Everything that a plan says is judged: whatever is changed in it, the checker refuses it.

use std::collections::BTreeMap;

use serde_json::Value;
use tabane_model::{
    Across, Dependency, Phases, Reserve, Source,
    support::{SupportMatrix, SupportRule},
};

use super::{
    licences::{need, products},
    rules::{apart, nights, patterns},
    supported::MATRIX,
    tco::costs,
    *,
};

/// Of each form of a statement so many are changed.
const OF_A_FORM: usize = 3;

/// What is somebody's word, to be read and not to be proved: it can be changed, and the plan is another one.
const WORD: [&str; 12] = [
    "/version",
    "/made_at",
    "/waves/*/name",
    "/lower_bound/exhausted/turns",
    "/assumptions/host_types",
    "/assumptions/policy",
    "/assumptions/costs",
    "/assumptions/products",
    "/assumptions/support",
    // A bound that claims less is a bound, and another moment may prove the same. What claims more is refused elsewhere.
    "/lower_bound/hosts",
    "/lower_bound/cost",
    "/lower_bound/certificate/bin",
];

/// Servers that may not be moved for each reason that there is.
fn told() -> (Plan, Traces) {
    let mut traces = traces(8);
    for (at, server) in traces.servers.iter_mut().enumerate() {
        let os = if at == 2 { "Plan 9" } else { "Debian 12" };
        server.labels = vec![("os".into(), os.into())];
    }
    let bins = traces.grid.bins;
    let cpu = traces.series.get_mut(&Metric::CpuMhz).unwrap();
    cpu[bins..bins + 3 * DAY].fill(NO_SAMPLE);
    for (name, cpu, memory) in [("silent", NO_SAMPLE, NO_SAMPLE), ("huge", 1_000_000, 1_000)] {
        traces.servers.push(Source { name: name.into(), ..traces.servers[0].clone() });
        traces.series.get_mut(&Metric::CpuMhz).unwrap().extend(vec![cpu; bins]);
        traces.series.get_mut(&Metric::MemMib).unwrap().extend(vec![memory; bins]);
    }
    let policy = PlanPolicy {
        keep_apart: apart(&["s4", "s5", "s6"], Across::Host),
        exclude: patterns(&["s0"]),
        days_min: 6.0,
        support: SupportRule::RequireConditional,
        reserve: Reserve::Shared,
        fill_max: 0.7,
        phases: Phases {
            pilot_servers: 2,
            wave_servers: 4,
            critical: patterns(&["s7"]),
            windows: nights(),
            dependency: vec![Dependency { name: "d".into(), servers: patterns(&["s3", "s8"]) }],
            ..Phases::default()
        },
        licence: vec![need("database", &["s4", "s7", "s10"])],
        ..policy()
    };
    let (hosts, costs, products) = (hosts(), costs(), products());
    let matrix: SupportMatrix = toml::from_str(MATRIX).unwrap();
    let request = Request {
        hosts: &hosts,
        policy: &policy,
        costs: Some(&costs),
        products: &products,
        support: &matrix.support,
    };
    let plan = make(&traces, request, Timestamp::UNIX_EPOCH, 1, &|turns, _| turns > 500).unwrap();
    (plan, traces)
}

/// Each statement with where it stands, the places in lists left open.
fn statements(value: &Value, at: &str, form: &str, found: &mut BTreeMap<String, Vec<String>>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                statements(value, &format!("{at}/{name}"), &format!("{form}/{name}"), found);
            }
        }
        Value::Array(values) => {
            found.entry(form.to_owned()).or_default().push(at.to_owned());
            for (place, value) in values.iter().enumerate() {
                statements(value, &format!("{at}/{place}"), &format!("{form}/*"), found);
            }
        }
        _ => found.entry(form.to_owned()).or_default().push(at.to_owned()),
    }
}

fn changed(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => vec![1.into(), "x".into(), 0.25.into()],
        Value::Bool(is) => vec![(!is).into()],
        Value::Number(number) => match number.as_u64() {
            Some(number) => vec![(number + 1).into(), number.saturating_sub(1).into(), Value::Null],
            None => {
                let number = number.as_f64().unwrap();
                vec![(number * 1.01 + 0.001).into(), (-number - 1.0).into(), Value::Null]
            }
        },
        Value::String(text) => {
            vec![format!("{text}x").into(), "wave".into(), "excluded".into(), "no_host_left".into()]
        }
        Value::Array(values) if values.is_empty() => Vec::new(),
        Value::Array(values) => {
            let mut more = values.clone();
            more.extend(values.last().cloned());
            vec![values[1..].to_vec().into(), values[..values.len() - 1].to_vec().into(), more.into()]
        }
        Value::Object(_) => Vec::new(),
    }
}

#[test]
fn whatever_is_changed_in_a_plan_is_refused() {
    let (plan, traces) = told();
    let faults: Vec<String> = verify(&plan, &traces).iter().map(ToString::to_string).collect();
    assert_eq!(faults, [""; 0]);
    let causes: Vec<&str> = plan.unplaced.iter().map(|server| server.server.as_str()).collect();
    assert_eq!(causes, ["s0", "s1", "s2", "silent", "huge"]);

    let whole = serde_json::to_value(&plan).unwrap();
    let mut found = BTreeMap::new();
    statements(&whole, "", "", &mut found);
    let mut believed = Vec::new();
    for (form, places) in found.iter().filter(|(form, _)| !WORD.iter().any(|word| form.starts_with(word))) {
        let step = places.len().div_ceil(OF_A_FORM).max(1);
        for place in places.iter().step_by(step) {
            for other in changed(whole.pointer(place).unwrap()) {
                let mut lie = whole.clone();
                *lie.pointer_mut(place).unwrap() = other.clone();
                // What is no plan at all is refused before anything is judged.
                let Ok(lie) = serde_json::from_value::<Plan>(lie) else { continue };
                if lie != plan && verify(&lie, &traces).is_empty() {
                    believed.push(format!("{form} {place}: {other}"));
                }
            }
        }
    }
    assert!(believed.is_empty(), "{}", believed.join("\n"));
    assert!(found.len() > 60, "{}", found.len());
}

#[test]
fn entries_that_a_plan_has_no_use_for_are_refused() {
    let (plan, traces) = told();
    let rejected = |change: &dyn Fn(&mut Plan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        verify(&changed, &traces).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let unneeded = products().into_iter().find(|product| product.product.name == "agent").unwrap();
    assert!(
        rejected(&|plan| plan.assumptions.products.push(unneeded.clone())).contains("no server needs agent")
    );
    assert!(
        rejected(&|plan| plan.assumptions.products.push(plan.assumptions.products[0].clone()))
            .contains("database is there twice")
    );
    let unsourced = |plan: &mut Plan| plan.assumptions.products[0].product.edition[0].source.clear();
    assert!(rejected(&unsourced).contains("the rule has no source"));
    let about_nobody = |plan: &mut Plan| plan.assumptions.support[0].servers = patterns(&["os=vms*"]);
    assert!(rejected(&about_nobody).contains("about none of these servers"));
    let twice = |plan: &mut Plan| plan.assumptions.support.push(plan.assumptions.support[0].clone());
    assert!(rejected(&twice).contains("the same entry stands above"));
    let nameless = |plan: &mut Plan| plan.assumptions.support[0].vendor.clear();
    assert!(rejected(&nameless).contains("support[0].vendor"));
}

#[test]
fn waves_that_are_over_say_what_they_said_and_come_first() {
    let traces = traces(8);
    let phases =
        |watch_days: u32| Phases { pilot_servers: 3, wave_servers: 3, watch_days, ..Phases::default() };
    let plan = made(&traces, &PlanPolicy { phases: phases(14), ..policy() });
    let later = PlanPolicy { phases: Phases { labour_hours_per_server: 7.0, ..phases(5) }, ..policy() };
    let next =
        replan(&plan, 2, &traces, request(&hosts(), &later, None), Timestamp::UNIX_EPOCH, &|| false).unwrap();
    let faults = |plan: &Plan| verify(plan, &traces).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(faults(&next), [""; 0]);
    let of = |at: usize| (next.waves[at].done, next.waves[at].labour_hours, next.waves[at].first_day);
    assert_eq!([of(0), of(1), of(2)], [(true, 12.0, 0), (true, 12.0, 14), (false, 21.0, 19)]);
    let mut late = next.clone();
    late.waves[2].done = true;
    late.waves[1].done = false;
    assert!(
        faults(&late).join("; ").contains("wave-2 is over, and one before it is not"),
        "{:?}",
        faults(&late)
    );
    let mut open = next.clone();
    open.waves[1].done = false;
    assert!(faults(&open).join("; ").contains("wave-1 is said to take 12 hours; it takes 21"));
}
