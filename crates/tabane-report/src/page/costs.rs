//! What it costs to go on as it is, and what the plan costs.

use maud::{Markup, html};
use tabane_model::{Plan, Tco};

use super::part;
use crate::{
    Language,
    chart::{Series, lines},
    language::{grouped, money, years},
    words,
};

pub(super) fn section(plan: &Plan, language: Language) -> Markup {
    let say = |english, japanese| language.say(english, japanese);
    let inside = match &plan.tco {
        Some(tco) => compared(tco, language),
        None => html! {
            p { (say("Hosts cost ", "ホストの費用は ")) (grouped(plan.cost, 0))
                (say(
                    ". What goes on as it is, energy and labour were not stated, so nothing is said of them.",
                    " です。現状の費用、電力、人件費は指定されていないため、比較していません。",
                )) }
        },
    };
    part("costs", say("Costs", "費用"), inside)
}

fn compared(tco: &Tco, language: Language) -> Markup {
    let say = |english, japanese| language.say(english, japanese);
    let rising: Vec<&str> = tco
        .positions
        .iter()
        .filter(|position| position.rises())
        .map(|position| words::item(language, position.item))
        .collect();
    let series = [
        Series { class: "before", values: tco.cumulative.iter().map(|year| year.before).collect() },
        Series { class: "after", values: tco.cumulative.iter().map(|year| year.after).collect() },
    ];
    let steps: Vec<String> = tco
        .cumulative
        .iter()
        .map(|year| match language {
            Language::English => format!("year {}", year.year),
            Language::Japanese => format!("{} 年", year.year),
        })
        .collect();
    html! {
        p { (verdict(tco, language)) }
        @if !rising.is_empty() {
            p.warning { (say("What rises: ", "増える費目: ")) (rising.join(say(", ", "、"))) }
        }
        figure {
            (lines(say("spent so far, before and after", "累計費用の比較"), &series, &steps, |value| grouped(value, 0)))
            figcaption {
                span.key.before {} (say("as it is", "現状のまま")) " "
                span.key.after {} (say("with the plan", "計画を実施")) " — "
                (say("spent so far", "累計")) ", " (tco.currency)
            }
        }
        table {
            thead { tr {
                th { (match language {
                    Language::English => format!("{} in {}", tco.currency, years(tco.years)),
                    Language::Japanese => format!("{} 年間、{}", tco.years, tco.currency),
                }) }
                th.number { (say("as it is", "現状")) } th.number { (say("with the plan", "計画")) }
                th.number { (say("difference", "差")) }
            } }
            tbody {
                @for position in tco.positions.iter().filter(|p| !tco.not_stated.contains(&p.item)) {
                    @let more = position.after - position.before;
                    tr.rises[position.rises()] {
                        td { (words::item(language, position.item)) }
                        td.number { (grouped(position.before, 0)) } td.number { (grouped(position.after, 0)) }
                        td.number { (difference(more)) }
                    }
                }
            }
            tfoot { tr {
                td { (say("Total", "合計")) } td.number { (grouped(tco.before, 0)) } td.number { (grouped(tco.after, 0)) }
                td.number { (difference(tco.after - tco.before)) }
            } }
        }
        @if !tco.not_stated.is_empty() {
            p.small {
                (say("Nothing was stated for, and so nothing is counted: ", "指定がないため含まれていない費目: "))
                (tco.not_stated.iter().map(|item| words::item(language, *item)).collect::<Vec<_>>().join(say(", ", "、")))
                "."
            }
        }
        p.small { (say("No interest, no inflation.", "金利・物価変動は含みません。")) }
    }
}

fn difference(more: f64) -> String {
    let text = grouped(more, 0);
    if more >= 0.5 { format!("+{text}") } else { text }
}

fn verdict(tco: &Tco, language: Language) -> String {
    let saved = tco.before - tco.after;
    let (before, after) = (money(tco.before, &tco.currency), money(tco.after, &tco.currency));
    let amount = money(saved.abs(), &tco.currency);
    let months = tco.break_even_months.map(|months| grouped(months.ceil(), 0));
    match (language, months) {
        (Language::English, Some(months)) => format!(
            "Going on as it is costs {before} in {}, the plan {after}: {amount} less. It has paid for itself after {months} months.",
            years(tco.years)
        ),
        (Language::English, None) => format!(
            "Going on as it is costs {before} in {}, the plan {after}: {amount} {}. It does not pay for itself in that time.",
            years(tco.years),
            if saved >= 0.0 { "less" } else { "more" }
        ),
        (Language::Japanese, Some(months)) => format!(
            "現状のままでは {} 年間に {before}、計画では {after} かかり、{amount} の削減になります。{months} か月で元が取れます。",
            tco.years
        ),
        (Language::Japanese, None) => format!(
            "現状のままでは {} 年間に {before}、計画では {after} かかり、{amount} の{}です。この期間では元が取れません。",
            tco.years,
            if saved >= 0.0 { "削減" } else { "増加" }
        ),
    }
}
