//! What software licences cost, before and after, on which hosts, and by whose count.

use maud::{Markup, html};
use tabane_model::{LicencePosition, Plan, PlanLicences, ProductLicences};

use super::part;
use crate::{
    Language,
    language::{grouped, money, years},
};

pub(super) fn section(plan: &Plan, language: Language) -> Markup {
    match &plan.licences {
        None => html! {},
        Some(licences) => {
            part("licences", language.say("Licences", "ライセンス"), compared(plan, licences, language))
        }
    }
}

fn compared(plan: &Plan, licences: &PlanLicences, language: Language) -> Markup {
    let say = |english, japanese| language.say(english, japanese);
    let rising: Vec<&ProductLicences> =
        licences.products.iter().filter(|product| product.after > product.before + 0.5).collect();
    let position = match plan.assumptions.policy.licence_position {
        LicencePosition::Contract => say("what contracts say", "契約の文言"),
        LicencePosition::Policy => say("what vendors' policies claim", "ベンダーの方針"),
    };
    html! {
        p { (match language {
            Language::English => format!(
                "In {} licences cost {} on these hosts, and {} with each server on a machine of its own. No placement costs less than {}. Counted by {position}. This is no legal advice: contracts hold, and catalogues say where their rules are from.",
                years(licences.years), money(licences.after, &licences.currency), money(licences.before, &licences.currency),
                money(licences.lower_bound, &licences.currency)
            ),
            Language::Japanese => format!(
                "{} 年間のライセンス費用は、これらのホストでは {}、サーバーごとに 1 台の機械では {} です。どの配置でも {} を下回りません。{position}による計算です。法的な助言ではありません。契約が優先します。",
                licences.years, money(licences.after, &licences.currency), money(licences.before, &licences.currency),
                money(licences.lower_bound, &licences.currency)
            ),
        }) }
        @for product in &rising {
            p.warning { (match language {
                Language::English => format!(
                    "{} becomes dearer by consolidation: {} instead of {}.", product.product,
                    money(product.after, &licences.currency), money(product.before, &licences.currency)
                ),
                Language::Japanese => format!(
                    "{} は統合によって高くなります: {} から {} へ。", product.product,
                    money(product.before, &licences.currency), money(product.after, &licences.currency)
                ),
            }) }
        }
        div.wide { table {
            thead { tr {
                th { (say("product", "製品")) } th.number { (say("servers", "サーバー")) }
                th.number { (say("as it is", "現状")) } th.number { (say("by contract", "契約による")) }
                th.number { (say("by policy", "方針による")) } th.number { (say("proved minimum", "証明された下限")) }
                th { (say("hosts and what is bought for them", "ホストと購入するもの")) }
            } }
            tbody { @for product in &licences.products { tr {
                td { (product.product) } td.number { (product.servers) }
                td.number { (grouped(product.before, 0)) } td.number { (grouped(product.contract, 0)) }
                td.number { (grouped(product.policy, 0)) } td.number { (grouped(product.lower_bound, 0)) }
                td { details {
                    summary { (language.counted(product.hosts.len(), "host", "hosts", "台のホスト")) }
                    ul { @for host in &product.hosts { li {
                        b { (host.host) } ": "
                        (host.bought.iter().map(|b| format!("{} × {}", grouped(b.packs as f64, 0), b.edition)).collect::<Vec<_>>().join(", "))
                    } } }
                } }
            } } }
        } }
    }
}
