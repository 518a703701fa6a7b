//! Costs before and after, by hand.

use tabane_model::{AfterCosts, BeforeCosts, Costs, MigrationCosts, Rates, TcoItem};

use super::{
    licences::{need, products},
    rules::patterns,
    *,
};

pub(super) fn costs() -> Costs {
    Costs {
        currency: "EUR".into(),
        years: 4,
        rates: Rates {
            energy_kwh: 0.25,
            pue: 1.5,
            labour_hour: 50.0,
            rack_unit_year: 100.0,
            network_port_year: 10.0,
        },
        before: BeforeCosts {
            watts: 200.0,
            replacement: 4_000.0,
            replacement_years: 5.0,
            admin_hours_year: 10.0,
            rack_units: 2.0,
            ..BeforeCosts::default()
        },
        after: AfterCosts {
            host_software_year: 900.0,
            server_admin_hours_year: 4.0,
            host_rack_units: 1.0,
            ..AfterCosts::default()
        },
        migration: MigrationCosts {
            double_running_months: 3.0,
            training: 2_000.0,
            ..MigrationCosts::default()
        },
    }
}

fn costed(traces: &Traces, policy: &PlanPolicy) -> Plan {
    let stop = |turns: u64, _: f64| turns > 500;
    make(traces, request(&hosts(), policy, Some(&costs())), Timestamp::UNIX_EPOCH, 1, &stop).unwrap()
}

#[test]
fn positions_are_those_of_a_sheet_of_paper() {
    let mut traces = traces(8);
    traces.servers[0].labels = vec![("watts".into(), "400".into())];
    let plan = costed(&traces, &PlanPolicy { exclude: patterns(&["s11"]), ..policy() });
    assert_eq!(verify(&plan, &traces).len(), 0);
    let tco = plan.tco.clone().unwrap();
    let of = |item: TcoItem| {
        let position = tco.positions.iter().find(|position| position.item == item).unwrap();
        (position.before.round(), position.after.round())
    };
    // Eleven move onto one small host, and one stands by; one stays.
    assert_eq!(plan.hosts.len(), 2);
    assert_eq!(of(TcoItem::Hardware), (12.0 * 3_200.0, 3_200.0 + plan.cost));
    // 2.6 kW and, of the one that stays, 0.2 kW; hosts state no watts.
    assert_eq!(
        of(TcoItem::Power),
        ((2.6 * 8_766.0f64 * 0.25 * 4.0).round(), (0.2 * 8_766.0f64 * 0.25 * 4.0).round())
    );
    assert_eq!(of(TcoItem::Cooling).0, (2.6 * 8_766.0f64 * 0.25 * 4.0 / 2.0).round());
    assert_eq!(of(TcoItem::Space), (12.0 * 200.0 * 4.0, 200.0 * 4.0 + 2.0 * 100.0 * 4.0));
    assert_eq!(of(TcoItem::Administration), (12.0 * 500.0 * 4.0, 500.0 * 4.0 + 11.0 * 200.0 * 4.0));
    // Software rises: nothing before, two hosts' after.
    assert_eq!(of(TcoItem::Software), (0.0, 2.0 * 900.0 * 4.0));
    assert_eq!(of(TcoItem::Migration), (0.0, 11.0 * 4.0 * 50.0));
    assert_eq!(of(TcoItem::Training), (0.0, 2_000.0));
    // A quarter of a year of power, cooling and space of the eleven.
    let running = (2.4 * 8_766.0 * 0.25 * 1.5 + 11.0 * 200.0) / 4.0;
    assert_eq!(of(TcoItem::DoubleRunning), (0.0, f64::round(running)));
    assert_eq!(
        tco.not_stated,
        [TcoItem::Maintenance, TcoItem::Network, TcoItem::Storage, TcoItem::Support, TcoItem::Disposal]
    );
    let sum = |of: &dyn Fn(&tabane_model::TcoPosition) -> f64| tco.positions.iter().map(of).sum::<f64>();
    assert!((tco.before - sum(&|p| p.before)).abs() < 1e-6 && (tco.after - sum(&|p| p.after)).abs() < 1e-6);
    assert_eq!((tco.cumulative.len(), tco.cumulative[4].after), (5, tco.after));
    let months = tco.break_even_months.unwrap();
    assert!(months > 0.0 && months < 12.0, "{months}");
}

#[test]
fn costs_that_are_made_to_look_better_are_found() {
    let traces = traces(8);
    let plan = costed(&traces, &policy());
    let rejected = |change: &dyn Fn(&mut Plan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        verify(&changed, &traces).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let not_those = "not those of its assumptions";
    assert!(rejected(&|plan| plan.tco.as_mut().unwrap().after -= 100.0).contains(not_those));
    assert!(rejected(&|plan| plan.tco.as_mut().unwrap().positions[7].after = 0.0).contains(not_those));
    assert!(rejected(&|plan| plan.tco.as_mut().unwrap().break_even_months = Some(0.1)).contains(not_those));
    assert!(rejected(&|plan| plan.tco.as_mut().unwrap().currency = "JPY".into()).contains(not_those));
    assert!(rejected(&|plan| plan.tco.as_mut().unwrap().years = 1).contains(not_those));
    assert!(
        rejected(&|plan| plan.tco.as_mut().unwrap().not_stated.push(TcoItem::Migration)).contains(not_those)
    );
    assert!(rejected(&|plan| plan.tco = None).contains(not_those));
    assert!(rejected(&|plan| plan.assumptions.costs.as_mut().unwrap().rates.pue = 0.5).contains("rates.pue"));
}

#[test]
fn a_plan_that_never_pays_says_so() {
    let traces = traces(8);
    let dear = Costs { after: AfterCosts { host_software_year: 1e6, ..AfterCosts::default() }, ..costs() };
    let plan =
        make(&traces, request(&hosts(), &policy(), Some(&dear)), Timestamp::UNIX_EPOCH, 1, &|_, _| true)
            .unwrap();
    let tco = plan.tco.unwrap();
    assert!(tco.after > tco.before && tco.break_even_months.is_none());
}

#[test]
fn a_saving_is_asked_for_between_waves_where_one_is_promised() {
    let traces = traces(8);
    let is_saving = |gate: &tabane_model::Gate| gate.metric == "saving_realised_share";
    let asks = |plan: &Plan| plan.gates.iter().any(is_saving);
    let dear = Costs { after: AfterCosts { host_software_year: 1e6, ..AfterCosts::default() }, ..costs() };
    let with = |costs: Option<&Costs>| {
        make(&traces, request(&hosts(), &policy(), costs), Timestamp::UNIX_EPOCH, 1, &|_, _| true).unwrap()
    };
    assert!(!asks(&with(None)) && !asks(&with(Some(&dear))));
    let mut plan = with(Some(&costs()));
    assert!(asks(&plan));
    plan.gates.retain(|gate| !is_saving(gate));
    let faults: Vec<String> = verify(&plan, &traces).iter().map(ToString::to_string).collect();
    assert_eq!(faults, ["its gates are not those of its policy"]);
}

#[test]
fn two_plans_are_compared_by_what_they_cost_and_when_they_move_whom() {
    let traces = traces(8);
    let one = costed(&traces, &policy());
    let phases = tabane_model::Phases { pilot_servers: 2, wave_servers: 4, ..Default::default() };
    let slower = PlanPolicy { exclude: patterns(&["s11"]), phases, ..policy() };
    let other = costed(&traces, &slower);
    let both = compare(("one", &one), ("other", &other));
    let tco = other.tco.as_ref().unwrap();
    let costs = both.b.costs.as_ref().unwrap();
    assert_eq!(
        (costs.currency.as_str(), costs.years, costs.before, costs.after),
        ("EUR", 4, tco.before, tco.after)
    );
    assert_eq!(costs.positions, tco.positions);
    assert_ne!(both.a.costs.as_ref().unwrap().after, costs.after);
    assert_eq!((both.a.waves, both.a.last_day), (one.waves.len() as u32, Some(14)));
    assert_eq!((both.b.waves, both.b.last_day, both.b.last_date), (4, Some(42), None));
    let wave = |plan: &Plan, server: &str| {
        let wave = plan.waves.iter().find(|wave| wave.servers.iter().any(|known| known == server));
        wave.map(|wave| wave.name.clone())
    };
    for server in &traces.servers {
        let [a, b] = [&one, &other].map(|plan| wave(plan, &server.name));
        let told = both.rescheduled.iter().find(|told| told.server == server.name);
        assert_eq!(
            told.map(|told| (told.a.clone(), told.b.clone())),
            (a != b).then_some((a, b)),
            "{}",
            server.name
        );
    }
    assert!(both.rescheduled.iter().any(|told| told.server == "s11" && told.b.is_none()));
    assert_eq!(compare(("one", &one), ("same", &one)).rescheduled, []);
}

#[test]
fn what_cannot_be_added_up_is_refused_before_the_search() {
    let policy = PlanPolicy { licence: vec![need("database", &["s4"])], ..policy() };
    let (hosts, products, costs) = (hosts(), products(), Costs { currency: "JPY".into(), ..costs() });
    let request =
        Request { hosts: &hosts, policy: &policy, costs: Some(&costs), products: &products, support: &[] };
    let never = |_: u64, _: f64| panic!("nothing is looked for");
    let error = make(&traces(8), request, Timestamp::UNIX_EPOCH, 1, &never).unwrap_err().to_string();
    assert!(error.contains("in JPY and in EUR"), "{error}");
}
