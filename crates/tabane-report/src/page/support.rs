//! What vendors support of what runs on the servers.

use std::collections::BTreeMap;

use maud::{Markup, html};
use tabane_model::{
    Plan,
    support::{SupportCause, SupportStatus},
};

use super::part;
use crate::{Language, words};

pub(super) fn section(plan: &Plan, language: Language) -> Markup {
    if plan.support.is_empty() {
        return html! {};
    }
    // Many servers are judged for the same causes: those are told once.
    let mut alike: BTreeMap<(std::cmp::Reverse<SupportStatus>, &[SupportCause]), Vec<&str>> = BTreeMap::new();
    for judged in &plan.support {
        alike.entry((std::cmp::Reverse(judged.status), &judged.causes)).or_default().push(&judged.server);
    }
    let say = |english, japanese| language.say(english, japanese);
    let inside = html! {
        p { (say(
            "Tabane runs QEMU/KVM and is itself on no vendor's list: what is said of others holds here by analogy at best. Whoever needs a vendor's word has to ask the vendor.",
            "Tabane は QEMU/KVM を使い、それ自体はどのベンダーの一覧にも載っていません。ほかのハイパーバイザーについての記述は、ここでは類推に過ぎません。必要ならベンダーに確認してください。",
        )) }
        div.wide { table {
            thead { tr { th { (say("status", "状態")) } th { (say("why", "理由")) } th { (say("servers", "サーバー")) } } }
            tbody { @for ((std::cmp::Reverse(status), causes), servers) in &alike { tr.rises[*status == SupportStatus::Unsupported] {
                td.line { (words::support(language, *status)) }
                td { @for cause in causes.iter() { div { (words::support_cause(language, cause)) } } }
                td { details {
                    summary { (language.counted(servers.len(), "server", "servers", "台")) }
                    p.names { @for server in servers { span { (server) } " " } }
                } }
            } } }
        } }
    };
    part("support", say("Vendors' support", "ベンダーサポート"), inside)
}
