//! What comes of the plan, in a few sentences and numbers.

use maud::{Markup, html};
use tabane_model::Plan;

use crate::{
    Language,
    language::{grouped, percent, years},
    words,
};

pub(super) fn section(plan: &Plan, language: Language) -> Markup {
    let servers: usize = plan.hosts.iter().map(|host| host.servers.len()).sum();
    let spare = plan.hosts.iter().filter(|host| host.spare).count();
    let used = plan.hosts.len() - spare;
    let say = |english, japanese| language.say(english, japanese);
    html! {
        section #summary {
            p.lead { (lead(plan, language, servers, used, spare)) }
            div.tiles {
                (tile(say("servers", "サーバー"), &grouped(servers as f64, 0), &remaining(plan, language)))
                (tile(say("hosts", "ホスト"), &grouped(plan.hosts.len() as f64, 0), &of_these(language, used, spare)))
                (tile(
                    say("proved minimum", "証明された下限"),
                    &grouped(f64::from(plan.lower_bound.hosts), 0),
                    say("hosts, none of them spare; no plan has fewer", "ホスト（予備を除く）。これより少ない計画はありません"),
                ))
                @match plan.predicted_overload_share {
                    Some(share) => (tile(
                        say("overload", "過負荷"),
                        &percent(share),
                        &match language {
                            Language::English => format!(
                                "of host-samples expected; accepted: {}",
                                percent(plan.assumptions.policy.overload_share)
                            ),
                            Language::Japanese => format!(
                                "見込みの割合。許容値 {}",
                                percent(plan.assumptions.policy.overload_share)
                            ),
                        },
                    )),
                    None => (tile(say("overload", "過負荷"), "?", say("the traces are too short to tell", "測定期間が短く、判断できません"))),
                }
                (tile(
                    say("failures absorbed", "許容できる同時障害"),
                    &grouped(f64::from(plan.failures_absorbed), 0),
                    say("hosts at the same time, whichever they are", "台のホスト。どのホストでも可"),
                ))
                @if let Some(tco) = &plan.tco {
                    @let saved = tco.before - tco.after;
                    (tile(
                        &format!(
                            "{} {}",
                            if saved >= 0.0 { say("saved,", "削減額") } else { say("dearer by,", "費用の増加") },
                            tco.currency
                        ),
                        &grouped(saved.abs(), 0),
                        &match language {
                            Language::English => format!("in {}", years(tco.years)),
                            Language::Japanese => format!("{} 年間", tco.years),
                        },
                    ))
                }
            }
            @for note in &plan.assumptions.notes {
                p.note { (words::note(language, note)) }
            }
        }
    }
}

fn tile(name: &str, value: &str, more: &str) -> Markup {
    html! { div.tile { div.name { (name) } div.value { (value) } div.more { (more) } } }
}

fn lead(plan: &Plan, language: Language, servers: usize, used: usize, spare: usize) -> String {
    let above = used.saturating_sub(plan.lower_bound.hosts as usize);
    let placed = servers;
    let servers = language.counted(servers, "server", "servers", "台のサーバー");
    let hosts = language.counted(used, "host", "hosts", "台のホスト");
    match language {
        Language::English => {
            let standing = match spare {
                0 => String::new(),
                1 => ", and one host stands by".into(),
                _ => format!(", and {spare} hosts stand by"),
            };
            let bound = match above {
                0 => "No plan has fewer.".into(),
                _ => format!("It is proved that no plan has fewer than {}.", plan.lower_bound.hosts),
            };
            let become_ = if placed == 1 { "becomes a virtual machine" } else { "become virtual machines" };
            format!("{servers} {become_} on {hosts}{standing}. {bound}")
        }
        Language::Japanese => {
            let standing =
                if spare == 0 { String::new() } else { format!("（ほかに予備 {spare} 台）") };
            let bound = match above {
                0 => "これより少ない計画はありません。".into(),
                _ => format!("証明された下限は {} 台です。", plan.lower_bound.hosts),
            };
            format!("{servers}を仮想マシンとして {hosts}{standing}に統合します。{bound}")
        }
    }
}

fn remaining(plan: &Plan, language: Language) -> String {
    match (plan.unplaced.len(), language) {
        (0, _) => language.say("all that were asked for", "対象すべて").into(),
        (1, Language::English) => "one stays what it is".into(),
        (count, Language::English) => format!("{count} stay what they are"),
        (count, Language::Japanese) => format!("{count} 台は現状のまま"),
    }
}

fn of_these(language: Language, used: usize, spare: usize) -> String {
    match language {
        Language::English => format!("{used} in use, {spare} standing by"),
        Language::Japanese => format!("使用 {used}、予備 {spare}"),
    }
}
