//! Who is looked at: servers that are named, and of subnets those that answer.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Result, bail};
use tabane_survey::collect::{self, Sources, Target};

use crate::progress;

/// Each once. Addresses of subnets are asked whether somebody is there.
pub async fn of(sources: Sources, ssh_config: Option<&Path>) -> Result<Vec<Target>> {
    let sources = sources.sorted();
    if let Some(twice) = sources.named_twice() {
        bail!("{twice} is named twice with different users; name it once");
    }
    let Sources { named: mut targets, addresses } = sources;
    if !addresses.is_empty() {
        let bar = progress::bar("survey");
        bar.set_message(format!("asking {} of subnets who answers", addresses_of(addresses.len())));
        let (there, silent) = collect::probe(addresses, ssh_config).await;
        bar.finish_and_clear();
        for line in silence(&silent) {
            eprintln!("{line}");
        }
        targets.extend(there);
        targets.sort();
    }
    if targets.is_empty() {
        bail!(
            "there is no server to look at: name servers that answer, or put them into the file, one a line"
        );
    }
    Ok(targets)
}

fn addresses_of(count: usize) -> String {
    if count == 1 { "1 address".into() } else { format!("{count} addresses") }
}

/// Addresses that do not answer, by why: they are left out, and looked at again by the next run.
fn silence(silent: &[(Target, String)]) -> Vec<String> {
    const SHOWN: usize = 16;
    let mut by_why: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (target, why) in silent {
        by_why.entry(why).or_default().push(target.to_string());
    }
    let told = |(why, targets): (&str, Vec<String>)| {
        let more = targets.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let shown = targets[..targets.len().min(SHOWN)].join(", ");
        let left = if targets.len() == 1 {
            "does not answer and is left out"
        } else {
            "do not answer and are left out"
        };
        format!("{} {left} ({why}): {shown}{more}", addresses_of(targets.len()))
    };
    by_why.into_iter().map(told).collect()
}
