//! What the plan stands on: bound, assumptions, data, and servers that have no host.

use maud::{Markup, html};
use tabane_model::{Exhaustion, MemoryBasis, Plan, Reserve};

use super::{part, rules::rules};
use crate::{
    Language, findings,
    language::{grouped, percent, shown},
    words,
};

const FINDINGS_MAX: usize = 200;

pub(super) fn section(plan: &Plan, language: Language) -> Markup {
    let say = |english, japanese| language.say(english, japanese);
    html! {
        @if !plan.unplaced.is_empty() {
            (part("unplaced", say("Servers that stay what they are", "現状のまま残すサーバー"), html! {
                table { tbody { @for server in &plan.unplaced {
                    tr { td { (server.server) } td { (words::cause(language, server)) } }
                } } }
            }))
        }
        (part("bound", say("Why not fewer hosts", "ホスト数の下限の根拠"), html! {
            p { (bound(plan, language)) }
            @if let Some(exhausted) = &plan.lower_bound.exhausted { p { (tried(exhausted, language)) } }
        }))
        (part("assumptions", say("Assumptions", "前提"), assumptions(plan, language)))
        (part("data", say("Data", "測定データ"), data(plan, language)))
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn bound(plan: &Plan, language: Language) -> String {
    let hosts = plan.lower_bound.hosts;
    if hosts == 1 {
        return language
            .say(
                "There is something to place, so there is one host at least.",
                "置くサーバーがあるため、少なくとも 1 台必要です。",
            )
            .into();
    }
    let Some(proof) = &plan.lower_bound.certificate else {
        return language.say("There is nothing to place.", "置くサーバーがありません。").into();
    };
    let step = i64::from(plan.data_quality.step_s);
    let bin = i64::try_from(proof.bin).unwrap_or(i64::MAX);
    let moment = time(plan.data_quality.first_bin_unix.saturating_add(step.saturating_mul(bin)));
    let resource = words::resource(language, &proof.resource);
    // What never changes is not a matter of time.
    let configured = plan.assumptions.policy.memory == MemoryBasis::Configured;
    let is_constant = proof.resource == "disk_gib" || (proof.resource == "memory_mib" && configured);
    let fewer = hosts.saturating_sub(1);
    let hosts_fewer = if fewer == 1 { "one host".to_owned() } else { format!("{fewer} hosts") };
    let (at, at_ja) = match is_constant {
        true => (String::new(), String::new()),
        false => (format!("at {moment} "), format!("{moment} の時点で、")),
    };
    match (language, proof.function.as_str()) {
        (Language::English, "apart") => format!(
            "{hosts} servers of the group {} are kept apart, so there are {hosts} hosts at least.",
            proof.resource
        ),
        (Language::Japanese, "apart") => format!(
            "グループ {} の {hosts} 台は別々のホストに置くため、少なくとも {hosts} 台のホストが必要です。",
            proof.resource
        ),
        (Language::English, "volume") => sentence(&format!(
            "{at}all servers together need more of {resource} than {hosts_fewer} may be filled with. Whoever has the traces proves it again with “tabane plan verify”."
        )),
        (Language::Japanese, "volume") => format!(
            "{at_ja}全サーバーの{resource}の合計は {fewer} 台分の上限を超えます。測定データがあれば「tabane plan verify」で再び証明できます。"
        ),
        (Language::English, _) => sentence(&format!(
            "{at}the servers, by their sizes in {resource}, do not go into {hosts_fewer}: large ones do not share (a dual feasible function). Whoever has the traces proves it again with “tabane plan verify”."
        )),
        (Language::Japanese, _) => format!(
            "{at_ja}{resource}の大きさから、サーバーは {fewer} 台のホストには収まりません（双対実行可能関数による）。測定データがあれば「tabane plan verify」で再び証明できます。"
        ),
    }
}

fn tried(exhausted: &Exhaustion, language: Language) -> String {
    let (cost, turns) = (grouped(exhausted.cost, 0), grouped(exhausted.turns as f64, 0));
    match language {
        Language::English => format!(
            "Every way to place these servers was tried, or seen to cost no less: none costs less than {cost} for hosts in use and licences. {turns} placements of a part of them were looked at; “tabane plan verify” tries again."
        ),
        Language::Japanese => format!(
            "これらのサーバーの配置をすべて調べた結果、稼働ホストとライセンスの合計が {cost} を下回る配置はありません（部分的な配置 {turns} 通りを確認。「tabane plan verify」で再び確かめられます）。"
        ),
    }
}

fn time(unix: i64) -> String {
    let moment = jiff::Timestamp::from_second(unix).ok();
    shown(moment.map(|moment| moment.strftime("%Y-%m-%d %H:%M UTC").to_string()), "?")
}

fn assumptions(plan: &Plan, language: Language) -> Markup {
    let say = |english, japanese| language.say(english, japanese);
    let policy = &plan.assumptions.policy;
    let rows: Vec<(&str, String)> = vec![
        (say("looked for", "目標"), words::objective(language, policy.objective).into()),
        (say("memory that counts", "メモリの数え方"), words::memory(language, policy.memory).into()),
        (
            say("hosts filled to", "ホストの使用上限"),
            format!(
                "{} ({} {})",
                percent(plan.assumptions.fill),
                say("policy:", "方針:"),
                percent(policy.fill_max)
            ),
        ),
        (say("accepted overload", "許容する過負荷"), percent(policy.overload_share)),
        (
            say("reserve", "障害への備え"),
            match policy.reserve {
                Reserve::Spare => say("hosts stand by", "予備のホスト").into(),
                Reserve::Shared => say("what other hosts have left", "他のホストの余力").into(),
            },
        ),
        (
            say("growth", "増加の見込み"),
            format!(
                "CPU {:+} %, {} {:+} %, {} {:+} %, {} {:+} %, {} {:+} %",
                policy.growth.cpu_percent,
                say("memory", "メモリ"),
                policy.growth.memory_percent,
                say("disk", "ディスク"),
                policy.growth.disk_percent,
                say("disk space", "ディスク容量"),
                policy.growth.disk_space_percent,
                say("network", "ネットワーク"),
                policy.growth.net_percent,
            ),
        ),
    ];
    html! {
        table { tbody { @for (name, value) in rows { tr { td { (name) } td { (value) } } } } }
        (rules(policy, language))
        h3 { (say("Types of hosts", "ホストの種類")) }
        div.wide { table {
            thead { tr {
                th { (say("type", "種類")) } th.number { "CPU, MHz" } th.number { (say("cores", "コア")) }
                th.number { (say("memory, MiB", "メモリ, MiB")) } th.number { (say("disk, GiB", "ディスク, GiB")) }
                th.number { (say("disk, KB/s", "ディスク, KB/s")) }
                th.number { (say("network, KB/s", "ネットワーク, KB/s")) } th.number { (say("price", "価格")) }
                th.number { "W" } th.number { (say("at most", "上限")) } th.number { (say("planned", "計画")) }
            } }
            tbody { @for kind in &plan.assumptions.host_types { tr {
                td { (kind.name) }
                td.number { (grouped(f64::from(kind.cpu_mhz), 0)) @if let Some(index) = kind.cpu_index { " × " (index) } } td.number { (kind.cpu_cores) }
                td.number { (grouped(f64::from(kind.memory_mib), 0)) }
                td.number { (shown(kind.disk_gib.map(|v| grouped(f64::from(v), 0)), "–")) }
                td.number { (shown(kind.disk_kbs.map(|v| grouped(f64::from(v), 0)), "–")) }
                td.number { (shown(kind.net_kbs.map(|v| grouped(f64::from(v), 0)), "–")) }
                td.number { (grouped(kind.price, 0)) } td.number { (grouped(kind.watts, 0)) }
                td.number { (shown(kind.count, "–")) }
                td.number { (plan.hosts.iter().filter(|host| host.host_type == kind.name).count()) }
            } } }
        } }
    }
}

fn data(plan: &Plan, language: Language) -> Markup {
    let say = |english, japanese| language.say(english, japanese);
    let quality = &plan.data_quality;
    let bins = i64::try_from(quality.bins).unwrap_or(i64::MAX);
    let seconds = bins.saturating_mul(i64::from(quality.step_s));
    let days = grouped(seconds as f64 / 86_400.0, 1);
    let (from, to) = (time(quality.first_bin_unix), time(quality.first_bin_unix.saturating_add(seconds)));
    html! {
        p { (match language {
            Language::English => format!(
                "{} of {} servers were measured from {from} to {to}: {days} days in steps of {} s. {} of samples are missing.",
                quality.servers_measured, quality.servers, quality.step_s, percent(quality.missing_share)
            ),
            Language::Japanese => format!(
                "{} 台中 {} 台を {from} から {to} まで、{} 秒間隔で {days} 日間測定しました。標本の {} が欠けています。",
                quality.servers, quality.servers_measured, quality.step_s, percent(quality.missing_share)
            ),
        }) }
        @if !quality.thin.is_empty() {
            details {
                summary { (match language {
                    Language::English => format!(
                        "{} of which too little is known",
                        language.counted(quality.thin.len(), "server", "servers", "")
                    ),
                    Language::Japanese => format!("測定が不十分なサーバー {} 台", quality.thin.len()),
                }) }
                table {
                    thead { tr {
                        th { (say("server", "サーバー")) } th.number { (say("days measured", "測定日数")) }
                        th.number { (say("missing", "欠測")) } th.number { (say("measure for so many days more", "追加で必要な日数")) }
                    } }
                    tbody { @for thin in quality.thin.iter().take(FINDINGS_MAX) { tr {
                        td { (thin.server) } td.number { (grouped(thin.days_measured, 1)) }
                        td.number { (percent(thin.missing_share)) } td.number { (grouped(thin.days_wanted.ceil(), 0)) }
                    } } }
                }
                @if quality.thin.len() > FINDINGS_MAX {
                    p.small { (say("The rest is in the plan itself.", "残りは計画ファイルにあります。")) }
                }
            }
        }
        @if !quality.findings.is_empty() {
            details {
                summary { (language.counted(quality.findings.len(), "finding", "findings", "件の指摘")) }
                ul { @for finding in quality.findings.iter().take(FINDINGS_MAX) { li { (findings::finding(language, finding)) } } }
                @if quality.findings.len() > FINDINGS_MAX {
                    p.small { (say("The rest is in the plan itself.", "残りは計画ファイルにあります。")) }
                }
            }
        }
    }
}
