//! A report says what the plan says, in both languages, and names in it are text.

use proptest::prelude::*;
use tabane_model::Plan;

use super::{Language, csv, html};

/// A plan of two hosts, one of them spare, with everything that a report may have to tell.
fn plan(server: &str, host: &str) -> Plan {
    let plan = serde_json::json!({
        "version": 1, "made_at": "2026-01-02T03:04:05Z",
        "hosts": [
            {"id": host, "host_type": "small", "servers": [server, "web2"], "overload_probability": 0.0002,
             "peaks": [{"resource": "cpu_mhz", "share": 0.81}, {"resource": "memory_mib", "share": 0.5}],
             "curves": [{"resource": "cpu_mhz", "thousandths": [100, 810, 300]}, {"resource": "memory_mib", "thousandths": [500]}]},
            {"id": "spare-001", "host_type": "small", "servers": [], "overload_probability": null, "spare": true, "peaks": []},
        ],
        "unplaced": [{"server": "big", "reason": "it is larger", "cause": {"kind": "too_large",
            "lacking": [{"resource": "cpu_mhz", "needed": 90_000, "there": 9_000}]}}],
        "lower_bound": {"hosts": 2, "cost": 10.0, "kind": "moment",
            "certificate": {"resource": "cpu_mhz", "bin": 1, "function": "volume"}},
        "predicted_overload_share": 0.00001, "cost": 20.0, "failures_absorbed": 1,
        "failover": [{"host": host, "takeovers": [{"host": "spare-001", "servers": [server]}]}],
        "waves": [{"name": "pilot", "kind": "pilot", "servers": [server], "new_hosts": [host], "labour_hours": 4.0, "first_day": 0,
                   "windows": [{"date": "2026-12-05", "from": "22:00:00", "hours": 6.5, "servers": [server]},
                               {"date": "2026-12-12", "from": "22:00:00", "hours": 6.5, "servers": ["web3", "web4"]}]},
                  {"name": "wave-1", "kind": "critical", "servers": ["web2"], "new_hosts": [], "labour_hours": 4.0, "first_day": 14}],
        "gates": [{"kind": "pass", "metric": "migrations_failed_share", "comparison": "<=", "threshold": 0.0}],
        "support": [{"server": server, "status": "unknown", "causes": [{"kind": "nothing_told"}]},
            {"server": "web2", "status": "unsupported", "causes": [{"kind": "said", "vendor": "v", "product": "mail", "hypervisor": "qemu-kvm",
             "said": "unsupported", "status": "unsupported", "condition": "within the product's life cycle", "by_analogy": true}]}],
        "licences": {"currency": "EUR", "years": 5, "before": 10.0, "after": 70.0, "lower_bound": 60.0, "products": [
            {"product": "database", "servers": 2, "once": true, "before": 10.0, "after": 70.0, "contract": 70.0, "policy": 140.0,
             "lower_bound": 60.0, "hosts": [{"host": host, "cost": 70.0, "bought": [{"edition": "enterprise", "packs": 4}]}]}]},
        "tco": {"currency": "EUR", "years": 1, "before": 100.0, "after": 140.0, "break_even_months": null,
            "positions": [{"item": "software", "before": 50.0, "after": 90.0}, {"item": "power", "before": 50.0, "after": 50.0}],
            "cumulative": [{"year": 0, "before": 0.0, "after": 20.0}, {"year": 1, "before": 100.0, "after": 140.0}],
            "not_stated": ["training"]},
        "assumptions": {"host_types": [{"name": "small", "cpu_cores": 8, "cpu_mhz": 10_000, "cpu_index": 1.19, "memory_mib": 16_384, "price": 10.0}],
            "policy": {"keep_apart": [{"name": "directory", "servers": ["os=Debian*"], "across": "domain"}],
                "phases": {"critical": ["web2"]}}, "fill": 0.85, "resources": ["cpu_mhz", "memory_mib"],
            "notes": [{"kind": "vendor_support"}, {"kind": "no_margin", "expected_share": 0.02},
                      {"kind": "large", "servers": ["web1"], "fill": 0.85},
                      {"kind": "not_absorbed", "failures": 2, "host": host}, {"kind": "too_short", "days_min": 4},
                      {"kind": "cpu_indices", "known": [{"model": "E5-2690 v3", "index": 0.91, "servers": 2}], "unknown": ["VIA"], "unnamed": 1, "hosts": ["small"]}]},
        "data_quality": {"first_bin_unix": 1_700_000_000, "step_s": 300, "bins": 3, "servers": 3, "servers_measured": 3,
            "missing_share": 0.1, "thin": [{"server": server, "days_measured": 1.5, "missing_share": 0.3, "days_wanted": 7.9}], "findings": [format!("nothing was measured of {server}")]},
    });
    serde_json::from_value(plan).expect("it is a plan")
}

#[test]
fn both_languages_tell_everything() {
    let plan = plan("web1", "host-001");
    let (english, japanese) = (html(&plan, Language::English), html(&plan, Language::Japanese));
    for text in [&english, &japanese] {
        for told in [
            "web1",
            "web2",
            "host-001",
            "spare-001",
            "90,000",
            "81\u{a0}%",
            "2023-11-14 22:18 UTC",
            "85\u{a0}%",
            "10,000 × 1.19",
            "E5-2690 v3 × 0.91",
            "VIA",
        ] {
            assert!(text.contains(told), "{told}");
        }
    }
    assert!(english.contains("2026-12-05 22:00, 6.5 h: 1 server"));
    assert!(japanese.contains("2026-12-05 22:00 から 6.5 時間: 1 台"));
    assert!(english.contains("2 windows, 2026-12-05 to 2026-12-12"));
    assert!(japanese.contains("2 回（2026-12-05〜2026-12-12）"));
    assert!(english.contains("web3") && japanese.contains("web4"), "who is moved on which date");
    // The pilot is moved on two dates a week apart, and watched for two weeks more; the wave begins with what was stated.
    assert!(english.contains("left:0.00%;width:75.00%") && english.contains("left:50.00%;width:50.00%"));
    assert!(english.contains("2 steps in 28 days"));
    for rule in ["in different failure domains", "directory", "os=Debian*", "move last"] {
        assert!(english.contains(rule), "{rule}");
    }
    assert!(japanese.contains("別々の障害ドメインに置く") && japanese.contains("最後に移行する"));
    assert!(english.contains("the whole to cost 40 EUR a year more"));
    assert!(english.contains("nothing was measured of web1") && !japanese.contains("nothing was measured"));
    assert!(japanese.contains("web1 の測定データがありません"));
    assert!(
        english.contains("By itself one server needs more of a host than the 85 %")
            && japanese.contains("単独で")
    );
    assert!(japanese.contains("換算した CPU") && !japanese.contains("counted as 1"));
    assert!(english.contains("What rises: Software and licences"));
    assert!(english.contains("database becomes dearer by consolidation: 70 EUR instead of 10 EUR."));
    assert!(english.contains("v mail on qemu-kvm is unsupported") && japanese.contains("サポート外"));
    assert!(
        english.contains("(within the product's life cycle)")
            && japanese.contains("（製品のライフサイクル期間内であること）")
    );
    assert!(japanese.contains("4 × enterprise") && japanese.contains("10 EUR から 70 EUR へ"));
    assert!(english.contains("40 EUR more. It does not pay for itself"));
    assert!(japanese.contains("増える費目: ソフトウェア・ライセンス"));
    // What is Japanese is Japanese throughout: English is left in names alone.
    let visible: String = {
        let body = &japanese[japanese.find("<body>").unwrap()..];
        let mut inside = false;
        body.chars()
            .filter(|c| {
                if *c == '<' {
                    inside = true
                }
                let keep = !inside;
                if *c == '>' {
                    inside = false
                }
                keep
            })
            .collect()
    };
    for english in ["servers", "hosts", "costs", "before", "the ", "wave ", "found"] {
        assert!(!visible.contains(english) || english == "found", "{english} is in the Japanese page");
    }
}

#[test]
fn nothing_is_fetched_and_nothing_runs() {
    let page = html(&plan("web1", "host-001"), Language::English);
    for no in ["<script", "http://", "https://", "@import", "url(", "<link", "<img", " src="] {
        assert!(!page.contains(no), "{no}");
    }
}

#[test]
fn tables_have_every_server_and_cost() {
    let text = csv(&plan("web,1", "host-001"));
    assert!(text.contains("\"web,1\",host-001,small,pilot,\r\n"), "{text}");
    assert!(
        text.contains("web2,host-001,small,wave-1,\r\n") && text.contains("Total,100.00,140.00\r\n"),
        "{text}"
    );
    assert!(text.contains("host-001,small,false,2,0.0002,0.81,0.5\r\n"), "{text}");
}

proptest! {
    /// The tags of the page are the same whatever servers and hosts are called.
    #[test]
    fn names_are_never_markup(server in "[<>&\"'a-z=/ ]{1,24}", host in "\\PC{1,12}") {
        let count = |page: &str| (page.matches('<').count(), page.matches("<script").count());
        let plain = html(&plan("web1", "host-001"), Language::English);
        let odd = html(&plan(&server, &host), Language::English);
        prop_assert_eq!(count(&plain), count(&odd));
        prop_assert!(csv(&plan(&server, &host)).lines().count() >= 10);
    }
}
