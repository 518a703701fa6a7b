//! One page for managers and engineers: first what comes of it, then how, then what it stands on.

mod basis;
mod costs;
mod hosts;
mod licences;
mod review;
mod rules;
mod summary;
mod support;
mod waves;

use maud::{DOCTYPE, Markup, PreEscaped, html as markup};
use tabane_model::Plan;

use crate::Language;

const STYLE: &str = include_str!("page/style.css");

/// The page, complete in itself: no script, no font, nothing that is fetched.
pub fn html(plan: &Plan, language: Language) -> String {
    let title = language.say("Consolidation plan", "サーバー統合計画");
    let made = plan.made_at.strftime("%Y-%m-%d %H:%M UTC").to_string();
    let page = markup! {
        (DOCTYPE)
        html lang=(language.code()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Nothing may be loaded, whatever a name in it tries.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    p.made { (language.say("made ", "作成 ")) (made) }
                }
                main {
                    (summary::section(plan, language))
                    (costs::section(plan, language))
                    (licences::section(plan, language))
                    (support::section(plan, language))
                    (waves::section(plan, language))
                    (hosts::section(plan, language))
                    (basis::section(plan, language))
                }
            }
        }
    };
    page.into_string()
}

/// A part of the page with its heading.
fn part(id: &str, heading: &str, inside: Markup) -> Markup {
    markup! { section id=(id) { h2 { (heading) } (inside) } }
}
