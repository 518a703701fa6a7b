//! What was odd about the traces of a plan, in the languages of a report.
//!
//! A plan has findings as sentences, those of `tabane_model::Finding`. They are recognised by what is around the names in them;
//! a sentence that is none of them is shown as it is.

use tabane_model::Metric;

use crate::language::Language;

pub(crate) fn finding(language: Language, sentence: &str) -> String {
    if language == Language::English {
        return sentence.to_owned();
    }
    translated(sentence).unwrap_or_else(|| sentence.to_owned())
}

fn translated(sentence: &str) -> Option<String> {
    if let Some(server) = sentence.strip_prefix("nothing was measured of ") {
        return Some(format!("{server} の測定データがありません"));
    }
    let metric = Metric::ALL
        .into_iter()
        .find(|metric| sentence.strip_prefix(metric.name()).is_some_and(|rest| rest.starts_with(' ')))?;
    let said = sentence[metric.name().len()..].trim_start();
    if let Some(server) = said.strip_prefix("was not measured of ") {
        return Some(format!("{server} の{}が測定されていません", japanese(metric)));
    }
    let server = said.strip_prefix("was measured of ")?;
    let server = server.strip_suffix(", which is not among the servers: left out")?;
    Some(format!("{server} の{}は、サーバーの一覧にないため除外しました", japanese(metric)))
}

fn japanese(metric: Metric) -> &'static str {
    match metric {
        Metric::CpuMhz => "CPU",
        Metric::MemMib => "メモリ",
        Metric::DiskReadKbs => "ディスク読み込み量",
        Metric::DiskWriteKbs => "ディスク書き込み量",
        Metric::DiskReadIops => "ディスク読み込み回数",
        Metric::DiskWriteIops => "ディスク書き込み回数",
        Metric::NetRxKbs => "ネットワーク受信量",
        Metric::NetTxKbs => "ネットワーク送信量",
    }
}

#[cfg(test)]
mod tests {
    use tabane_model::Finding;

    use super::*;

    #[test]
    fn each_finding_of_each_metric_is_translated() {
        // Names that look like the rest of a sentence change nothing.
        for server in ["web1", "was not measured of", "a, which is not among the servers: left out"] {
            let server = server.to_owned();
            let mut all = vec![Finding::ServerWithoutTrace { server: server.clone() }];
            for metric in Metric::ALL {
                all.push(Finding::MetricMissing { server: server.clone(), metric });
                all.push(Finding::TraceWithoutServer { server: server.clone(), metric });
            }
            for told in &all {
                let sentence = told.to_string();
                assert_eq!(finding(Language::English, &sentence), sentence);
                let japanese = finding(Language::Japanese, &sentence);
                assert!(japanese.starts_with(&format!("{server} の")), "{sentence}: {japanese}");
                assert!(!japanese[server.len()..].contains("measured"), "{japanese}");
            }
            let told: std::collections::BTreeSet<String> =
                all.iter().map(|told| finding(Language::Japanese, &told.to_string())).collect();
            assert_eq!(told.len(), all.len(), "each says something else");
        }
    }

    #[test]
    fn what_is_not_known_is_shown_as_it_is() {
        for sentence in ["", "cpu_mhz", "cpu_mhz was odd", "cpu_mhz was measured of web1", "その他"] {
            assert_eq!(finding(Language::Japanese, sentence), sentence);
        }
    }
}
