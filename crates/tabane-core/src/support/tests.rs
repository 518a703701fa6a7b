//! Tables for judgements, and what must hold for all of them.

use proptest::prelude::*;
use tabane_model::{
    ServerPattern, Source,
    licence::{Origin, Standing},
    support::{
        Support, SupportCause, SupportJudgement, SupportMatrix, SupportRule, SupportStatus, TABANE,
        VersionPattern,
    },
};

use super::*;
use SupportStatus::{Conditional, Supported, Unknown, Unsupported};

fn entry(pattern: &str, versions: &[&str], hypervisor: &str, status: SupportStatus) -> Support {
    Support {
        vendor: "Somebody".into(),
        product: pattern.replace(['*', '='], " "),
        versions: versions.iter().map(|version| VersionPattern((*version).into())).collect(),
        hypervisor: hypervisor.into(),
        status,
        condition: (status == Conditional).then(|| "on a Sunday".into()),
        servers: vec![ServerPattern(pattern.into())],
        source: vec![Origin {
            title: "t".into(),
            publisher: "p".into(),
            date: None,
            section: None,
            read_at: None,
            standing: Standing::Knowledge,
            note: None,
        }],
    }
}

fn server(os: &str, application: &str) -> Source {
    let told = [("os", os), ("application", application)].into_iter().filter(|(_, value)| !value.is_empty());
    let labels = told.map(|(name, value)| (name.into(), value.into())).collect();
    Source { name: "s1".into(), cores: 1, cpu_cap_mhz: 1, mem_cap_mib: 1, labels }
}

fn shipped() -> Vec<Support> {
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap() + "/../../data/support";
    let mut entries = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        entries.extend(toml::from_str::<SupportMatrix>(&text).unwrap().support);
    }
    entries
}

fn judged(entries: &[Support], os: &str, application: &str, hypervisor: &str) -> SupportJudgement {
    judge(&[server(os, application)], entries, hypervisor).remove(0)
}

#[test]
fn the_worst_of_what_matches_holds() {
    let entries = [
        entry("os=linux*", &[], "vmware", Supported),
        entry("os=windows*", &["2022"], "vmware", Supported),
        entry("os=windows*", &["2003"], "vmware", Unsupported),
        entry("application=*oracle*", &[], "vmware", Conditional),
        entry("application=fax*", &[], "vmware", Unsupported),
        entry("application=*dongle*", &[], "any", Unknown),
    ];
    for (os, application, expected) in [
        ("linux 6", "", Supported),
        ("linux 6", "oracle 19c", Conditional),
        ("linux 6", "fax", Unsupported),
        ("linux 6", "CAD with dongle", Unknown),
        ("linux 6", "fax; oracle", Unsupported),
        ("windows 2022", "", Supported),
        ("windows 2003", "oracle", Unsupported),
        // Neither version is told, nor is there an entry for this one.
        ("windows", "", Unknown),
        ("windows 2025", "", Unknown),
        // Of the application nothing is known, or of one of two.
        ("linux 6", "abacus", Unknown),
        ("linux 6", "oracle; abacus", Unknown),
        ("linux 6", " ; ", Supported),
        ("", "oracle", Conditional),
        ("plan 9", "oracle", Unknown),
        ("", "", Unknown),
    ] {
        assert_eq!(judged(&entries, os, application, "vmware").status, expected, "{os} {application}");
    }
    // An entry by name does not say of which application it speaks.
    let named = [entry("s1", &[], "vmware", Supported)];
    assert_eq!(judged(&named, "", "", "vmware").status, Supported);
    assert_eq!(judged(&named, "linux", "", "vmware").status, Unknown);
    // Nothing is said of it elsewhere, save for what is so anywhere.
    assert_eq!(judged(&entries, "linux 6", "", "hyper-v").status, Unknown);
    assert_eq!(judged(&entries, "", "dongle", "hyper-v").causes.len(), 1);
}

#[test]
fn causes_say_who_said_what() {
    let entries =
        [entry("os=linux*", &[], "vmware", Supported), entry("application=fax*", &[], "vmware", Conditional)];
    let said =
        |judgement: SupportJudgement| judgement.causes.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        said(judged(&entries, "linux", "fax; abacus", "vmware")),
        [
            "nothing is known of application \"abacus\"",
            "Somebody application fax  on vmware is conditional (on a Sunday)",
            "Somebody os linux  on vmware is supported",
        ]
    );
    assert_eq!(said(judged(&entries, "", "", "vmware")), ["nothing is known of what runs on it"]);
    let versioned = [entry("os=linux*", &["6*"], "vmware", Supported)];
    assert_eq!(
        said(judged(&versioned, "linux", "", "vmware")),
        ["it depends on the version of Somebody os linux , which is not told"]
    );
}

/// Supported on the KVM of a distribution, or anywhere, is not supported on Tabane.
#[test]
fn tabane_is_on_no_list() {
    for (hypervisor, said, expected) in [
        ("rhel-kvm", Supported, Some((Conditional, true))),
        ("qemu-kvm", Supported, Some((Conditional, true))),
        ("any", Supported, Some((Conditional, true))),
        ("rhel-kvm", Conditional, Some((Conditional, true))),
        ("any", Conditional, Some((Conditional, false))),
        ("suse-kvm", Unknown, Some((Unknown, true))),
        ("suse-kvm", Unsupported, Some((Unsupported, true))),
        ("any", Unsupported, Some((Unsupported, false))),
        ("vmware", Supported, None),
        ("vmware", Unsupported, None),
        ("hyper-v", Supported, None),
        // A site that has it in writing.
        (TABANE, Supported, Some((Supported, false))),
    ] {
        let here = on(&entry("os=linux", &[], hypervisor, said), TABANE);
        let expected = expected.map(|(status, by_analogy)| OnHypervisor { status, by_analogy });
        assert_eq!(here, expected, "{hypervisor} {said}");
    }
    // Analogy is of nothing else: what is said of one distribution is not said of another.
    let rhel = entry("os=linux", &[], "rhel-kvm", Supported);
    assert_eq!(on(&rhel, "suse-kvm"), None);
    assert_eq!(on(&rhel, "qemu-kvm"), None);
    assert_eq!(on(&rhel, "rhel-kvm"), Some(OnHypervisor { status: Supported, by_analogy: false }));
    let judgement = judged(&[rhel], "linux", "", TABANE);
    assert_eq!(
        judgement.causes[0].to_string(),
        "Somebody os linux on rhel-kvm is supported, which is conditional here by analogy"
    );
}

#[test]
fn a_rule_refuses_what_it_does_not_allow_and_says_why() {
    let entries = [
        entry("os=linux*", &[], "vmware", Supported),
        entry("application=oracle*", &[], "vmware", Conditional),
        entry("application=fax*", &[], "vmware", Unsupported),
    ];
    let servers = [
        server("linux", ""),
        server("linux", "oracle"),
        server("linux", "abacus; oracle"),
        server("linux", "fax"),
    ];
    let judgements = judge(&servers, &entries, "vmware");
    let refused =
        |rule| refuse(&judgements, rule, "vmware").iter().map(ToString::to_string).collect::<Vec<_>>();
    let [oracle, abacus, fax] = [
        "Somebody application oracle  on vmware is conditional (on a Sunday)",
        "nothing is known of application \"abacus\"",
        "Somebody application fax  on vmware is unsupported",
    ];
    let moved = "s1 may not be moved to vmware: ";
    assert!(refused(SupportRule::Warn).is_empty());
    assert_eq!(
        refused(SupportRule::RequireConditional),
        [format!("{moved}{abacus}"), format!("{moved}{fax}")]
    );
    assert_eq!(
        refused(SupportRule::Require),
        [format!("{moved}{oracle}"), format!("{moved}{abacus}; {oracle}"), format!("{moved}{fax}")]
    );
}

/// No file that ships makes anything supported on Tabane, and what vendors refuse stays refused.
#[test]
fn what_ships_promises_nothing_for_tabane() {
    let entries = shipped();
    for entry in &entries {
        assert_ne!(on(entry, TABANE).map(|here| here.status), Some(Supported), "{}", entry.product);
    }
    for (os, application, expected) in [
        ("Microsoft Windows Server 2022 (64-bit)", "", Conditional),
        ("Windows Server 2019 Standard", "SQL Server 2019", Conditional),
        ("Windows Server 2019 Standard", "Exchange Server 2019", Unsupported),
        ("Oracle Linux Server 8.9", "Oracle Database 19c", Conditional),
        ("SUSE Linux Enterprise Server 15 SP5", "SAP NetWeaver 7.5", Conditional),
        ("Red Hat Enterprise Linux 9.4 (Plow)", "", Conditional),
        ("SUSE Linux Enterprise Server 15 SP5", "SAP HANA 2.0", Unsupported),
        ("SLES 15", "", Conditional),
        ("SLES", "", Unknown),
        ("Ubuntu 22.04.4 LTS", "", Conditional),
        ("Ubuntu 22.04.4 LTS", "MySQL Server 8.0", Unknown),
        ("Debian GNU/Linux 12 (bookworm)", "", Unknown),
        ("Red Hat Enterprise Linux 8.8", "IBM MQ 9.3", Conditional),
        ("Red Hat Enterprise Linux 8.8", "IBM Db2 11.5", Unknown),
        ("VMware ESXi 8.0.2", "", Unsupported),
        ("Windows Server 2016", "CAD licence server with dongle", Unknown),
        ("Windows Server 2016", "fax board", Unknown),
        ("Windows Server 2003", "", Unknown),
        ("SunOS 5.10", "", Unknown),
    ] {
        let judgement = judged(&entries, os, application, TABANE);
        assert_eq!(judgement.status, expected, "{os} {application}: {:?}", judgement.causes);
    }
    for (os, application, hypervisor, expected) in [
        ("SUSE Linux Enterprise Server 15 SP5", "", "suse-kvm", Supported),
        ("Windows Server 2022", "SQL Server 2019", "hyper-v", Supported),
        ("VMware ESXi 7.0", "", "vmware", Unsupported),
        ("Oracle Linux Server 7.9", "Oracle Database 19c", "vmware", Conditional),
    ] {
        let judgement = judged(&entries, os, application, hypervisor);
        assert_eq!(judgement.status, expected, "{os} {application}: {:?}", judgement.causes);
    }
}

fn any_entry() -> impl Strategy<Value = Support> {
    (
        prop::sample::select(vec![
            "os=linux*",
            "os=*",
            "application=a*",
            "application=*b",
            "s1",
            "s2",
            "class=x",
        ]),
        prop::sample::select(vec![&[][..], &["1"][..], &["2*", "1*"][..]]),
        prop::sample::select(vec!["qemu-kvm", "rhel-kvm", "vmware", "any", TABANE]),
        prop::sample::select(SupportStatus::ALL.to_vec()),
    )
        .prop_map(|(pattern, versions, hypervisor, status)| {
            let versions = if pattern.contains('=') { versions } else { &[] };
            entry(pattern, versions, hypervisor, status)
        })
}

fn any_server() -> impl Strategy<Value = Source> {
    let os = prop::sample::select(vec!["", "linux", "linux 1", "linux 2.4", "windows 3"]);
    let application = prop::sample::select(vec!["", "a", "a 1; b", "x1b", "c"]);
    (os, application).prop_map(|(os, application)| server(os, application))
}

proptest! {
    #[test]
    fn an_unsupported_entry_makes_nothing_better(
        server in any_server(),
        entries in prop::collection::vec(any_entry(), 0..8),
        mut more in any_entry(),
        hypervisor in prop::sample::select(vec!["qemu-kvm", "vmware", TABANE]),
    ) {
        let servers = [server];
        let before = judge(&servers, &entries, hypervisor);
        more.status = Unsupported;
        let mut entries = entries;
        entries.push(more);
        let after = judge(&servers, &entries, hypervisor);
        prop_assert!(after[0].status >= before[0].status, "{before:?} {after:?}");
    }

    #[test]
    fn the_order_of_entries_does_not_matter(
        servers in prop::collection::vec(any_server(), 1..4),
        (entries, shuffled) in prop::collection::vec(any_entry(), 0..8)
            .prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle())),
    ) {
        prop_assert_eq!(judge(&servers, &entries, TABANE), judge(&servers, &shuffled, TABANE));
    }

    #[test]
    fn nothing_is_supported_on_tabane_that_is_not_said_of_it(
        servers in prop::collection::vec(any_server(), 1..4),
        mut entries in prop::collection::vec(any_entry(), 0..8),
    ) {
        entries.retain(|entry| entry.hypervisor != TABANE);
        let judgements = judge(&servers, &entries, TABANE);
        prop_assert!(judgements.iter().all(|judgement| judgement.status != Supported));
        prop_assert_eq!(refuse(&judgements, SupportRule::Require, TABANE).len(), servers.len());
    }

    /// The status is that of the first cause, no cause is worse, and stricter rules refuse no fewer servers.
    #[test]
    fn judgements_are_of_one_piece(
        servers in prop::collection::vec(any_server(), 1..4),
        entries in prop::collection::vec(any_entry(), 0..8),
    ) {
        let judgements = judge(&servers, &entries, TABANE);
        prop_assert_eq!(judgements.len(), servers.len());
        for judgement in &judgements {
            let worst = judgement.causes.iter().map(SupportCause::status).max();
            prop_assert_eq!(Some(judgement.status), worst);
            prop_assert_eq!(Some(judgement.status), judgement.causes.first().map(SupportCause::status));
        }
        let refused = |rule| refuse(&judgements, rule, TABANE);
        prop_assert!(refused(SupportRule::Warn).is_empty());
        let (some, more) = (refused(SupportRule::RequireConditional), refused(SupportRule::Require));
        prop_assert!(some.len() <= more.len());
        for refusal in some.iter().chain(&more) {
            prop_assert!(!refusal.causes.is_empty());
        }
    }
}
