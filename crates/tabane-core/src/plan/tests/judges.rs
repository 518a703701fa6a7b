//! What plans are judged by: some of many servers, with their rules, and parts of the time line.

use tabane_model::{Across, HostType, Pin};

use super::{
    rules::{apart, patterns, together},
    *,
};
use crate::plan::setting::Setting;

fn ruled() -> PlanPolicy {
    PlanPolicy {
        keep_apart: apart(&["s0", "s1", "s2"], Across::Host),
        keep_together: together(&["s3", "s4", "s5"]),
        pin: vec![Pin { servers: patterns(&["s1"]), host_types: vec!["large".into()] }],
        exclude: patterns(&["s8"]),
        ..policy()
    }
}

fn setting<'a>(traces: &'a Traces, hosts: &'a [HostType], policy: &'a PlanPolicy) -> Setting<'a> {
    Setting::new(traces, hosts, policy, &[], &[]).unwrap()
}

#[test]
fn who_is_drawn_keeps_its_rules_and_stays_with_its_own() {
    let (traces, hosts) = (traces(4), hosts().host_type);
    let mut all_drawn = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let policy = PlanPolicy { seed, ..ruled() };
        let whole = setting(&traces, &hosts, &policy);
        let drawn = whole.drawn(4);
        let names = drawn.names();
        assert!((4..=6).contains(&names.len()), "{names:?}");
        assert_eq!(names, whole.drawn(4).names(), "the same seed draws the same");
        let named = |members: &[usize]| members.iter().map(|at| names[*at]).collect::<Vec<_>>();
        let kept = |of: &[&'static str]| of.iter().copied().filter(|s| names.contains(s)).collect::<Vec<_>>();
        assert_eq!(named(&drawn.rules.apart[0].1), kept(&["s0", "s1", "s2"]));
        let together = named(&drawn.rules.together[0].1);
        assert!(together.is_empty() || together == ["s3", "s4", "s5"], "{together:?}");
        assert_eq!(drawn.units().iter().filter(|unit| unit.len() == 3).count(), together.len() / 3);
        let pinned: Vec<&str> = drawn.rules.allowed.keys().map(|at| names[*at]).collect();
        assert_eq!(pinned, kept(&["s1"]));
        all_drawn.extend(names.iter().map(|name| (*name).to_owned()));
    }
    assert_eq!(all_drawn.len(), 11, "anybody may be drawn, save for who is left out: {all_drawn:?}");
}

#[test]
fn all_are_judged_where_they_are_few_or_hosts_are_counted() {
    let (traces, mut hosts) = (traces(4), hosts().host_type);
    let policy = ruled();
    assert_eq!(setting(&traces, &hosts, &policy).drawn(11).servers.len(), 11);
    hosts[0].count = Some(1);
    assert_eq!(setting(&traces, &hosts, &policy).drawn(4).servers.len(), 11);
}

#[test]
fn parts_of_the_time_line_are_one_after_the_other() {
    let (traces, hosts, policy) = (traces(4), hosts().host_type, policy());
    let setting = setting(&traces, &hosts, &policy);
    let (all, some) = (setting.demand_in_full(), setting.demand(&[0..5, 50..52]));
    for server in 0..12 {
        for dimension in 0..2 {
            let of = all.of(server, dimension);
            assert_eq!(some.of(server, dimension), [&of[..5], &of[50..52]].concat());
        }
    }
}
