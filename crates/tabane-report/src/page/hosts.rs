//! Hosts, what runs on each, and how full they get.

use maud::{Markup, html};
use tabane_model::{Failover, Plan, PlannedHost};

use super::part;
use crate::{
    Language,
    chart::{Series, curves},
    language::percent,
    words,
};

pub(super) fn section(plan: &Plan, language: Language) -> Markup {
    let say = |english, japanese| language.say(english, japanese);
    let is_overcommitted = plan.assumptions.fill > 1.0;
    let inside = html! {
        p { (match language {
            Language::English => format!(
                "Loads are added at each moment of the traces; hosts are planned to {} of what they have at most (the line). Curves show the most of each part of the time line.",
                percent(plan.assumptions.fill)
            ),
            Language::Japanese => format!(
                "負荷は測定のすべての時点で足し合わせ、ホスト能力の {} まで（線）を使う計画です。曲線は各区間の最大値です。",
                percent(plan.assumptions.fill)
            ),
        })
            @if is_overcommitted {
                " " (say(
                    "The solid line is all of a host. Memory and disk space are planned to that at most.",
                    "実線がホスト能力の 100 % です。メモリとディスク容量は 100 % までです。",
                ))
            }
        }
        p.keys { span.key.cpu {} "CPU" " " span.key.memory {} (say("memory", "メモリ")) }
        div.hosts { @for host in &plan.hosts { (card(plan, host, language)) } }
    };
    part("hosts", say("Hosts", "ホスト"), inside)
}

fn card(plan: &Plan, host: &PlannedHost, language: Language) -> Markup {
    let say = |english, japanese| language.say(english, japanese);
    let curve = |name: &str| {
        let found = host.curves.iter().find(|curve| curve.resource == name);
        found.map(|curve| {
            curve.thousandths.iter().map(|value| f64::from(*value) / 1_000.0).collect::<Vec<f64>>()
        })
    };
    // Memory comes last, as a line over the area of the CPU.
    let series: Vec<Series<'_>> = [("cpu", "cpu_mhz"), ("memory", "memory_mib")]
        .into_iter()
        .filter_map(|(class, name)| curve(name).map(|values| Series { class, values }))
        .collect();
    let failover = plan.failover.iter().find(|failover| failover.host == host.id);
    let most = plan.assumptions.fill.max(1.0);
    html! {
        article.host {
            h3 { (host.id) " " span.type { (host.host_type) } }
            @if host.spare {
                p { (say("It stands by for others that fail.", "障害に備える予備のホストです。")) }
            } @else {
                (curves(&format!("{}: {}", host.id, say("CPU and memory over time", "CPU とメモリの推移")), &series, plan.assumptions.fill))
                table.peaks { tbody { @for peak in &host.peaks { tr {
                    td { (words::resource(language, &peak.resource)) }
                    td.bar { div.over[peak.share > 1.0] style=(format!("width:{:.1}%", (peak.share / most * 100.0).clamp(0.0, 100.0))) {} }
                    td.number { (percent(peak.share)) }
                } } } }
                p.small {
                    @match host.overload_probability {
                        Some(share) => { (say("Probability of overload at a moment: ", "ある時点で過負荷になる確率: ")) (percent(share)) }
                        None => (say("How likely an overload is, is not known.", "過負荷の確率は不明です。")),
                    }
                }
                details {
                    summary { (language.counted(host.servers.len(), "server", "servers", "台のサーバー")) }
                    p.names { @for server in &host.servers { span { (server) } " " } }
                }
                @if let Some(failover) = failover { (failing(failover, language)) }
            }
        }
    }
}

fn failing(failover: &Failover, language: Language) -> Markup {
    html! {
        details {
            summary { (language.say("If it fails", "障害のとき")) }
            ul { @for takeover in &failover.takeovers {
                li { b { (takeover.host) } ": " (takeover.servers.join(", ")) }
            } }
        }
    }
}
