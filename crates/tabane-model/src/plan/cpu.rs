//! How much CPUs of different generations do with a MHz: a table, and what of it holds for servers and hosts.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{HostType, PlanPolicy, fits};
use crate::{Faults, Source};

/// Within these a CPU that is sold is what somebody may have meant.
const INDEX_MIN: f64 = 0.05;
const INDEX_MAX: f64 = 20.0;
const COLUMN_MODEL: &str = "cpu_model";
const COLUMN_INDEX: &str = "cpu_index";

/// A table of CPUs: `data/cpus/*.toml`, or one's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuTable {
    /// The day on which the entries were looked up.
    pub as_of: Date,
    /// What an index of 1 is, in words.
    pub reference: String,
    #[serde(default)]
    pub cpu: Vec<CpuIndex>,
}

/// CPUs that do as much with a MHz of a core.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CpuIndex {
    /// What they are called together.
    pub name: String,
    /// Names of models as `/proc/cpuinfo` and servers.csv (`cpu_model`) have them, with `*` for anything.
    pub models: Vec<String>,
    /// What a core does with a MHz, of what a core of the reference does with it.
    pub index: f64,
    /// Who says so, and where.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// What is known of a CPU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CpuRating<'a> {
    /// Stated for this server or type of host itself.
    Stated(f64),
    /// By the table.
    Listed { model: &'a str, index: f64 },
    /// It has a name, and the table has none like it.
    Unlisted { model: &'a str },
    /// Nobody says what it is.
    Unnamed,
}

impl CpuRating<'_> {
    /// What a MHz counts; that of a CPU that is not known counts as one of the reference.
    pub fn index(self) -> f64 {
        match self {
            Self::Stated(index) | Self::Listed { index, .. } => index,
            Self::Unlisted { .. } | Self::Unnamed => 1.0,
        }
    }
}

impl CpuTable {
    /// Everything that is wrong.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        if self.reference.trim().is_empty() {
            faults.add("reference", "it is empty", "say which CPU has an index of 1");
        }
        faults_of(&self.cpu, &mut faults);
        faults
    }
}

pub(super) fn faults_of(table: &[CpuIndex], faults: &mut Faults) {
    for (at, cpu) in table.iter().enumerate() {
        let field = |name: &str| format!("cpu[{at}].{name}");
        if cpu.name.trim().is_empty() {
            faults.add(
                field("name"),
                "it is empty",
                "give the CPUs a name that the plan can speak of them by",
            );
        }
        if cpu.models.is_empty() || cpu.models.iter().any(|model| model.trim().is_empty()) {
            let hint = "name models as /proc/cpuinfo does: \"*E5-* v3*\"";
            faults.add(field("models"), "no model is named", hint);
        }
        index_fault(field("index"), cpu.index, faults);
    }
}

pub(super) fn index_fault(field: String, index: f64, faults: &mut Faults) {
    if !(INDEX_MIN..=INDEX_MAX).contains(&index) {
        faults.add(field, "no number from 0.05 to 20", "state it against the reference, which is 1");
    }
}

impl PlanPolicy {
    /// Of a server: its column `cpu_index`, or else what the table says of its column `cpu_model`.
    pub fn cpu_of_server<'a>(&self, server: &'a Source) -> CpuRating<'a> {
        let column = |name: &str| {
            let found = server.labels.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
        };
        let stated = column(COLUMN_INDEX).and_then(|text| text.parse::<f64>().ok());
        self.cpu_rating(stated.filter(|index| (INDEX_MIN..=INDEX_MAX).contains(index)), column(COLUMN_MODEL))
    }

    /// Of a type of host: what it states, or else what the table says of its model.
    pub fn cpu_of_host<'a>(&self, host: &'a HostType) -> CpuRating<'a> {
        self.cpu_rating(host.cpu_index, host.cpu_model.as_deref())
    }

    fn cpu_rating<'a>(&self, stated: Option<f64>, model: Option<&'a str>) -> CpuRating<'a> {
        let listed =
            |model: &str| self.cpu.iter().find(|cpu| cpu.models.iter().any(|known| fits(known, model)));
        match (stated, model) {
            (Some(index), _) => CpuRating::Stated(index),
            (None, None) => CpuRating::Unnamed,
            (None, Some(model)) => match listed(model) {
                Some(cpu) => CpuRating::Listed { model, index: cpu.index },
                None => CpuRating::Unlisted { model },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> PlanPolicy {
        let cpu = |name: &str, model: &str, index: f64| CpuIndex {
            name: name.into(),
            models: vec![model.into()],
            index,
            source: String::new(),
        };
        PlanPolicy {
            cpu: vec![cpu("own", "*E5-2690 v3*", 0.8), cpu("Haswell", "*E5-* v3*", 0.9)],
            ..PlanPolicy::default()
        }
    }

    fn server(labels: &[(&str, &str)]) -> Source {
        let labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Source { name: "a".into(), cores: 1, cpu_cap_mhz: 1, mem_cap_mib: 1, labels }
    }

    #[test]
    fn what_is_stated_goes_before_the_table_and_the_first_entry_before_others() {
        let policy = policy();
        let of = |labels: &[(&str, &str)]| policy.cpu_of_server(&server(labels)).index();
        assert_eq!(of(&[("cpu_model", "Intel(R) Xeon(R) CPU E5-2690 v3 @ 2.60GHz")]), 0.8);
        assert_eq!(of(&[("CPU_Model", "Intel(R) Xeon(R) CPU E5-2620 v3 @ 2.40GHz")]), 0.9);
        assert_eq!(of(&[("cpu_model", "x E5-2620 v3"), ("cpu_index", "1.5")]), 1.5);
        assert_eq!(of(&[("cpu_model", "Intel(R) Xeon(R) CPU E5-2690 v2 @ 3.00GHz")]), 1.0);
        // What is no index is not taken for one.
        assert_eq!(of(&[("cpu_model", "x E5-2620 v3"), ("cpu_index", "NaN")]), 0.9);
        assert_eq!(of(&[("cpu_index", "-1")]), 1.0);
        assert_eq!(policy.cpu_of_server(&server(&[("cpu_model", " ")])), CpuRating::Unnamed);
    }

    #[test]
    fn tables_that_nobody_can_count_by_are_refused() {
        let mut table =
            CpuTable { as_of: Date::constant(2026, 1, 1), reference: "one".into(), cpu: policy().cpu };
        assert!(table.faults().0.is_empty());
        table.cpu[1].index = f64::NAN;
        table.cpu[0].models.clear();
        let fields: Vec<String> = table.faults().0.into_iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["cpu[0].models", "cpu[1].index"]);
    }

    #[test]
    fn the_table_that_is_shipped_knows_these_and_no_others() {
        let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap() + "/../../data/cpus";
        let mut cpu = Vec::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let table: CpuTable = toml::from_str(&text).unwrap();
            assert!(table.faults().0.is_empty());
            assert!(
                table.cpu.iter().all(|cpu| cpu.source.contains("https://")),
                "each says where it is from"
            );
            cpu.extend(table.cpu);
        }
        let policy = PlanPolicy { cpu, ..PlanPolicy::default() };
        let index = |model: &str| match policy.cpu_of_server(&server(&[("cpu_model", model)])) {
            CpuRating::Listed { index, .. } => Some(index),
            _ => None,
        };
        for (model, expected) in [
            ("Intel(R) Xeon(R) CPU E5-2690 0 @ 2.90GHz", Some(0.83)),
            ("Intel(R) Xeon(R) CPU E5-2620 v3 @ 2.40GHz", Some(0.91)),
            ("Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz", Some(1.0)),
            ("Intel(R) Xeon(R) Silver 4214R CPU @ 2.40GHz", Some(1.0)),
            // Cooper Lake is called as Ice Lake is, and has the core of Skylake.
            ("Intel(R) Xeon(R) Platinum 8380H CPU @ 2.90GHz", Some(1.0)),
            ("Intel(R) Xeon(R) Platinum 8380 CPU @ 2.30GHz", Some(1.18)),
            ("Intel(R) Xeon(R) Gold 6330 CPU @ 2.00GHz", Some(1.18)),
            ("Intel(R) Xeon(R) Platinum 8480+", Some(1.4)),
            ("Intel(R) Xeon(R) Gold 6430", Some(1.4)),
            ("AMD EPYC 7601 32-Core Processor", Some(0.87)),
            ("AMD EPYC 7702P 64-Core Processor", Some(1.0)),
            ("AMD EPYC 7H12 64-Core Processor", Some(1.0)),
            ("AMD EPYC 7763 64-Core Processor", Some(1.19)),
            ("AMD EPYC 73F3 16-Core Processor", Some(1.19)),
            ("AMD EPYC 9354P 32-Core Processor", Some(1.34)),
            ("AMD EPYC 9575F 64-Core Processor", Some(1.56)),
            // Nothing was found of these, and what a guest is told is no CPU.
            ("Intel(R) Xeon(R) CPU E5-2690 v2 @ 3.00GHz", None),
            ("Intel(R) Xeon(R) CPU E5-2699 v4 @ 2.20GHz", None),
            ("INTEL(R) XEON(R) PLATINUM 8592+", None),
            ("AMD EPYC Processor", None),
            ("QEMU Virtual CPU version 2.5+", None),
            ("Intel Xeon Processor (Cascadelake)", None),
        ] {
            assert_eq!(index(model), expected, "{model}");
        }
    }
}
