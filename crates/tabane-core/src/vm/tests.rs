use proptest::prelude::*;
use tabane_model::{Nic, VmDisk};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn spec(power: Power) -> VmSpec {
    let mut spec = VmSpec::new(1, 256 << 20);
    spec.power = power;
    spec
}

fn off() -> Observed {
    Observed {
        prepared: true,
        process: Process::Absent,
        last_exit: None,
        restarts: 0,
        starts: 0,
        resets: 0,
        shutdown_asked_at: None,
        released: None,
        reverted: None,
        snapshot: None,
        layers: Layering::Settled,
        renewal: None,
    }
}

fn alive(run: Run) -> Observed {
    let machine = Machine {
        run,
        cpus: 1,
        memory_bytes: 256 << 20,
        disks: BTreeSet::new(),
        nics: BTreeSet::new(),
        cdroms: BTreeMap::new(),
        limits: BTreeMap::new(),
    };
    Observed { process: Process::Alive(machine), ..off() }
}

fn exited(cause: Cause) -> Observed {
    Observed { last_exit: Some(Exit { at: at(0), cause }), ..off() }
}

#[test]
fn the_ordinary_way_up_and_down() {
    let raw = Observed { prepared: false, ..off() };
    assert_eq!(decide(&spec(Power::On), false, &raw, at(0)), Some(Step::Prepare));
    assert_eq!(decide(&spec(Power::On), false, &off(), at(0)), Some(Step::Start));
    assert_eq!(decide(&spec(Power::On), false, &alive(Run::Prelaunch), at(0)), Some(Step::Resume));
    assert_eq!(decide(&spec(Power::On), false, &alive(Run::Running), at(0)), None);
    assert_eq!(decide(&spec(Power::Off), false, &alive(Run::Running), at(0)), Some(Step::Shutdown));
    let asked = Observed { shutdown_asked_at: Some(at(0)), ..alive(Run::Running) };
    assert_eq!(decide(&spec(Power::Off), false, &asked, at(1)), Some(Step::Wait(at(120))));
    assert_eq!(decide(&spec(Power::Off), false, &asked, at(120)), Some(Step::Kill(Cause::Asked)));
    let mut patient = spec(Power::Off);
    patient.shutdown.force = false;
    assert_eq!(decide(&patient, false, &asked, at(9999)), None);
    assert_eq!(decide(&spec(Power::Off), false, &exited(Cause::Asked), at(0)), None);
}

#[test]
fn a_vm_that_moves_is_shut_down_and_let_go_of_and_nothing_else() {
    let moving = tabane_model::Move { to: "h2".parse().unwrap(), id: tabane_model::Uid::from_u128(7) };
    for power in [Power::On, Power::Off, Power::Paused] {
        let spec = VmSpec { moving: Some(moving.clone()), ..spec(power) };
        assert_eq!(decide(&spec, false, &alive(Run::Running), at(0)), Some(Step::Shutdown));
        for seen in [off(), Observed { prepared: false, ..off() }, exited(Cause::Crash)] {
            assert_eq!(decide(&spec, false, &seen, at(0)), Some(Step::Release(moving.id)));
            let of_another = Observed { released: Some(tabane_model::Uid::from_u128(6)), ..seen.clone() };
            assert_eq!(decide(&spec, false, &of_another, at(0)), Some(Step::Release(moving.id)));
            let released = Observed { released: Some(moving.id), ..seen };
            assert_eq!(decide(&spec, false, &released, at(9999)), None);
            assert_eq!(decide(&spec, true, &released, at(0)), Some(Step::CleanUp));
        }
    }
    let spec_of_move = VmSpec { moving: Some(moving.clone()), ..spec(Power::On) };
    let layered = Observed { layers: Layering::Tidy { at: at(0) }, ..off() };
    assert_eq!(decide(&spec_of_move, false, &layered, at(0)), Some(Step::Tidy));
    let released = Observed { released: Some(moving.id), ..layered };
    assert_eq!(
        decide(&spec_of_move, false, &released, at(0)),
        None,
        "nothing is changed that another host reads"
    );
    // The move was called off: it goes on as if nothing had been.
    let released = Observed { released: Some(moving.id), ..exited(Cause::Asked) };
    assert_eq!(decide(&spec(Power::On), false, &released, at(0)), Some(Step::Start));
}

#[test]
fn forced_off_and_deletion_do_not_ask() {
    assert_eq!(
        decide(&spec(Power::ForcedOff), false, &alive(Run::Running), at(0)),
        Some(Step::Kill(Cause::Asked))
    );
    assert_eq!(decide(&spec(Power::On), true, &alive(Run::Running), at(0)), Some(Step::Kill(Cause::Asked)));
    assert_eq!(decide(&spec(Power::On), true, &off(), at(0)), Some(Step::CleanUp));
}

#[test]
fn a_crash_is_restarted_with_back_off_or_held() {
    let mut seen = exited(Cause::Crash);
    assert_eq!(decide(&spec(Power::On), false, &seen, at(0)), Some(Step::Wait(at(1))));
    assert_eq!(decide(&spec(Power::On), false, &seen, at(1)), Some(Step::Start));
    seen.restarts = 3;
    assert_eq!(decide(&spec(Power::On), false, &seen, at(1)), Some(Step::Wait(at(8))));
    seen.restarts = u32::MAX - 1;
    assert_eq!(decide(&spec(Power::On), false, &seen, at(1)), Some(Step::Wait(at(300))));
    let mut hold = spec(Power::On);
    hold.on_crash = OnCrash::Hold;
    assert_eq!(decide(&hold, false, &seen, at(9999)), None);
    hold.starts = 1;
    assert_eq!(decide(&hold, false, &seen, at(0)), Some(Step::Start));
}

#[test]
fn a_guest_that_shut_itself_down_stays_down_until_asked() {
    let seen = exited(Cause::GuestShutdown);
    assert_eq!(decide(&spec(Power::On), false, &seen, at(9999)), None);
    let mut again = spec(Power::On);
    again.starts = 1;
    assert_eq!(decide(&again, false, &seen, at(0)), Some(Step::Start));
}

#[test]
fn a_lost_host_starts_its_vms_again_at_once() {
    assert_eq!(decide(&spec(Power::On), false, &exited(Cause::HostLost), at(0)), Some(Step::Start));
}

#[test]
fn pause_and_io_errors() {
    assert_eq!(decide(&spec(Power::Paused), false, &alive(Run::Running), at(0)), Some(Step::Pause));
    assert_eq!(decide(&spec(Power::Paused), false, &alive(Run::Paused), at(0)), None);
    assert_eq!(decide(&spec(Power::On), false, &alive(Run::Paused), at(0)), Some(Step::Resume));
    let full = alive(Run::IoError { retry_at: at(5) });
    assert_eq!(decide(&spec(Power::On), false, &full, at(0)), Some(Step::Wait(at(5))));
    assert_eq!(decide(&spec(Power::On), false, &full, at(5)), Some(Step::Resume));
    assert_eq!(decide(&spec(Power::Paused), false, &full, at(5)), None);
    assert_eq!(decide(&spec(Power::Off), false, &alive(Run::Paused), at(0)), Some(Step::Resume));
}

#[test]
fn devices_follow_the_spec() {
    let mut want = spec(Power::On);
    want.resets = 1;
    assert_eq!(decide(&want, false, &alive(Run::Running), at(0)), Some(Step::Reset));
    want.resets = 0;
    want.cpus = 2;
    assert_eq!(decide(&want, false, &alive(Run::Running), at(0)), Some(Step::PlugCpus(2)));
    want.cpus = 1;
    want.memory_bytes = 512 << 20;
    assert_eq!(decide(&want, false, &alive(Run::Running), at(0)), Some(Step::PlugMemory(512 << 20)));
    let name: Name = "data".parse().unwrap();
    want.disks.push(VmDisk {
        name: name.clone(),
        disk: Some("d".parse().unwrap()),
        image: None,
        size_bytes: None,
        pool: None,
        from: None,
        clone: Default::default(),
        keep: false,
        bus: Default::default(),
        limits: Default::default(),
    });
    assert_eq!(decide(&want, false, &alive(Run::Running), at(0)), Some(Step::PlugDisk(name.clone())));
    let mut seen = alive(Run::Running);
    let Process::Alive(machine) = &mut seen.process else { unreachable!() };
    machine.nics.insert(name.clone());
    assert_eq!(decide(&want, false, &seen, at(0)), Some(Step::UnplugNic(name.clone())));
    want.nics.push(Nic {
        name,
        network: "n".parse().unwrap(),
        mac: None,
        address: None,
        forwards: Vec::new(),
        model: Default::default(),
        limits: Default::default(),
    });
    assert!(matches!(decide(&want, false, &seen, at(0)), Some(Step::PlugDisk(_))));
}

#[test]
fn media_are_changed_in_the_drives_that_are_there() {
    let (cd0, cd1): (Name, Name) = ("cd0".parse().unwrap(), "cd1".parse().unwrap());
    let image: Name = "setup".parse().unwrap();
    let drive = |image: Option<&Name>| CdDrive { name: cd0.clone(), image: image.cloned() };
    let holding = |medium: Medium| {
        let mut seen = alive(Run::Running);
        let Process::Alive(machine) = &mut seen.process else { unreachable!() };
        machine.cdroms = [(cd0.clone(), medium)].into();
        seen
    };
    let want = |image| VmSpec { cdroms: vec![drive(image)], ..spec(Power::On) };
    let change = Some(Step::ChangeMedium(cd0.clone()));
    for (wanted, medium, step) in [
        (None, Medium::Nothing, None),
        (None, Medium::Image(image.clone()), change.clone()),
        (None, Medium::Other, change.clone()),
        (Some(&image), Medium::Nothing, change.clone()),
        (Some(&image), Medium::Image(image.clone()), None),
        (Some(&image), Medium::Image("other".parse().unwrap()), change.clone()),
        (Some(&image), Medium::Other, change.clone()),
    ] {
        assert_eq!(decide(&want(wanted), false, &holding(medium.clone()), at(0)), step, "{medium:?}");
    }
    // A drive that comes with the next start, and one that goes with it.
    let more = CdDrive { name: cd1, image: Some(image.clone()) };
    let mut spec = want(Some(&image));
    spec.cdroms.push(more);
    assert_eq!(decide(&spec, false, &holding(Medium::Image(image.clone())), at(0)), None);
    spec.cdroms.clear();
    assert_eq!(decide(&spec, false, &holding(Medium::Image(image)), at(0)), None);
}

#[test]
fn limits_hold_before_the_guest_runs_and_change_while_it_does() {
    let name: Name = "root".parse().unwrap();
    let limits = DiskLimits { iops: Some(100), ..Default::default() };
    let mut want = spec(Power::On);
    want.disks.push(VmDisk {
        name: name.clone(),
        disk: Some("d".parse().unwrap()),
        image: None,
        size_bytes: None,
        pool: None,
        from: None,
        clone: Default::default(),
        keep: false,
        bus: Default::default(),
        limits,
    });
    let seen = |run, with: Option<DiskLimits>| {
        let mut seen = alive(run);
        let Process::Alive(machine) = &mut seen.process else { unreachable!() };
        machine.disks.insert(name.clone());
        machine.limits = with.into_iter().map(|limits| (name.clone(), limits)).collect();
        seen
    };
    let limit = Some(Step::LimitDisk(name.clone()));
    for run in [Run::Prelaunch, Run::Paused] {
        assert_eq!(decide(&want, false, &seen(run, None), at(0)), limit);
        assert_eq!(decide(&want, false, &seen(run, Some(limits)), at(0)), Some(Step::Resume));
    }
    assert_eq!(decide(&want, false, &seen(Run::Running, None), at(0)), limit);
    assert_eq!(decide(&want, false, &seen(Run::Running, Some(limits)), at(0)), None);
    want.disks[0].limits = DiskLimits::default();
    assert_eq!(decide(&want, false, &seen(Run::Running, Some(limits)), at(0)), limit);
    assert_eq!(decide(&want, false, &seen(Run::Running, None), at(0)), None);
}

#[test]
fn a_revert_ends_the_guest_and_comes_before_its_start() {
    let revert = Revert { id: Uid::from_u128(1), snapshot: Uid::from_u128(2), memory: false };
    for power in [Power::On, Power::Off, Power::Paused] {
        let spec = VmSpec { revert: Some(revert.clone()), ..spec(power) };
        assert_eq!(decide(&spec, false, &alive(Run::Running), at(0)), Some(Step::Kill(Cause::Asked)));
        let due = Observed { snapshot: Some(Due::Take(Uid::from_u128(9))), ..off() };
        assert_eq!(decide(&spec, false, &due, at(0)), Some(Step::Revert(revert.clone())));
        let unsettled = Observed { layers: Layering::Unsettled, ..off() };
        assert_eq!(decide(&spec, false, &unsettled, at(0)), Some(Step::Tidy));
        let done = Observed { reverted: Some(revert.id), ..off() };
        assert_ne!(decide(&spec, false, &done, at(0)), Some(Step::Revert(revert.clone())));
    }
}

#[test]
fn snapshots_come_after_devices_and_before_what_can_wait() {
    let due = Due::Take(Uid::from_u128(9));
    let tidy = Layering::Tidy { at: at(0) };
    for run in [Run::Running, Run::Paused] {
        let power = if run == Run::Paused { Power::Paused } else { Power::On };
        let seen = Observed { snapshot: Some(due), layers: tidy, ..alive(run) };
        assert_eq!(decide(&spec(power), false, &seen, at(0)), Some(Step::Snapshot(due)));
        let more = VmSpec { cpus: 2, ..spec(power) };
        assert_eq!(decide(&more, false, &seen, at(0)), Some(Step::PlugCpus(2)));
        let seen = Observed { snapshot: None, ..seen };
        assert_eq!(decide(&spec(power), false, &seen, at(0)), Some(Step::Tidy));
        let seen = Observed { layers: Layering::Tidy { at: at(7) }, ..seen };
        assert_eq!(decide(&spec(power), false, &seen, at(0)), Some(Step::Wait(at(7))));
    }
    let seen = Observed { snapshot: Some(due), layers: tidy, ..off() };
    assert_eq!(decide(&spec(Power::On), false, &seen, at(0)), Some(Step::Snapshot(due)));
    let seen = Observed { snapshot: None, ..seen };
    assert_eq!(decide(&spec(Power::On), false, &seen, at(0)), Some(Step::Start));
    assert_eq!(decide(&spec(Power::Off), false, &seen, at(0)), Some(Step::Tidy));
}

#[test]
fn a_guest_is_told_who_it_is_while_it_runs_and_when_nothing_else_is_due() {
    let due = |seen: Observed, second| Observed { renewal: Some(at(second)), ..seen };
    let on = spec(Power::On);
    assert_eq!(decide(&on, false, &due(alive(Run::Running), 0), at(0)), Some(Step::Renew));
    assert_eq!(decide(&on, false, &due(alive(Run::Running), 9), at(0)), Some(Step::Wait(at(9))));
    assert_eq!(decide(&on, false, &due(alive(Run::Paused), 0), at(0)), Some(Step::Resume));
    assert_eq!(decide(&spec(Power::Paused), false, &due(alive(Run::Paused), 0), at(0)), None);
    assert_eq!(decide(&on, false, &due(off(), 0), at(0)), Some(Step::Start));
    let tidy = |second| Observed { layers: Layering::Tidy { at: at(second) }, ..alive(Run::Running) };
    assert_eq!(decide(&on, false, &due(tidy(0), 9), at(0)), Some(Step::Tidy), "neither waits for the other");
    assert_eq!(decide(&on, false, &due(tidy(9), 0), at(0)), Some(Step::Renew));
    assert_eq!(decide(&on, false, &due(tidy(5), 9), at(0)), Some(Step::Wait(at(5))));
}

fn any_observed() -> impl Strategy<Value = Observed> {
    let run = prop_oneof![
        Just(Run::Prelaunch),
        Just(Run::Running),
        Just(Run::Paused),
        Just(Run::Panicked),
        Just(Run::Shutdown),
        Just(Run::Busy),
        Just(Run::Passing),
        (0i64..100).prop_map(|s| Run::IoError { retry_at: at(s) }),
    ];
    let cause = prop_oneof![
        Just(Cause::Asked),
        Just(Cause::GuestShutdown),
        Just(Cause::Crash),
        Just(Cause::HostLost)
    ];
    (
        any::<bool>(),
        prop::option::of(run),
        prop::option::of(cause),
        0u32..20,
        0u32..3,
        prop::option::of(0i64..200),
        prop_oneof![
            Just(Layering::Settled),
            Just(Layering::Unsettled),
            (0i64..400).prop_map(|s| Layering::Tidy { at: at(s) })
        ],
        prop::option::of(0i64..400),
    )
        .prop_map(|(prepared, run, cause, restarts, starts, asked, layers, renewal)| {
            let base = run.map_or_else(off, alive);
            Observed {
                prepared,
                last_exit: cause.map(|cause| Exit { at: at(0), cause }),
                restarts,
                starts,
                shutdown_asked_at: asked.map(at),
                layers,
                renewal: renewal.map(at),
                ..base
            }
        })
}

proptest! {
    #[test]
    fn never_starts_what_is_alive_and_never_touches_what_is_absent(
        seen in any_observed(),
        power in prop::sample::select(vec![Power::On, Power::Off, Power::Paused, Power::ForcedOff]),
        deleting in any::<bool>(),
        now in 0i64..400,
    ) {
        let step = decide(&spec(power), deleting, &seen, at(now));
        match seen.process {
            Process::Alive(_) => prop_assert!(
                !matches!(step, Some(Step::Start | Step::Prepare | Step::CleanUp)), "{step:?}"),
            Process::Absent => prop_assert!(
                matches!(step, None | Some(Step::Start | Step::Prepare | Step::CleanUp | Step::Tidy | Step::Wait(_))),
                "{step:?}"),
        }
        // A guest that went on might write where nobody looks for it later.
        if seen.layers == Layering::Unsettled {
            prop_assert!(!matches!(step, Some(Step::Start | Step::Resume)), "{step:?}");
        }
        if matches!(power, Power::Off | Power::ForcedOff) {
            prop_assert!(step != Some(Step::Start));
        }
        // A wait is always for the future: otherwise the driver would spin.
        if let Some(Step::Wait(until)) = step {
            prop_assert!(until > at(now));
        }
    }
}
