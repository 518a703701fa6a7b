//! Plans that somebody else has written. The input says what is changed in a true one: which values, and to what. Whatever
//! becomes of it is refused, or it is judged and shown; and the true one is without fault.

#![no_main]

use std::{collections::BTreeMap, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tabane_core::plan::{Request, compare, make, verify};
use tabane_model::{Costs, Grid, HostTypes, Metric, Plan, PlanPolicy, Source, Traces};
use tabane_report::{Language, csv, html};

const SERVERS: usize = 8;
const BINS: usize = 48;
const EDITS_MAX: usize = 4;

const HOSTS: &str = "
    [[host_type]]
    name = 'small'
    cpu_cores = 8
    cpu_mhz = 10000
    memory_mib = 16384
    price = 10
    watts = 200
    [[host_type]]
    name = 'large'
    cpu_cores = 16
    cpu_mhz = 20000
    memory_mib = 32768
    price = 30
    watts = 300
    count = 9
";
const POLICY: &str = "
    objective = 'cost'
    memory = 'active'
    spare_hosts = 1
    reserve = 'shared'
    fill_max = 0.8
    [[keep_apart]]
    name = 'pair'
    servers = ['s1', 's2']
    [phases]
    pilot_servers = 2
    wave_servers = 3
";

const COSTS: &str = "
    currency = 'EUR'
    years = 5
    [before]
    watts = 260
    replacement = 3800
    replacement_years = 5
";

struct Example {
    traces: Traces,
    plan: Plan,
    told: Value,
    /// Where each value stands.
    places: Vec<String>,
}

static EXAMPLE: LazyLock<Example> = LazyLock::new(|| {
    let hosts: HostTypes = toml::from_str(HOSTS).expect("hosts");
    let policy: PlanPolicy = toml::from_str(POLICY).expect("a policy");
    let costs: Costs = toml::from_str(COSTS).expect("costs");
    let traces = traces();
    let request = Request { hosts: &hosts, policy: &policy, costs: Some(&costs), products: &[], support: &[] };
    let plan = make(&traces, request, Default::default(), 1, &|turns, _| turns > 200).expect("a plan");
    assert!(verify(&plan, &traces).is_empty());
    let told = serde_json::to_value(&plan).expect("a plan is JSON");
    let mut places = Vec::new();
    all(&told, String::new(), &mut places);
    Example { traces, plan, told, places }
});

fn traces() -> Traces {
    let server = |at: usize| Source {
        name: format!("s{at}"),
        cores: 4,
        cpu_cap_mhz: 8_000,
        mem_cap_mib: 4_096,
        labels: Vec::new(),
    };
    let of = |busy: u32, idle: u32| -> Vec<u32> {
        let value = |server: usize, bin: usize| if bin % SERVERS == server { busy } else { idle };
        (0..SERVERS).flat_map(|server| (0..BINS).map(move |bin| value(server, bin))).collect()
    };
    Traces {
        // Two days: plans of more are made again to be judged, which takes long.
        grid: Grid { first_bin_unix: 0, step_s: 3_600, bins: BINS },
        servers: (0..SERVERS).map(server).collect(),
        series: BTreeMap::from([(Metric::CpuMhz, of(6_000, 200)), (Metric::MemMib, of(2_000, 1_000))]),
        findings: Vec::new(),
    }
}

fn all(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| all(value, format!("{at}/{name}"), places)),
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(place, value)| all(value, format!("{at}/{place}"), places));
        }
        _ => {}
    }
    places.push(at);
}

/// A place, what is done there, and a number.
fn edit(plan: &mut Value, places: &[String], edit: &[u8]) {
    let [place, more, what, number @ ..] = edit else { return };
    let place = usize::from(u16::from_le_bytes([*place, *more])) % places.len();
    let number: [u8; 8] = std::array::from_fn(|at| number.get(at).copied().unwrap_or(0));
    let Some(value) = plan.pointer_mut(&places[place]) else { return };
    *value = match (what % 9, &*value) {
        (0, _) => Value::Null,
        (1, _) => i64::from_le_bytes(number).into(),
        (2, _) => f64::from_le_bytes(number).into(),
        (3, _) => u64::from(number[0]).into(),
        (4, _) => String::from_utf8_lossy(&number).into(),
        (5, _) => Value::Array(Vec::new()),
        (6, Value::Array(values)) => Value::Array(values.iter().cycle().take(values.len() * 2).cloned().collect()),
        (7, Value::Array(values)) => Value::Array(values.iter().rev().cloned().collect()),
        (8, Value::String(text)) => format!("{text}<q>").into(),
        _ => (number[0] % 2 == 0).into(),
    };
}

fuzz_target!(|input: &[u8]| {
    let Example { traces, plan, told, places } = &*EXAMPLE;
    let mut changed = told.clone();
    input.chunks(11).take(EDITS_MAX).for_each(|bytes| edit(&mut changed, places, bytes));
    let Ok(changed) = serde_json::from_value::<Plan>(changed) else { return };
    let faults = verify(&changed, traces);
    assert!(changed != *plan || faults.is_empty());
    let _ = compare(("one", plan), ("other", &changed));
    let _ = csv(&changed);
    for language in [Language::English, Language::Japanese] {
        assert!(!html(&changed, language).contains("<q>"));
    }
});
