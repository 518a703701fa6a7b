//! Words of plans in the languages of a report.

use tabane_model::{
    Comparison, GateKind, MemoryBasis, Objective, PlanNote, TcoItem, UnplacedCause, UnplacedServer, WaveKind,
    WaveWindow,
    support::{SupportCause, SupportStatus, product_of},
};

use crate::{
    conditions,
    language::{Language, grouped, percent},
};

pub(crate) fn resource(language: Language, name: &str) -> String {
    match name {
        "cpu_mhz" => "CPU",
        "memory_mib" => language.say("Memory", "メモリ"),
        "disk_gib" => language.say("Disk space", "ディスク容量"),
        "disk_kbs" => language.say("Disk throughput", "ディスク転送量"),
        "disk_iops" => language.say("Disk operations", "ディスク IOPS"),
        "net_rx_kbs" => language.say("Network received", "ネットワーク受信"),
        "net_tx_kbs" => language.say("Network sent", "ネットワーク送信"),
        other => other,
    }
    .to_owned()
}

pub(crate) fn unit(name: &str) -> &'static str {
    match name {
        "cpu_mhz" => "MHz",
        "memory_mib" => "MiB",
        "disk_gib" => "GiB",
        "disk_iops" => "1/s",
        "disk_kbs" | "net_rx_kbs" | "net_tx_kbs" => "KB/s",
        _ => "",
    }
}

/// When a part of a wave is moved.
pub(crate) fn window(language: Language, window: &WaveWindow) -> String {
    let (date, from, servers) = (window.date, window.from.strftime("%H:%M"), window.servers.len());
    let moved = language.counted(servers, "server", "servers", "台");
    match language {
        Language::English => format!("{date} {from}, {} h: {moved}", window.hours),
        Language::Japanese => format!("{date} {from} から {} 時間: {moved}", window.hours),
    }
}

/// What a position of costs is called.
pub fn item(language: Language, item: TcoItem) -> &'static str {
    let say = |english, japanese| language.say(english, japanese);
    match item {
        TcoItem::Hardware => say("Hardware", "ハードウェア"),
        TcoItem::Maintenance => say("Hardware maintenance", "ハードウェア保守"),
        TcoItem::Power => say("Power", "電力"),
        TcoItem::Cooling => say("Cooling and losses", "冷却・電力損失"),
        TcoItem::Space => say("Rack space", "ラックスペース"),
        TcoItem::Network => say("Network", "ネットワーク"),
        TcoItem::Storage => say("Storage", "ストレージ"),
        TcoItem::Software => say("Software and licences", "ソフトウェア・ライセンス"),
        TcoItem::Support => say("Support", "サポート"),
        TcoItem::Administration => say("Administration", "運用管理"),
        TcoItem::Migration => say("Migration", "移行作業"),
        TcoItem::DoubleRunning => say("Double running", "並行稼働"),
        TcoItem::Training => say("Training", "教育"),
        TcoItem::Disposal => say("Disposal", "廃棄"),
    }
}

pub(crate) fn note(language: Language, note: &PlanNote) -> String {
    if language == Language::English {
        return match note {
            PlanNote::Thin { servers } => format!(
                "{} measured for too short a time, or with too many gaps: the section “Data” says for how long they should be measured.",
                if *servers == 1 { "One server was".into() } else { format!("{servers} servers were") }
            ),
            note => note.to_string(),
        };
    }
    match note {
        PlanNote::VendorSupport => {
            "すべてのベンダーがサポートを認めているハイパーバイザーはありません。移行の前に、製品ごとに QEMU/KVM のサポート状況を確認してください。".into()
        }
        PlanNote::TooShort { days_min } => {
            format!("測定データが {days_min} 日に満たないため、ホストが過負荷になる頻度は分かりません。")
        }
        PlanNote::NoMargin { expected_share } => format!(
            "許容値を超える過負荷が見込まれます（ホスト標本の {}）。試したどの余裕でも、この台数ではそれ以下を約束できません。fill_max を下げると改善する場合があります。",
            percent(*expected_share)
        ),
        PlanNote::LittleHistory { expected_share } => format!(
            "測定した範囲では許容値を満たします。ただし測定期間が短いため、保証できるのは {} までです。長く測定するほど小さくなります。",
            percent(*expected_share)
        ),
        PlanNote::Overcommitted { fill, measured_share, accepted_share } => format!(
            "CPU・ディスク・ネットワークをオーバーコミットしています（ホスト能力の {} まで）。測定データそのものでも、ホスト標本の {} で不足します（許容値 {}）。メモリとディスク容量はオーバーコミットしません。",
            percent(*fill),
            percent(*measured_share),
            percent(*accepted_share)
        ),
        PlanNote::Large { servers, fill } => format!(
            "単独で、計画の上限（ホスト能力の {}）を超えるサーバーがあります: {}。その間は同じホストに他のサーバーの負荷はありませんが、そのホストの余裕は小さくなります。",
            percent(*fill),
            some(servers)
        ),
        PlanNote::Supported { supported, conditional, unknown, unsupported } => format!(
            "移行するサーバーのベンダーサポート: サポート {supported}、条件付き {conditional}、不明 {unknown}、サポート外 {unsupported}。Tabane 自体はどのベンダーの一覧にも載っていません。"
        ),
        PlanNote::Thin { servers } => format!(
            "測定期間が短い、または欠測が多いサーバーが {servers} 台あります。「測定データ」の節を見てください。"
        ),
        PlanNote::DiskSpaceUnknown { servers } => format!(
            "{servers} 台のサーバーのディスク使用量が分からず、0 として計算しました。servers.csv の disk_gib に記入してください。"
        ),
        PlanNote::CpuIndices { known, unknown, unnamed, hosts } => {
            let mut text = String::from("CPU は、CPU 表の基準 CPU の MHz に換算しています。");
            if !known.is_empty() {
                let told = known.iter().map(|cpu| {
                    let model = if cpu.model.is_empty() { "指定値" } else { &cpu.model };
                    format!("{model} × {}（{} 台）", cpu.index, cpu.servers)
                });
                text.push_str(&format!("換算した CPU: {}。", told.collect::<Vec<_>>().join("、")));
            }
            if !unknown.is_empty() {
                text.push_str(&format!("表にないため 1 とした CPU: {}。", unknown.join("、")));
            }
            if *unnamed > 0 {
                text.push_str(&format!("{unnamed} 台のサーバーは CPU が分からず、1 としました。"));
            }
            if !hosts.is_empty() {
                text.push_str(&format!("CPU が分からず 1 としたホストの種類: {}。", hosts.join("、")));
            }
            text
        }
        PlanNote::Clash { servers, rules, hosts, proof, needed, there } => {
            let named = some(servers);
            let limits = hosts.iter().map(|host| format!("{} は {} 台", host.host_type, host.count));
            let parts: Vec<String> = rules.iter().cloned().chain(limits).collect();
            let asked = match proof.function.as_str() {
                "all" => format!("{}は {needed} 必要で、{there} しかありません", resource(language, &proof.resource)),
                _ => format!("ホストが {needed} 台必要で、{there} 台しかありません"),
            };
            format!(
                "配置できないサーバーがあります。次のものは同時に満たせません: {named}（{}）。{asked}。これは証明済みで、どれか一つでも除けば成り立ちません。",
                parts.join("、")
            )
        }
        PlanNote::NoPlaceFound { servers } => format!(
            "ホストに収まるはずの {servers} 台の配置先が見つかりませんでした。配置先がないことは証明されていません。時間や規則を変えれば見つかるかもしれません。ホストを増やせば見つかります。"
        ),
        PlanNote::ReserveCutShort { failures } => format!(
            "{failures} 台の障害に備える引き継ぎ先の探索は、中止または時間切れのため完了していません。time_limit_s を長くして計画し直してください。"
        ),
        PlanNote::NotAbsorbed { failures: 1, host } => {
            format!("{} の障害に備えるには、ホストが足りません。", host.as_deref().unwrap_or("どれか一つのホスト"))
        }
        PlanNote::NotAbsorbed { failures, host } => format!(
            "{} の障害を含む {failures} 台の同時障害に備えるには、ホストが足りません。",
            host.as_deref().unwrap_or("各ホスト")
        ),
    }
}

/// Names in a Japanese sentence: not hundreds of them.
fn some(names: &[String]) -> String {
    const MOST: usize = 8;
    let more = names.len().saturating_sub(MOST);
    let named = names[..names.len() - more].join("、");
    if more > 0 { format!("{named} ほか {more} 台") } else { named }
}

pub(crate) fn cause(language: Language, server: &UnplacedServer) -> String {
    let say = |english, japanese| language.say(english, japanese);
    match &server.cause {
        None => server.reason.clone(),
        Some(UnplacedCause::Excluded) => say("the policy excludes it", "方針により対象外").into(),
        Some(UnplacedCause::NotMeasured) => {
            say("nothing was measured of it", "測定データがありません").into()
        }
        Some(UnplacedCause::NotSupported { refusal }) => {
            let causes: Vec<String> =
                refusal.causes.iter().map(|cause| support_cause(language, cause)).collect();
            let first =
                say("the policy asks for more support than there is: ", "方針が求めるサポートがありません: ");
            format!("{first}{}", causes.join(say("; ", "、")))
        }
        Some(UnplacedCause::TooLittle { days, days_min }) => match language {
            Language::English => format!("measured for {days:.1} days; the policy asks for {days_min}"),
            Language::Japanese => format!("測定は {days:.1} 日間だけで、方針の {days_min} 日に足りません"),
        },
        Some(UnplacedCause::NoHostLeft) => {
            say("there are not enough hosts of the kinds it fits", "収容できる種類のホストが足りません")
                .into()
        }
        Some(UnplacedCause::TooLarge { lacking }) => {
            let told = lacking.iter().map(|lack| {
                let [needed, there] = [lack.needed, lack.there].map(|amount| grouped(f64::from(amount), 0));
                let (name, unit) = (resource(language, &lack.resource), unit(&lack.resource));
                match language {
                    Language::English => format!("{name}: {needed} of {there} {unit} that may be used"),
                    Language::Japanese => format!("{name}: 必要 {needed}、上限 {there} {unit}"),
                }
            });
            let told: Vec<String> = told.collect();
            let first = say("larger than any host that it may go to: ", "置けるどのホストよりも大きい: ");
            format!("{first}{}", told.join(say("; ", "、")))
        }
    }
}

pub(crate) fn support(language: Language, status: SupportStatus) -> &'static str {
    match status {
        SupportStatus::Supported => language.say("supported", "サポート"),
        SupportStatus::Conditional => language.say("conditional", "条件付き"),
        SupportStatus::Unknown => language.say("unknown", "不明"),
        SupportStatus::Unsupported => language.say("unsupported", "サポート外"),
    }
}

/// Conditions are in the words of the matrix.
pub(crate) fn support_cause(language: Language, cause: &SupportCause) -> String {
    if language == Language::English {
        return cause.to_string();
    }
    match cause {
        SupportCause::Said { vendor, product, hypervisor, said, status, condition, by_analogy } => {
            let condition = condition.as_ref().map(|told| conditions::condition(language, told));
            let condition = condition.map(|told| format!("（{told}）")).unwrap_or_default();
            let here = if *by_analogy {
                format!("、ここでは類推により{}", support(language, *status))
            } else {
                String::new()
            };
            let product = product_of(vendor, product);
            format!("{product}（{hypervisor}）: {}{condition}{here}", support(language, *said))
        }
        SupportCause::VersionNotTold { vendor, product } => {
            format!("{} のバージョンが分からず、判断できません", product_of(vendor, product))
        }
        SupportCause::NotListed { column, text } => {
            let column = match column.as_str() {
                "os" => "OS",
                "application" => "アプリケーション",
                other => other,
            };
            format!("{column}「{text}」の情報がありません")
        }
        SupportCause::NothingTold => "何が動いているか分かりません".into(),
    }
}

pub(crate) fn wave(language: Language, name: &str, kind: WaveKind) -> String {
    match (kind, name.strip_prefix("wave-")) {
        (WaveKind::Pilot, _) => language.say("Pilot", "パイロット").into(),
        (_, Some(number)) => format!("{} {number}", language.say("Wave", "第")) + language.say("", " 次移行"),
        _ => name.to_owned(),
    }
}

pub(crate) fn wave_reason(language: Language, kind: WaveKind) -> &'static str {
    match kind {
        WaveKind::Pilot => language.say(
            "Little is at stake and much is learnt: servers of as many kinds as can be, on few hosts.",
            "影響が小さく学びが大きい組み合わせです。少ないホストに、できるだけ多くの種類のサーバーを移します。",
        ),
        WaveKind::Wave => language.say(
            "They need the fewest further hosts; the quiet ones come first.",
            "追加するホストが最も少なく、負荷の小さいものから移します。",
        ),
        WaveKind::Critical => language.say(
            "They are critical, so they move when everything has proved itself.",
            "重要なサーバーなので、すべてが実証されてから移します。",
        ),
    }
}

pub(crate) fn gate_kind(language: Language, kind: GateKind) -> &'static str {
    match kind {
        GateKind::Pass => language.say("before the next wave", "次に進む条件"),
        GateKind::Stop => language.say("stop moving", "移行を止める条件"),
        GateKind::RollBack => language.say("go back", "元に戻す条件"),
    }
}

pub(crate) fn comparison(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::AtMost => "≤",
        Comparison::AtLeast => "≥",
        Comparison::Above => ">",
    }
}

pub(crate) fn metric(language: Language, name: &str) -> &str {
    match name {
        "migrations_failed_share" => language.say("share of moves that failed", "失敗した移行の割合"),
        "guests_answering_share" => language.say("share of guests that answer", "応答するゲストの割合"),
        "days_watched" => language.say("days watched", "観察した日数"),
        "host_overloaded_share" => {
            language.say("share of overloaded host-samples", "過負荷のホスト標本の割合")
        }
        "cpu_peak_over_planned" => language.say("CPU peak, measured over planned", "CPU ピークの実測／計画"),
        "memory_peak_over_planned" => {
            language.say("memory peak, measured over planned", "メモリピークの実測／計画")
        }
        "critical_alerts" => language.say("critical alerts", "重大な警報の数"),
        "backups_failed_share" => language.say("share of backups that failed", "失敗したバックアップの割合"),
        "sources_switched_off_share" => {
            language.say("share of old machines switched off", "停止した旧サーバーの割合")
        }
        "saving_realised_share" => language.say("share of the saving that came", "実現した削減額の割合"),
        other => other,
    }
}

pub(crate) fn memory(language: Language, basis: MemoryBasis) -> &'static str {
    match basis {
        MemoryBasis::Active => language.say("what servers use", "実使用量"),
        MemoryBasis::Configured => language.say("what servers have", "搭載量"),
    }
}

pub(crate) fn objective(language: Language, objective: Objective) -> &'static str {
    match objective {
        Objective::Hosts => language.say("few hosts", "ホスト数を最小に"),
        Objective::Cost => language.say("low cost", "費用を最小に"),
    }
}
