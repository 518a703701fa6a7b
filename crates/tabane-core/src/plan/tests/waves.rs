//! Plans are introduced step by step, and each step is proved.

use tabane_model::{Across, Dependency, Phases, Reserve, WaveKind, WaveWindow};

use super::{
    rules::{apart, patterns},
    *,
};

fn in_waves() -> PlanPolicy {
    PlanPolicy {
        keep_apart: apart(&["s0", "s1", "s2"], Across::Host),
        reserve: Reserve::Shared,
        fill_max: 0.7,
        phases: Phases {
            pilot_servers: 2,
            wave_servers: 4,
            critical: patterns(&["s7"]),
            dependency: vec![Dependency { name: "d".into(), servers: patterns(&["s3", "s8"]) }],
            ..Phases::default()
        },
        ..policy()
    }
}

fn faults(plan: &Plan, traces: &Traces) -> String {
    verify(plan, traces).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[test]
fn each_wave_keeps_what_the_whole_plan_keeps() {
    let traces = traces(8);
    let plan = made(&traces, &in_waves());
    assert_eq!(faults(&plan, &traces), "");
    let wave_of = |server: &str| plan.waves.iter().position(|wave| wave.servers.iter().any(|s| s == server));
    assert_eq!(plan.waves.iter().map(|wave| wave.servers.len()).sum::<usize>(), 12);
    assert!(plan.waves[0].servers.len() <= 2 && plan.waves.iter().all(|wave| wave.servers.len() <= 4));
    assert_eq!(wave_of("s3"), wave_of("s8"));
    assert_eq!(wave_of("s7"), Some(plan.waves.len() - 1));
    assert_eq!(plan.waves[0].kind, WaveKind::Pilot);
    assert_eq!(plan.waves.last().unwrap().kind, WaveKind::Critical);
    // One host alone has nobody to take over.
    assert!(plan.waves[0].new_hosts.len() >= 2, "{:?}", plan.waves[0]);
    assert!(plan.waves[..plan.waves.len() - 1].iter().all(|wave| !wave.failover.is_empty()));

    let rejected = |change: &dyn Fn(&mut Plan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        faults(&changed, &traces)
    };
    assert!(rejected(&|plan| drop(plan.waves[1].servers.pop())).contains("is in no wave"));
    assert!(
        rejected(&|plan| {
            let again = plan.waves[0].servers[0].clone();
            plan.waves[1].servers.push(again);
        })
        .contains("moves twice")
    );
    assert!(rejected(&|plan| plan.waves[0].new_hosts.clear()).contains("not there yet"));
    assert!(rejected(&|plan| plan.waves[0].failover.clear()).contains("after pilot: if"));
    assert!(
        rejected(&|plan| {
            let last = plan.waves.len() - 1;
            plan.waves.swap(0, last);
        })
        .contains("critical servers move before others")
    );
    assert!(
        rejected(&|plan| {
            let at = plan.waves.iter().position(|wave| wave.servers.iter().any(|s| s == "s8")).unwrap();
            plan.waves[at].servers.retain(|s| s != "s8");
            plan.waves.last_mut().unwrap().servers.push("s8".into());
        })
        .contains("move at different times")
    );
    assert!(
        rejected(&|plan| {
            let all: Vec<String> = plan.waves.drain(1..).flat_map(|wave| wave.servers).collect();
            plan.waves[0].servers.extend(all);
        })
        .contains("more than there are hands for")
    );
    assert!(rejected(&|plan| plan.waves[1].name = "pilot".into()).contains("two waves are called pilot"));
    assert!(rejected(&|plan| plan.waves.clear()).contains("how it is introduced"));
    assert!(rejected(&|plan| plan.gates.clear()).contains("gates are not those"));
    assert!(rejected(&|plan| plan.gates[3].threshold = 1.0).contains("gates are not those"));
    assert!(
        rejected(&|plan| {
            let again = plan.failover[0].clone();
            plan.failover.push(again);
        })
        .contains("more than once")
    );
    assert!(rejected(&|plan| plan.hosts[0].peaks[0].share /= 2.0).contains("other peaks than it says"));
}

#[test]
fn critical_servers_are_no_pilot_while_others_are_left() {
    let traces = traces(8);
    let phases = Phases {
        pilot_servers: 3,
        wave_servers: 11,
        critical: patterns(&["s0"]),
        dependency: vec![Dependency {
            name: "d".into(),
            servers: patterns(&["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11"]),
        }],
        ..Phases::default()
    };
    let plan = made(&traces, &PlanPolicy { phases, ..policy() });
    assert_eq!(faults(&plan, &traces), "");
    assert_eq!((plan.waves[0].servers.len(), plan.waves[1].servers.as_slice()), (11, &["s0".to_owned()][..]));
}

#[test]
fn who_stands_by_does_so_from_the_pilot_on() {
    let traces = traces(8);
    let policy = PlanPolicy { reserve: Reserve::Spare, ..in_waves() };
    let plan = made(&traces, &policy);
    assert_eq!(faults(&plan, &traces), "");
    assert!(plan.waves[0].new_hosts.iter().any(|host| host == "spare-001"));
    let mut changed = plan.clone();
    changed.waves[0].new_hosts.retain(|host| host != "spare-001");
    assert!(faults(&changed, &traces).contains("does not stand by yet"));
}

#[test]
fn a_group_that_no_wave_has_hands_for_is_told() {
    let phases = Phases { wave_servers: 3, ..in_waves().phases };
    let dependency = vec![Dependency { name: "d".into(), servers: patterns(&["s*"]) }];
    let policy = PlanPolicy { phases: Phases { dependency, ..phases }, ..policy() };
    let error = make(&traces(8), request(&hosts(), &policy, None), Timestamp::UNIX_EPOCH, 1, &|_, _| true)
        .unwrap_err()
        .to_string();
    assert!(error.contains("12 servers move together") && error.contains("hands for 3"), "{error}");
}

#[test]
fn the_pilot_teaches_more_than_one_thing() {
    let mut traces = traces(8);
    for (at, server) in traces.servers.iter_mut().enumerate() {
        let os = if at < 6 { "linux" } else { "windows" };
        server.labels = vec![("os".into(), os.into())];
    }
    let phases = Phases { pilot_servers: 2, ..Phases::default() };
    let plan = made(&traces, &PlanPolicy { phases, ..policy() });
    let pilot: Vec<usize> = plan.waves[0].servers.iter().map(|name| name[1..].parse().unwrap()).collect();
    assert!(pilot.iter().any(|at| *at < 6) && pilot.iter().any(|at| *at >= 6), "{pilot:?}");
}

fn in_windows(more: &str) -> PlanPolicy {
    let text = format!(
        r#"
            pilot_servers = 3
            wave_servers = 5
            watch_days = 7
            windows = [
                {{ days = ["sat"], from = "22:00", hours = 9, people = 2 }},
                {{ days = ["sun"], from = "08:00", hours = 4 }},
            ]
            first_date = "2026-12-01"
            {more}
        "#
    );
    PlanPolicy { phases: toml::from_str(&text).unwrap(), ..policy() }
}

fn dates(wave: &tabane_model::Wave) -> Vec<(String, usize)> {
    let of = |window: &WaveWindow| (format!("{} {}", window.date, window.from), window.servers.len());
    wave.windows.iter().map(of).collect()
}

#[test]
fn waves_are_moved_in_the_windows_that_are_open() {
    let traces = traces(8);
    let policy = in_windows("blackouts = [\"2026-12-24/2027-01-03\"]");
    assert!(policy.faults().is_empty(), "{:?}", policy.faults());
    let plan = made(&traces, &policy);
    assert_eq!(faults(&plan, &traces), "");
    // Two people move two servers each in nine hours, and one moves one in four.
    let at = |text: &str, servers: usize| (text.to_owned(), servers);
    assert_eq!(dates(&plan.waves[0]), [at("2026-12-05 22:00:00", 3)]);
    assert_eq!(dates(&plan.waves[1]), [at("2026-12-12 22:00:00", 4), at("2026-12-13 08:00:00", 1)]);
    // A week after the 13th is the 20th, of which the morning is for one; then everything is closed until the 9th.
    assert_eq!(dates(&plan.waves[2]), [at("2026-12-20 08:00:00", 1), at("2027-01-09 22:00:00", 3)]);
    assert_eq!(plan.waves.iter().map(|wave| wave.first_day).collect::<Vec<_>>(), [0, 7, 15]);

    let rejected = |change: &dyn Fn(&mut Plan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        faults(&changed, &traces)
    };
    let window = |plan: &mut Plan, change: fn(&mut WaveWindow)| change(&mut plan.waves[2].windows[1]);
    let date = |text: &str| text.parse::<jiff::civil::Date>().unwrap();
    assert!(
        rejected(&|plan| plan.waves[2].windows[1].date = date("2027-01-02"))
            .contains("nothing is moved on 2027-01-02")
    );
    assert!(
        rejected(&|plan| plan.waves[2].windows[1].date = date("2027-01-11"))
            .contains("opens no window on 2027-01-11")
    );
    assert!(
        rejected(&|plan| plan.waves[2].windows[0].date = date("2026-12-13"))
            .contains("2026-12-13 is too early")
    );
    assert!(
        rejected(&|plan| plan.waves[0].windows[0].date = date("2026-11-28"))
            .contains("2026-11-28 is too early")
    );
    assert!(
        rejected(&|plan| window(plan, |window| window.servers.resize(5, "s0".into())))
            .contains("hands for 4")
    );
    assert!(
        rejected(&|plan| window(plan, |window| window.servers.truncate(2))).contains("is moved in no window")
    );
    assert!(
        rejected(&|plan| window(plan, |window| window.servers[1] = window.servers[0].clone()))
            .contains("is moved on 2027-01-09, and waits for no move")
    );
    let foreign = plan.waves[0].servers[0].clone();
    assert!(
        rejected(&|plan| plan.waves[2].windows[1].servers[0] = foreign.clone()).contains("waits for no move")
    );
    assert!(rejected(&|plan| window(plan, |window| window.hours = 10.0)).contains("opens no window"));
    assert!(rejected(&|plan| window(plan, |window| window.hours = f64::MAX)).contains("in no calendar"));
    assert!(rejected(&|plan| plan.waves[1].windows.clear()).contains("is moved in no window"));
    assert!(rejected(&|plan| plan.waves[2].first_day = 14).contains("begin on day 14; that is 15"));
}

#[test]
fn who_moves_together_moves_in_the_same_window() {
    let traces = traces(8);
    let with = |members: &[&str], more: &str| {
        let policy = in_windows(more);
        let dependency = vec![Dependency { name: "d".into(), servers: patterns(members) }];
        PlanPolicy { phases: Phases { dependency, ..policy.phases }, ..policy }
    };
    let policy = with(&["s1", "s5", "s9"], "");
    let plan = made(&traces, &policy);
    assert_eq!(faults(&plan, &traces), "");
    let windows = || plan.waves.iter().flat_map(|wave| &wave.windows);
    let has = |window: &&WaveWindow, server: &str| window.servers.iter().any(|s| s == server);
    let window = windows().find(|window| has(window, "s1")).unwrap();
    assert!(has(&window, "s5") && has(&window, "s9"), "{window:?}");
    assert_eq!(windows().map(|window| window.servers.len()).sum::<usize>(), 12);
    let mut split = plan.clone();
    let wave = split.waves.iter_mut().find(|wave| wave.windows.iter().any(|w| has(&w, "s1"))).unwrap();
    let from = wave.windows.iter_mut().find(|window| has(&&**window, "s1")).unwrap();
    from.servers.retain(|server| server != "s1");
    let more = WaveWindow { servers: vec!["s1".into()], ..from.clone() };
    wave.windows.push(more);
    let told = faults(&split, &traces);
    assert!(told.contains("s1 and who depends on it move in different windows"), "{told}");

    let large = with(&["s1", "s3", "s5", "s7", "s9"], "");
    let error = make(&traces, request(&hosts(), &large, None), Timestamp::UNIX_EPOCH, 1, &|_, _| true);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("5 servers move together") && error.contains("a window has hands for 4"),
        "{error}"
    );
}

#[test]
fn waves_that_are_over_keep_their_windows_and_the_others_come_after_them() {
    let traces = traces(8);
    let plan = made(&traces, &in_windows(""));
    let later = PlanPolicy { phases: Phases { watch_days: 21, ..in_windows("").phases }, ..policy() };
    let next =
        replan(&plan, 2, &traces, request(&hosts(), &later, None), Timestamp::UNIX_EPOCH, &|| false).unwrap();
    assert_eq!(faults(&next, &traces), "");
    assert_eq!(dates(&next.waves[1]), dates(&plan.waves[1]));
    assert_eq!(dates(&next.waves[2])[0].0, "2027-01-03 08:00:00");
}

#[test]
fn without_windows_none_are_told_and_where_all_are_closed_that_is() {
    let traces = traces(8);
    let plan = made(&traces, &policy());
    assert!(plan.waves.iter().all(|wave| wave.windows.is_empty()));
    let mut dated = plan.clone();
    dated.waves[0].windows = made(&traces, &in_windows("")).waves[0].windows.clone();
    assert!(faults(&dated, &traces).contains("the policy opens no window"), "{}", faults(&dated, &traces));
    let policy = in_windows("blackouts = [\"2026-11-01/2040-01-01\"]");
    let error = make(&traces, request(&hosts(), &policy, None), Timestamp::UNIX_EPOCH, 1, &|_, _| {
        panic!("nothing is looked for")
    });
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no window for pilot within ten years from 2026-12-01 on"), "{error}");
}

#[test]
fn what_is_cut_short_is_a_plan_all_the_same() {
    let traces = traces(8);
    let policy = in_waves();
    let whole = made(&traces, &policy);
    let (mut unabsorbed, mut earlier) = (0, 0);
    for most in 0..120 {
        let asked = std::cell::Cell::new(0);
        let give_up = || {
            asked.set(asked.get() + 1);
            asked.get() > most
        };
        let stop = |turns: u64, _: f64| turns > 500;
        let hosts = hosts();
        let request = request(&hosts, &policy, None);
        let plan = make_until(&traces, request, Timestamp::UNIX_EPOCH, 1, &stop, &give_up).unwrap();
        assert_eq!(faults(&plan, &traces), "", "after {most}");
        let is_told = plan.assumptions.notes.contains(&PlanNote::ReserveCutShort { failures: 1 });
        assert_eq!(is_told, plan.failures_absorbed == 0);
        unabsorbed += usize::from(is_told);
        earlier += usize::from(!is_told && plan.waves[0].new_hosts.len() > whole.waves[0].new_hosts.len());
        if asked.get() <= most {
            assert_eq!(plan, whole);
        }
    }
    assert!(unabsorbed > 0 && earlier > 0 && unabsorbed + earlier < 120, "{unabsorbed} and {earlier}");
    let mut silent = whole.clone();
    silent.assumptions.notes.push(PlanNote::ReserveCutShort { failures: 1 });
    assert!(faults(&silent, &traces).contains("it says what is not so"));
}
