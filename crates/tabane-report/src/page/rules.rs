//! What the policy says of certain servers.

use maud::{Markup, html};
use tabane_model::{Across, PlanPolicy, ServerPattern};

use crate::{Language, language::grouped};

/// Of each rule, who is meant, and what holds for them. Nothing where there are none.
pub(super) fn rules(policy: &PlanPolicy, language: Language) -> Markup {
    let rules = listed(policy, language);
    if rules.is_empty() {
        return html! {};
    }
    html! {
        h3 { (language.say("Rules for servers", "サーバーごとの規則")) }
        div.wide { table {
            thead { tr {
                th { (language.say("rule", "規則")) } th { (language.say("name", "名前")) } th { (language.say("servers", "サーバー")) }
            } }
            tbody { @for (what, name, servers) in rules { tr {
                td { (what) } td { (name) }
                td { div.names { @for ServerPattern(server) in servers { span { (server) } " " } } }
            } } }
        } }
    }
}

type Rule<'a> = (String, String, &'a [ServerPattern]);

fn listed(policy: &PlanPolicy, language: Language) -> Vec<Rule<'_>> {
    let say = |english: &str, japanese: &str| match language {
        Language::English => english.to_owned(),
        Language::Japanese => japanese.to_owned(),
    };
    let mut rules: Vec<Rule<'_>> = Vec::new();
    if !policy.exclude.is_empty() {
        rules.push((say("stay what they are", "現状のまま残す"), String::new(), &policy.exclude));
    }
    for rule in &policy.keep_apart {
        let what = match rule.across {
            Across::Host => say("on different hosts", "別々のホストに置く"),
            Across::Domain => say("in different failure domains", "別々の障害ドメインに置く"),
        };
        rules.push((what, rule.name.clone(), &rule.servers));
    }
    for rule in &policy.keep_together {
        rules.push((say("on one host", "同じホストに置く"), rule.name.clone(), &rule.servers));
    }
    for rule in &policy.pin {
        let what = say("on these types of hosts only", "この種類のホストだけに置く");
        rules.push((what, rule.host_types.join(", "), &rule.servers));
    }
    for rule in &policy.overhead {
        let more = format!("CPU +{} %, +{} MiB", rule.cpu_percent, grouped(f64::from(rule.memory_mib), 0));
        rules.push((say("what the hypervisor takes", "ハイパーバイザーの消費"), more, &rule.servers));
    }
    for rule in &policy.licence {
        let editions = rule.editions.join(", ");
        let name =
            if editions.is_empty() { rule.product.clone() } else { format!("{} ({editions})", rule.product) };
        rules.push((say("need a licence", "ライセンスが必要"), name, &rule.servers));
    }
    for rule in &policy.phases.dependency {
        rules.push((say("move in the same wave", "同じ段階で移行する"), rule.name.clone(), &rule.servers));
    }
    if !policy.phases.critical.is_empty() {
        rules.push((say("move last", "最後に移行する"), String::new(), &policy.phases.critical));
    }
    rules
}
