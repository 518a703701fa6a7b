//! The worst of what is said of a server, and whom a rule does not let move.

use std::collections::BTreeSet;

use tabane_model::{
    Source,
    support::{
        Support, SupportCause, SupportJudgement, SupportRefusal, SupportRule, SupportStatus, VersionTold,
        parts,
    },
};

use super::on;

/// Columns of `servers.csv` that say what runs on a server. Each thing in them has to be spoken of.
const TELLING: [&str; 2] = ["os", "application"];

/// One judgement for each server, in their order. The order of entries does not matter.
pub fn judge(servers: &[Source], entries: &[Support], hypervisor: &str) -> Vec<SupportJudgement> {
    servers.iter().map(|server| one(server, entries, hypervisor)).collect()
}

fn one(server: &Source, entries: &[Support], hypervisor: &str) -> SupportJudgement {
    let (mut causes, mut spoken_of) = (BTreeSet::new(), BTreeSet::new());
    for entry in entries {
        let Some(here) = on(entry, hypervisor) else { continue };
        for found in entry.recognise(server) {
            if let Some(column) = found.column {
                spoken_of.insert((column, found.text));
            }
            let (vendor, product) = (entry.vendor.clone(), entry.product.clone());
            causes.insert(match found.version {
                // Neither what the entry says nor anything better can be relied on.
                VersionTold::Nowhere => SupportCause::VersionNotTold { vendor, product },
                VersionTold::Meant => SupportCause::Said {
                    vendor,
                    product,
                    hypervisor: entry.hypervisor.clone(),
                    said: entry.status,
                    status: here.status,
                    condition: entry.condition.clone(),
                    by_analogy: here.by_analogy,
                },
            });
        }
    }
    for (column, value) in server.labels.iter().filter(|(column, _)| is_telling(column)) {
        for text in parts(value).filter(|text| !spoken_of.contains(&(column.as_str(), *text))) {
            causes.insert(SupportCause::NotListed { column: column.clone(), text: text.to_owned() });
        }
    }
    if causes.is_empty() {
        causes.insert(SupportCause::NothingTold);
    }
    let mut causes: Vec<SupportCause> = causes.into_iter().collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.status()));
    let status = causes.first().map_or(SupportStatus::Unknown, SupportCause::status);
    SupportJudgement { server: server.name.clone(), status, causes }
}

fn is_telling(column: &str) -> bool {
    TELLING.iter().any(|telling| telling.eq_ignore_ascii_case(column))
}

/// Those that may not be moved, with the causes that the rule does not allow.
pub fn refuse(judgements: &[SupportJudgement], rule: SupportRule, hypervisor: &str) -> Vec<SupportRefusal> {
    let refused = judgements.iter().filter(|judgement| !rule.allows(judgement.status));
    refused
        .map(|judgement| SupportRefusal {
            server: judgement.server.clone(),
            hypervisor: hypervisor.to_owned(),
            causes: judgement.causes.iter().filter(|cause| !rule.allows(cause.status())).cloned().collect(),
        })
        .collect()
}
