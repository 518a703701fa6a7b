//! What a plan says of itself beside its hosts: risk, data, reserve, gates. What can be told again from the traces has to be
//! the same.

use tabane_model::{DataQuality, Gate, Plan, PlanNote};

use super::Fault;
use crate::plan::{cpus, needs, phases, quality::quality, risk, setting::Setting, supported};

pub(super) fn statements(plan: &Plan, setting: &Setting<'_>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |what: &str| faults.push(Fault::Breach(what.to_owned()));
    let policy = setting.policy;
    let has = |wanted: &dyn Fn(&PlanNote) -> bool| plan.assumptions.notes.iter().any(wanted);
    let is = quality(setting.traces);
    if !same_quality(&is, &plan.data_quality) {
        fault("what it says of the data is not so");
    }
    let thin = is.thin.len() as u32;
    if thin > 0 && !has(&|note| *note == PlanNote::Thin { servers: thin }) {
        fault("it does not say of how many servers too little is known");
    }
    let unknown = needs::space_unknown(setting.traces, &setting.servers, setting.hosts);
    if unknown > 0 && !has(&|note| *note == PlanNote::DiskSpaceUnknown { servers: unknown }) {
        fault("it does not say of how many servers the disk space is not known");
    }
    if cpus::note(setting).is_some_and(|is| !has(&|note| cpus::same(note, &is))) {
        fault("it does not say of which CPUs it knows what they do with a MHz");
    }
    let resources: Vec<&str> = setting.resources.iter().map(|resource| resource.name).collect();
    let kind = match plan.lower_bound.certificate.as_ref() {
        None => "nothing",
        Some(proof) if proof.function == "apart" => "apart",
        Some(_) => "moment",
    };
    if plan.lower_bound.kind != kind {
        fault("its bound is of another kind than it says");
    }
    if plan.assumptions.resources != resources {
        fault("it looked at other resources than it says");
    }
    // Whether it is this share is judged in the end: that takes longer than all else.
    match plan.predicted_overload_share {
        None if risk::is_long_enough(setting.traces.grid) => {
            fault("it states no risk, though the traces are long enough")
        }
        None => {
            if !has(&|note| matches!(note, PlanNote::TooShort { .. })) {
                fault("it does not say that the traces are too short to state a risk");
            }
        }
        Some(_) if !risk::is_long_enough(setting.traces.grid) => {
            fault("it states a risk, and the traces are too short for one")
        }
        Some(share) if !(0.0..=1.0).contains(&share) => fault("the share that it predicts is none"),
        Some(share) if share > policy.overload_share && !has(&|note| tells_of(note, share)) => {
            fault("it does not say that it expects more overload than is accepted");
        }
        Some(_) => {}
    }
    let is_in_use = plan.hosts.iter().any(|host| !host.servers.is_empty());
    if is_in_use
        && plan.failures_absorbed < policy.spare_hosts
        && !has(&|note| matches!(note, PlanNote::NotAbsorbed { .. } | PlanNote::ReserveCutShort { .. }))
    {
        fault("it absorbs fewer failures than the policy asks for, and does not say so");
    }
    if supported::note(plan).is_some_and(|counted| !has(&|note| *note == counted)) {
        fault("it does not say how many of those that move are supported");
    }
    let notes = &plan.assumptions.notes;
    for (at, note) in notes.iter().enumerate() {
        let is_so = match note {
            PlanNote::VendorSupport => plan.support.is_empty(),
            PlanNote::TooShort { days_min } => {
                *days_min == risk::DAYS_MIN as u32 && plan.predicted_overload_share.is_none()
            }
            PlanNote::NoMargin { .. } | PlanNote::LittleHistory { .. } => plan
                .predicted_overload_share
                .is_some_and(|share| share > policy.overload_share && tells_of(note, share)),
            PlanNote::Thin { servers } => *servers == thin,
            PlanNote::DiskSpaceUnknown { servers } => *servers == unknown,
            PlanNote::CpuIndices { .. } => cpus::note(setting).is_some_and(|is| cpus::same(note, &is)),
            // Judged by themselves.
            PlanNote::Clash { .. }
            | PlanNote::NoPlaceFound { .. }
            | PlanNote::Overcommitted { .. }
            | PlanNote::Large { .. } => true,
            PlanNote::Supported { .. } => supported::note(plan).as_ref() == Some(note),
            PlanNote::ReserveCutShort { failures } => {
                *failures == policy.spare_hosts && plan.failures_absorbed < *failures
            }
            PlanNote::NotAbsorbed { failures, host } => {
                let is_known = |host: &String| plan.hosts.iter().any(|known| known.id == *host);
                *failures == policy.spare_hosts
                    && plan.failures_absorbed < *failures
                    && host.as_ref().is_none_or(is_known)
            }
        };
        if notes[..at].contains(note) {
            fault(&format!("it says twice: {note}"));
        }
        if !is_so {
            fault(&format!("it says what is not so: {note}"));
        }
    }
    if plan.waves.is_empty() && is_in_use {
        fault("it does not say how it is introduced");
    }
    if !same_gates(&phases::gates(policy, plan.tco.as_ref()), &plan.gates) {
        fault("its gates are not those of its policy");
    }
    faults
}

/// Whether a note says that so much overload is expected.
fn tells_of(note: &PlanNote, share: f64) -> bool {
    matches!(note, PlanNote::NoMargin { expected_share } | PlanNote::LittleHistory { expected_share }
        if *expected_share == share)
}

fn same_gates(are: &[Gate], said: &[Gate]) -> bool {
    let same = |(is, said): (&Gate, &Gate)| {
        (is.kind, &is.metric, is.comparison) == (said.kind, &said.metric, said.comparison)
            && (is.threshold - said.threshold).abs() <= 1e-9 * is.threshold.abs()
    };
    are.len() == said.len() && are.iter().zip(said).all(same)
}

/// But for the last digits of shares.
fn same_quality(is: &DataQuality, said: &DataQuality) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(1.0);
    (is.first_bin_unix, is.step_s, is.bins, is.servers, is.servers_measured)
        == (said.first_bin_unix, said.step_s, said.bins, said.servers, said.servers_measured)
        && near(is.missing_share, said.missing_share)
        && is.findings == said.findings
        && is.thin.len() == said.thin.len()
        && is.thin.iter().zip(&said.thin).all(|(is, said)| {
            is.server == said.server
                && near(is.days_measured, said.days_measured)
                && near(is.missing_share, said.missing_share)
                && near(is.days_wanted, said.days_wanted)
        })
}
