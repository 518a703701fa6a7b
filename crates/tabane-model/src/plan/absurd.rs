//! Numbers that nobody can mean are refused, by the name of their field.

use serde::de::DeserializeOwned;

use super::{Costs, HostTypes, PlanPolicy};
use crate::Faults;

const HOSTS: &str = r#"
[[host_type]]
name = "r1"
cpu_cores = 16
cpu_mhz = 40000
memory_mib = 65536
price = 5000.0
watts = 300.0
count = 4
cpu_index = 1.0
"#;

const POLICY: &str = r#"
overload_share = 0.001
fill_max = 0.9
days_min = 7.0
time_limit_s = 60
[growth]
cpu_percent = 20.0
[[overhead]]
servers = ["*"]
cpu_percent = 10.0
memory_mib = 128
[phases]
labour_hours_per_server = 4.0
labour_hours_per_wave = 160.0
watch_days = 14
"#;

const COSTS: &str = r#"
currency = "EUR"
years = 5
[rates]
energy_kwh = 0.24
pue = 1.6
labour_hour = 65.0
[before]
watts = 260.0
replacement = 3800.0
replacement_years = 5.0
admin_hours_year = 12.0
rack_units = 1.5
network_ports = 2.0
[after]
host_maintenance_year = 1200.0
host_rack_units = 2.0
storage = 90000.0
[migration]
double_running_months = 1.0
project = 40000.0
"#;

/// Each number of the text in its turn becomes one of these; all have to be refused, by their field.
fn refuses<T: DeserializeOwned>(text: &str, faults: fn(&T) -> Faults) {
    let sound: T = toml::from_str(text).unwrap();
    assert!(faults(&sound).is_empty(), "{:?}", faults(&sound));
    for line in text.lines() {
        let Some((field, number)) = line.split_once(" = ") else { continue };
        if number.parse::<f64>().is_err() {
            continue;
        }
        let absurd: &[&str] = match number.contains('.') {
            true => &["nan", "inf", "-inf", "1e308", "-1e308", "-1000.0"],
            false => &["4294967295"],
        };
        for other in absurd {
            // MHz and MiB of hosts are counted up to a bound.
            if ["cpu_mhz", "memory_mib"].contains(&field) && text == HOSTS {
                continue;
            }
            let changed: T =
                toml::from_str(&text.replace(line, &format!("{field} = {other}"))).expect("it is a number");
            let told = faults(&changed).0;
            assert!(told.iter().any(|fault| fault.field.contains(field)), "{field} = {other}: {told:?}");
        }
    }
}

#[test]
fn what_no_sum_can_hold_is_refused_by_its_field() {
    refuses(HOSTS, HostTypes::faults);
    refuses(POLICY, PlanPolicy::faults);
    refuses(COSTS, Costs::faults);
}

#[test]
fn a_price_is_no_zero_below_zero() {
    let told = |text: &str| toml::from_str::<HostTypes>(text).unwrap().faults().0;
    let below = told(&HOSTS.replace("5000.0", "-0.0"));
    assert_eq!((below.len(), below[0].message.as_str()), (1, "-0.0 is out of range, or no number"));
    assert!(told(&HOSTS.replace("5000.0", "0.0")).is_empty());
    let costs: Costs = toml::from_str(&COSTS.replace("65.0", "-0.0")).unwrap();
    assert_eq!(costs.faults().0[0].field, "rates.labour_hour");
}
