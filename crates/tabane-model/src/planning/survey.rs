//! Surveys: the loads and inventory of servers that are to be virtualized, as files that the server keeps.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Faults, Kind, Metric,
    resource::{resource, words},
};

/// Of one file, as it is sent.
pub const SURVEY_FILE_BYTES_MAX: u64 = 2 << 30;
/// Of all files together.
pub const SURVEY_BYTES_MAX: u64 = 8 << 30;
const NOTE_LENGTH_MAX: usize = 1024;
const SUFFIXES: [&str; 2] = [".csv", ".csv.gz"];
const SERVERS: &str = "servers";

resource!(
    /// The loads and inventory of servers that are to be virtualized.
    Survey, Kind::Survey, SurveySpec, SurveyStatus,
    validate: SurveySpec::validate,
    phase: |s| s.status.phase.as_str(),
);

words!(SurveyPhase {
    /// Waits for its files.
    #[default]
    Uploading = "uploading",
    Reading = "reading",
    Ready = "ready",
    Failed = "failed",
});

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SurveySpec {
    /// What is sent to `/v1/surveys/NAME/files/FILE`: `servers.csv`, and a matrix for each metric, such as
    /// `cpu_mhz.csv.gz`.
    pub files: Vec<SurveyFile>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SurveyFile {
    pub name: String,
    pub size_bytes: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SurveyStatus {
    #[serde(default)]
    pub phase: SurveyPhase,
    /// Files that have arrived whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub received: Vec<String>,
    #[serde(default)]
    pub servers: u32,
    /// Servers with at least one sample.
    #[serde(default)]
    pub servers_measured: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<String>,
    #[serde(default)]
    pub first_bin_unix: i64,
    #[serde(default)]
    pub step_s: u32,
    #[serde(default)]
    pub days: f64,
    /// How much is odd about the files without being a reason to stop.
    #[serde(default)]
    pub findings_count: u32,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// The name that a file of a folder of traces has in a survey; `None` if it is none of those. In folders, names may
/// begin with anything that ends with `_`, and servers may be called VMs.
pub fn survey_file_name(name: &str) -> Option<String> {
    let suffix = SUFFIXES.into_iter().rev().find(|suffix| name.ends_with(suffix))?;
    let stem = name.strip_suffix(suffix)?;
    let has =
        |known: &str| stem.strip_suffix(known).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'));
    if has(SERVERS) || has("vms") {
        return Some(format!("{SERVERS}{suffix}"));
    }
    let metric = Metric::ALL.into_iter().find(|metric| has(metric.name()))?;
    Some(format!("{metric}{suffix}"))
}

impl SurveySpec {
    fn validate(&self, faults: &mut Faults) {
        faults.text("spec.note", &self.note, NOTE_LENGTH_MAX);
        let mut stems = BTreeSet::new();
        for (at, file) in self.files.iter().enumerate() {
            let field = |name: &str| format!("spec.files[{at}].{name}");
            if survey_file_name(&file.name).as_ref() != Some(&file.name) {
                let hint =
                    "use servers.csv and names of metrics such as cpu_mhz.csv, each with .gz if it is gzip";
                faults.add(field("name"), "is no file of a survey", hint);
            }
            let stem = file.name.split('.').next().unwrap_or_default();
            if !stems.insert(stem) {
                faults.add(field("name"), format!("there are two of {stem}"), "leave one");
            }
            faults.size(&field("size_bytes"), file.size_bytes, 1, SURVEY_FILE_BYTES_MAX);
        }
        if !stems.contains(SERVERS) {
            faults.add("spec.files", "there is no servers.csv", "name the servers there");
        }
        if !stems.contains(Metric::CpuMhz.name()) {
            faults.add(
                "spec.files",
                "there is no cpu_mhz.csv",
                "without load of CPU there is nothing to plan",
            );
        }
        // Sizes are bounded each, and there are few files; no sum overflows.
        let all = self.files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.size_bytes));
        if all > SURVEY_BYTES_MAX {
            let most = crate::format_bytes(SURVEY_BYTES_MAX);
            faults.add("spec.files", format!("all together are more than {most}"), "pack them with gzip");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_known_ones_and_never_paths() {
        for (name, known) in [
            ("servers.csv", Some("servers.csv")),
            ("2013-07_cpu_mhz.csv.gz", Some("cpu_mhz.csv.gz")),
            ("may_vms.csv", Some("servers.csv")),
            ("net_rx_kbs.csv", Some("net_rx_kbs.csv")),
            ("../servers.csv", None),
            ("servers.csv.exe", None),
            ("xservers.csv", None),
            ("", None),
        ] {
            assert_eq!(survey_file_name(name).as_deref(), known, "{name}");
        }
    }

    #[test]
    fn what_is_sent_is_judged_before_it_comes() {
        let told = |files: &[(&str, u64)]| {
            let files =
                files.iter().map(|(name, size)| SurveyFile { name: (*name).into(), size_bytes: *size });
            let mut faults = Faults::default();
            SurveySpec { files: files.collect(), note: String::new() }.validate(&mut faults);
            faults.0.into_iter().map(|fault| fault.message).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(told(&[("servers.csv", 1), ("cpu_mhz.csv.gz", 9)]), "");
        assert!(told(&[("servers.csv", 1)]).contains("no cpu_mhz.csv"));
        assert!(told(&[("cpu_mhz.csv", 1)]).contains("no servers.csv"));
        assert!(told(&[("a/servers.csv", 1), ("cpu_mhz.csv", 1)]).contains("no file of a survey"));
        let twice = [("servers.csv", 1), ("cpu_mhz.csv", 1), ("cpu_mhz.csv.gz", 1)];
        assert!(told(&twice).contains("two of cpu_mhz"));
        assert!(told(&[("servers.csv", 0), ("cpu_mhz.csv", u64::MAX)]).contains("out of range"));
    }
}
