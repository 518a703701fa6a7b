//! How it is introduced: waves on a time line, gates, and what the pilot's review asks.

use maud::{Markup, html};
use tabane_model::{Gate, Plan, Wave, WaveWindow};

use super::{part, review::questions};
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
    let end = |wave: &Wave| wave.first_day.saturating_add(days_of_moves(wave)).saturating_add(watched);
    let days = plan.waves.iter().map(end).max().unwrap_or(1);
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
                    @if wave.windows.len() < 2 { (names(&wave.servers)) }
                } }
                td.time { div.step style=(format!("left:{};width:{}", at(wave.first_day), at(end(wave).saturating_sub(wave.first_day)))) title=(match language {
                    Language::English => format!("day {} to {}", wave.first_day, end(wave)),
                    Language::Japanese => format!("{} 日目〜{} 日目", wave.first_day, end(wave)),
                }) {} }
                @if is_dated { td { (windows(&wave.windows, language)) } }
                td.number { (wave.servers.len()) }
                td { @for host in &wave.new_hosts { span.line { (host) } " " } }
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

fn names(servers: &[String]) -> Markup {
    html! { p.names { @for server in servers { span { (server) } " " } } }
}

/// From the date of the first window to that of the last.
fn days_of_moves(wave: &Wave) -> u32 {
    let dates = wave.windows.first().zip(wave.windows.last());
    dates.map_or(0, |(first, last)| {
        u32::try_from(last.date.duration_since(first.date).as_hours() / 24).unwrap_or(0)
    })
}

/// Several are folded, each with who is moved in it.
fn windows(windows: &[WaveWindow], language: Language) -> Markup {
    match windows {
        [first, .., last] => html! { details {
            summary.line { (match language {
                Language::English => format!("{} windows, {} to {}", windows.len(), first.date, last.date),
                Language::Japanese => format!("{} 回（{}〜{}）", windows.len(), first.date, last.date),
            }) }
            @for window in windows { div.line { (words::window(language, window)) } (names(&window.servers)) }
        } },
        _ => html! { @for window in windows { div.line { (words::window(language, window)) } } },
    }
}

fn threshold(gate: &Gate) -> String {
    if gate.metric.ends_with("_share") { percent(gate.threshold) } else { format!("{}", gate.threshold) }
}
