//! What the review of the pilot asks.

use tabane_model::Plan;

use crate::{
    Language,
    language::{grouped, percent},
};

/// What every such project has to ask, with this plan's own numbers.
pub(super) fn questions(plan: &Plan, language: Language) -> Vec<String> {
    let pilot = plan.waves.first();
    let servers = pilot.map_or(0, |wave| wave.servers.len());
    let hosts = pilot.map_or_else(String::new, |wave| wave.new_hosts.join(", "));
    let watched = plan.assumptions.policy.phases.watch_days;
    let share = percent(plan.assumptions.policy.overload_share);
    let saved = plan.tco.as_ref().map(|tco| (tco.before - tco.after) / f64::from(tco.years.max(1)));
    let currency = plan.tco.as_ref().map_or("", |tco| tco.currency.as_str());
    let amount = grouped(saved.unwrap_or(0.0).abs(), 0);
    match language {
        Language::English => vec![
            format!("Is it stable? {hosts} and the {servers} virtual machines ran {watched} days without a failure that was theirs."),
            format!("Did the moves succeed? All {servers} of {servers}, each in its window; what had to be done by hand is written down and done beforehand in the next wave."),
            format!("Is it fast enough? Hosts were overloaded in {share} of samples at most, peaks were no more than a tenth above the plan, and users noticed nothing."),
            match saved {
                Some(saved) if saved < 0.0 => format!("What did it cost? The plan expects the whole to cost {amount} {currency} a year more than before; the old machines are switched off and gone from power, maintenance and licence bills all the same."),
                Some(_) => format!("Did the cost fall? The old machines are switched off and gone from power, maintenance and licence bills; the plan expects to save {amount} {currency} a year with the whole."),
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
                Some(saved) if saved < 0.0 => format!("費用はいくらだったか。計画全体では年 {amount} {currency} の増加を見込む。それでも旧サーバーは停止し、電力・保守・ライセンスの請求から外れた。"),
                Some(_) => format!("費用は減ったか。旧サーバーは停止し、電力・保守・ライセンスの請求から外れた。計画全体では年 {amount} {currency} の削減を見込む。"),
                None => "費用は減ったか。旧サーバーは停止し、電力・保守・ライセンスの請求から外れた。".into(),
            },
            "日常の運用はどう変わるか。起動、バックアップ、復元、監視、夜間の連絡を誰が行うかが決まり、それぞれ一度は実際に行った。".into(),
            "元に戻せるか。旧サーバーを試しに再び起動し、かかる時間が分かっている。".into(),
        ],
    }
}
