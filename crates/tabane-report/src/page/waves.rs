//! How it is introduced: waves on a time line, gates, and what the pilot's review asks.

use maud::{Markup, html};
use tabane_model::{Gate, Plan};

use super::part;
use crate::{
    Language,
    language::{grouped, percent},
    words,
};

pub(super) fn section(plan: &Plan, language: Language) -> Markup {
    if plan.waves.is_empty() {
        return html! {};
    }
    let say = |english, japanese| language.say(english, japanese);
    let watched = plan.assumptions.policy.phases.watch_days.max(1);
    let days = plan.waves.last().map_or(1, |wave| wave.first_day.saturating_add(watched));
    let is_dated = plan.waves.iter().any(|wave| !wave.windows.is_empty());
    let at = |day: u32| format!("{:.2}%", f64::from(day) / f64::from(days) * 100.0);
    let inside = html! {
        p { (match language {
            Language::English => format!(
                "{} in {days} days, if each wave is watched for {} and passes its gates.{}",
                language.counted(plan.waves.len(), "step", "steps", ""),
                language.counted(watched as usize, "day", "days", ""),
                if plan.failures_absorbed > 0 { " After each of them the hosts that are in use absorb failures as in the end." } else { "" }
            ),
            Language::Japanese => format!(
                "各段階を {watched} 日間観察し、条件を満たして進む場合、{} 段階で {days} 日です。{}",
                plan.waves.len(),
                if plan.failures_absorbed > 0 { "どの段階の後でも、使用中のホストの障害に最終形と同じように耐えられます。" } else { "" }
            ),
        }) }
        table.waves {
            thead { tr {
                th { (say("step", "段階")) } th { (say("time", "期間")) }
                @if is_dated { th { (say("windows", "移行の時間帯")) } }
                th.number { (say("servers", "サーバー")) }
                th { (say("new hosts", "追加するホスト")) } th.number { (say("hours of work", "作業時間")) }
            } }
            tbody { @for wave in &plan.waves { tr {
                td { details {
                    summary { (words::wave(language, &wave.name, wave.kind)) }
                    p.small { (words::wave_reason(language, wave.kind)) }
                    p.names { @for server in &wave.servers { span { (server) } " " } }
                } }
                td.time { div.step style=(format!("left:{};width:{}", at(wave.first_day), at(watched))) title=(match language {
                    Language::English => format!("day {} to {}", wave.first_day, wave.first_day.saturating_add(watched)),
                    Language::Japanese => format!("{} 日目〜{} 日目", wave.first_day, wave.first_day.saturating_add(watched)),
                }) {} }
                @if is_dated { td { @for window in &wave.windows { div { (words::window(language, window)) } } } }
                td.number { (wave.servers.len()) }
                td { (wave.new_hosts.join(", ")) }
                td.number { (grouped(wave.labour_hours, 0)) }
            } } }
        }
        h3 { (say("Gates", "判定条件")) }
        table {
            tbody { @for gate in &plan.gates { tr {
                td { (words::gate_kind(language, gate.kind)) }
                td { (words::metric(language, &gate.metric)) }
                td.number { (words::comparison(gate.comparison)) " " (threshold(gate)) }
            } } }
        }
        h3 { (say("What the pilot's review asks", "パイロットの振り返りで確かめること")) }
        ol { @for question in questions(plan, language) { li { (question) } } }
    };
    part("waves", say("Introduction", "導入の段階"), inside)
}

fn threshold(gate: &Gate) -> String {
    if gate.metric.ends_with("_share") { percent(gate.threshold) } else { format!("{}", gate.threshold) }
}

/// What every such project has to ask, with this plan's own numbers.
fn questions(plan: &Plan, language: Language) -> Vec<String> {
    let pilot = plan.waves.first();
    let servers = pilot.map_or(0, |wave| wave.servers.len());
    let hosts = pilot.map_or_else(String::new, |wave| wave.new_hosts.join(", "));
    let watched = plan.assumptions.policy.phases.watch_days;
    let share = percent(plan.assumptions.policy.overload_share);
    let saved =
        plan.tco.as_ref().map(|tco| grouped((tco.before - tco.after) / f64::from(tco.years.max(1)), 0));
    let currency = plan.tco.as_ref().map_or("", |tco| tco.currency.as_str());
    match language {
        Language::English => vec![
            format!("Is it stable? {hosts} and the {servers} virtual machines ran {watched} days without a failure that was theirs."),
            format!("Did the moves succeed? All {servers} of {servers}, each in its window; what had to be done by hand is written down and done beforehand in the next wave."),
            format!("Is it fast enough? Hosts were overloaded in {share} of samples at most, peaks were no more than a tenth above the plan, and users noticed nothing."),
            match saved {
                Some(saved) => format!("Did the cost fall? The old machines are switched off and gone from power, maintenance and licence bills; the plan expects {saved} {currency} a year from the whole."),
                None => "Did the cost fall? The old machines are switched off and gone from power, maintenance and licence bills.".into(),
            },
            "What changes in daily operations? Who starts, backs up, restores and watches these machines now, who is called at night, and have they done each of it once?".into(),
            "Can one go back? An old machine was started again in a test, and how long that took is known.".into(),
        ],
        Language::Japanese => vec![
            format!("安定しているか。{hosts} と {servers} 台の仮想マシンが、移行に起因する障害なしに {watched} 日間動いた。"),
            format!("移行は成功したか。{servers} 台すべてが予定の時間内に移り、手作業で行ったことは記録され、次回は事前に済ませてある。"),
            format!("性能は十分か。ホストの過負荷は標本の {share} 以下、ピークは計画の 1 割増し以内で、利用者からの苦情はない。"),
            match saved {
                Some(saved) => format!("費用は減ったか。旧サーバーは停止し、電力・保守・ライセンスの請求から外れた。計画全体では年 {saved} {currency} の削減を見込む。"),
                None => "費用は減ったか。旧サーバーは停止し、電力・保守・ライセンスの請求から外れた。".into(),
            },
            "日常の運用はどう変わるか。起動、バックアップ、復元、監視、夜間の連絡を誰が行うかが決まり、それぞれ一度は実際に行った。".into(),
            "元に戻せるか。旧サーバーを試しに再び起動し、かかる時間が分かっている。".into(),
        ],
    }
}
