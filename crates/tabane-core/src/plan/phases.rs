//! How a plan is introduced: a pilot on one host where that can be, then waves.
//!
//! ```text
//!  packing ─► groups that move together ─► pilot: the host that teaches most and risks least
//!                                            └─► waves: who needs the fewest further hosts comes first, the critical last
//!  after each wave: every host that is in use may fail, as in the end
//! ```
//!
//! Servers go to the host that they have in the end, so what is on a host on the way is never more than was planned for.

mod gates;
mod windows;

use std::collections::BTreeSet;

use tabane_model::{Failover, NO_SAMPLE, PlannedHost, Reserve, Wave, WaveKind};

use super::{
    PlanError,
    reserve::{self, Moves},
    setting::Setting,
    units::Units,
};
use crate::pack::{Packed, Packing, Problem};
pub(super) use gates::{SAVING, gates};
pub(super) use windows::{dated, first_date, opens};

/// Servers that move together.
struct Group {
    servers: Vec<usize>,
    /// Of the packing.
    hosts: BTreeSet<usize>,
    is_critical: bool,
    /// The largest share of a host that one of them needs, and the share of samples that are missing.
    risk: f64,
    /// What they are, to learn from.
    kinds: BTreeSet<String>,
}

/// Which servers move together; a group that no wave, or no window, has hands for is a clash.
pub(super) fn groups(setting: &Setting<'_>) -> Result<Units, PlanError> {
    let (rules, phases) = (&setting.rules, &setting.policy.phases);
    let units = Units::new(setting.servers.len(), rules.together.iter().chain(&rules.dependencies));
    let wave = phases.servers_max(false);
    let window = phases.windows.iter().map(|window| phases.moves(window) as usize).max().unwrap_or(wave);
    let most = wave.min(window);
    let names = setting.names();
    if let Some(members) = units.iter().find(|members| members.len() > most) {
        let mut named: Vec<&str> = members.iter().take(3).map(|server| names[*server]).collect();
        if members.len() > named.len() {
            named.push("…");
        }
        let named = named.join(", ");
        return Err(PlanError::Clash(vec![
            format!("{} servers move together by dependency or keep_together: {named}", members.len()),
            match window < wave {
                false => format!(
                    "a wave has hands for {most}: raise wave_servers or labour_hours_per_wave, or split the group"
                ),
                true => format!(
                    "a window has hands for {most}: make one longer, let more people move servers in it, or split the group"
                ),
            },
        ]));
    }
    Ok(units)
}

/// Between servers as they are and the plan.
pub(super) struct Way<'a> {
    /// All of the plan: those of the packing, then those that stand by.
    pub hosts: &'a [PlannedHost],
    /// In the end, where the reserve is shared.
    pub moves: &'a [Moves],
    pub units: &'a Units,
    /// It stays as it was, on the hosts where it is now.
    pub done: &'a [Wave],
    /// Whether fewer hosts for a while are still looked for.
    pub stop: &'a dyn Fn() -> bool,
}

/// Waves for a packing.
pub(super) fn waves(
    setting: &Setting<'_>,
    problem: &Problem,
    packing: &Packing,
    way: &Way<'_>,
) -> Result<Vec<Wave>, PlanError> {
    let Way { hosts, moves, units, done, .. } = *way;
    let names = setting.names();
    let mut left = described(setting, problem, packing, units);
    let mut done = done.iter();
    let over: BTreeSet<&str> = done.clone().flat_map(|wave| &wave.servers).map(String::as_str).collect();
    part(&mut left, packing, |server| over.contains(names[server]));
    let mut installed: BTreeSet<usize> = BTreeSet::new();
    let mut moved = vec![false; setting.servers.len()];
    let is_shared = setting.policy.reserve == Reserve::Shared && !moves.is_empty();
    let crowded = is_shared.then(|| reserve::crowded(setting, problem)).transpose()?;
    let mut waves: Vec<Wave> = Vec::new();
    let phases = &setting.policy.phases;
    while !left.is_empty() || done.len() > 0 {
        let is_pilot = waves.is_empty();
        let most = phases.servers_max(is_pilot);
        let earlier = done.next();
        let taken = match earlier {
            Some(earlier) => {
                members(&left, |server| earlier.servers.iter().any(|name| name == names[server]))
            }
            None if is_pilot => pilot(&left, packing, most),
            None => wave(&left, &installed, most),
        };
        let taken: BTreeSet<usize> = taken.into_iter().collect();
        let (wave, rest): (Vec<_>, Vec<_>) =
            left.into_iter().enumerate().partition(|(at, _)| taken.contains(at));
        left = rest.into_iter().map(|(_, group)| group).collect();
        let wave: Vec<Group> = wave.into_iter().map(|(_, group)| group).collect();
        let mut new: BTreeSet<usize> = wave.iter().flat_map(|group| group.hosts.iter().copied()).collect();
        if is_pilot {
            // Whoever stands by does so from the beginning.
            new.extend(packing.hosts.len()..hosts.len());
        }
        new.retain(|host| !installed.contains(host));
        installed.extend(&new);
        wave.iter().flat_map(|group| &group.servers).for_each(|server| moved[*server] = true);
        let failover = match crowded.as_ref().filter(|_| !left.is_empty()) {
            Some(crowded) => {
                let (more, failover) = safe(setting, crowded, packing, way, &mut installed, &moved);
                new.extend(more);
                failover
            }
            None => Vec::new(),
        };
        let servers: usize = wave.iter().map(|group| group.servers.len()).sum();
        let mut named: Vec<String> =
            wave.iter().flat_map(|group| &group.servers).map(|server| names[*server].to_owned()).collect();
        named.sort();
        let kind = match wave.iter().any(|group| group.is_critical) {
            _ if is_pilot => WaveKind::Pilot,
            true => WaveKind::Critical,
            false => WaveKind::Wave,
        };
        let fresh = Wave {
            name: if is_pilot { "pilot".into() } else { format!("wave-{}", waves.len()) },
            kind,
            servers: named,
            new_hosts: new.into_iter().map(|host| hosts[host].id.clone()).collect(),
            labour_hours: servers as f64 * phases.labour_hours_per_server,
            first_day: waves.last().map_or(0, |last| last.first_day.saturating_add(phases.watch_days)),
            windows: Vec::new(),
            failover,
            done: earlier.is_some(),
        };
        waves.push(match earlier {
            Some(Wave { name, kind, labour_hours, first_day, windows, .. }) => Wave {
                name: name.clone(),
                kind: *kind,
                labour_hours: *labour_hours,
                first_day: *first_day,
                windows: windows.clone(),
                ..fresh
            },
            None => fresh,
        });
    }
    Ok(waves)
}

fn described(setting: &Setting<'_>, problem: &Problem, packing: &Packing, units: &Units) -> Vec<Group> {
    let mut host_of = vec![None; setting.servers.len()];
    for (at, host) in packing.hosts.iter().enumerate() {
        host.servers.iter().for_each(|server| host_of[*server] = Some(at));
    }
    let critical = &setting.rules.critical;
    let of = |members: &Vec<usize>| {
        let servers: Vec<usize> =
            members.iter().copied().filter(|server| host_of[*server].is_some()).collect();
        Group {
            hosts: servers.iter().filter_map(|server| host_of[*server]).collect(),
            is_critical: members.iter().any(|server| critical.contains(server)),
            risk: servers
                .iter()
                .map(|server| {
                    let kind = packing.hosts[host_of[*server].expect("those without are left out")].kind;
                    share(problem, *server, kind) + missing(setting, *server)
                })
                .fold(0.0, f64::max),
            kinds: servers.iter().flat_map(|server| what_it_is(setting, problem, *server)).collect(),
            servers,
        }
    };
    units.iter().map(of).filter(|group| !group.servers.is_empty()).collect()
}

/// Takes those out of their groups who have moved already.
fn part(groups: &mut Vec<Group>, packing: &Packing, has_moved: impl Fn(usize) -> bool) {
    let mut apart = Vec::new();
    for group in groups.iter_mut() {
        let (moved, left): (Vec<_>, Vec<_>) =
            group.servers.iter().copied().partition(|server| has_moved(*server));
        if moved.is_empty() || left.is_empty() {
            continue;
        }
        let on = |servers: &[usize]| {
            let has = |host: &Packed| host.servers.iter().any(|server| servers.contains(server));
            (0..packing.hosts.len()).filter(|host| has(&packing.hosts[*host])).collect()
        };
        apart.push(Group { hosts: on(&moved), servers: moved, kinds: group.kinds.clone(), ..*group });
        (group.hosts, group.servers) = (on(&left), left);
    }
    groups.append(&mut apart);
}

/// Groups with one of these servers.
fn members(groups: &[Group], is_meant: impl Fn(usize) -> bool) -> Vec<usize> {
    let all = groups.iter().enumerate();
    all.filter(|(_, group)| group.servers.iter().any(|server| is_meant(*server))).map(|(at, _)| at).collect()
}

/// The largest share of a host that a server needs of anything.
fn share(problem: &Problem, server: usize, kind: usize) -> f64 {
    let capacity = &problem.kinds()[kind].capacity;
    let of = |(dimension, most): (usize, &u32)| {
        f64::from(problem.demand().peak(server, dimension)) / f64::from((*most).max(1))
    };
    capacity.iter().enumerate().map(of).fold(0.0, f64::max)
}

fn missing(setting: &Setting<'_>, server: usize) -> f64 {
    let rows = setting.traces.series.keys();
    let rows: Vec<&[u32]> =
        rows.filter_map(|metric| setting.traces.of(setting.servers[server], *metric)).collect();
    let all: usize = rows.iter().map(|row| row.len()).sum();
    let missing = rows.iter().flat_map(|row| row.iter()).filter(|value| **value == NO_SAMPLE).count();
    missing as f64 / all.max(1) as f64
}

/// Operating system and application, where they are known; and which resource it needs the most of.
fn what_it_is(setting: &Setting<'_>, problem: &Problem, server: usize) -> Vec<String> {
    const TELLING: [&str; 3] = ["os", "application", "class"];
    let labels = setting.traces.servers[setting.servers[server]].labels.iter();
    let told = labels.filter(|(name, value)| {
        TELLING.iter().any(|telling| name.eq_ignore_ascii_case(telling)) && !value.trim().is_empty()
    });
    let mut kinds: Vec<String> = told.map(|(name, value)| format!("{name} {value}")).collect();
    let largest = |dimension: &usize| {
        let most = problem.kinds().iter().map(|kind| kind.capacity[*dimension]).max().unwrap_or(1);
        (f64::from(problem.demand().peak(server, *dimension)) / f64::from(most.max(1)) * 1e6) as u64
    };
    let busiest = (0..problem.demand().dimensions()).max_by_key(largest);
    kinds.extend(busiest.map(|dimension| format!("mostly {}", setting.resources[dimension].name)));
    kinds
}

/// The groups of the pilot: of one host, if some group is on one host only.
fn pilot(left: &[Group], packing: &Packing, most: usize) -> Vec<usize> {
    let on = |host: usize, critical: bool| -> Vec<usize> {
        let all = left.iter().enumerate();
        all.filter(|(_, group)| group.hosts.len() == 1 && group.hosts.contains(&host))
            .filter(|(_, group)| critical || !group.is_critical)
            .map(|(at, _)| at)
            .collect()
    };
    let passes: &[bool] = if left.iter().all(|group| group.is_critical) { &[true] } else { &[false] };
    for critical in passes.iter().copied() {
        let chosen = (0..packing.hosts.len()).map(|host| instructive(left, on(host, critical), most));
        let rank = |chosen: &Vec<usize>| {
            let kinds: BTreeSet<&String> = chosen.iter().flat_map(|at| &left[*at].kinds).collect();
            let risk: f64 = chosen.iter().map(|at| left[*at].risk).sum();
            // Equal in what they teach: the one that risks less.
            (kinds.len(), -(risk * 1e6) as i64)
        };
        let best = chosen.filter(|chosen| !chosen.is_empty()).max_by_key(rank);
        if let Some(best) = best {
            return best;
        }
    }
    // All are spread over several hosts, or too large for a pilot: the one that needs the least.
    let least = left.iter().enumerate().min_by(|(_, a), (_, b)| {
        (a.is_critical, a.servers.len(), a.hosts.len())
            .cmp(&(b.is_critical, b.servers.len(), b.hosts.len()))
            .then(a.risk.total_cmp(&b.risk))
    });
    least.map(|(at, _)| vec![at]).unwrap_or_default()
}

/// Of these groups those that teach the most, each time the one that adds the most kinds; of equals the quietest.
fn instructive(left: &[Group], mut from: Vec<usize>, most: usize) -> Vec<usize> {
    let (mut chosen, mut known, mut servers) = (Vec::new(), BTreeSet::new(), 0);
    loop {
        let space = most - servers;
        let fits = from.iter().filter(|at| left[**at].servers.len() <= space);
        let new = |at: usize| left[at].kinds.iter().filter(|kind| !known.contains(*kind)).count();
        let best = fits.copied().min_by(|a, b| {
            new(*b).cmp(&new(*a)).then(left[*a].risk.total_cmp(&left[*b].risk)).then(a.cmp(b))
        });
        let Some(best) = best else { return chosen };
        known.extend(left[best].kinds.iter().cloned());
        servers += left[best].servers.len();
        chosen.push(best);
        from.retain(|at| *at != best);
    }
}

/// The groups of a later wave.
fn wave(left: &[Group], installed: &BTreeSet<usize>, most: usize) -> Vec<usize> {
    // The critical wait until all others have moved, even if there would be hands for them.
    let mut open: Vec<usize> = (0..left.len()).filter(|at| !left[*at].is_critical).collect();
    if open.is_empty() {
        open = (0..left.len()).collect();
    }
    open.sort_by(|a, b| left[*a].risk.total_cmp(&left[*b].risk).then(a.cmp(b)));
    let mut hosts = installed.clone();
    let (mut chosen, mut servers) = (Vec::new(), 0);
    loop {
        // All that need no further host, the quiet ones first.
        open.retain(|at| {
            let group = &left[*at];
            let is_taken = group.hosts.is_subset(&hosts) && servers + group.servers.len() <= most;
            if is_taken {
                servers += group.servers.len();
                chosen.push(*at);
            }
            !is_taken
        });
        let new = |at: &usize| left[*at].hosts.difference(&hosts).count();
        let next =
            open.iter().filter(|at| servers + left[**at].servers.len() <= most).min_by_key(|at| new(at));
        let Some(at) = next else { return chosen };
        hosts.extend(&left[*at].hosts);
    }
}

/// Where servers go when a host fails on the way, and the hosts that have to be there for it besides.
fn safe(
    setting: &Setting<'_>,
    crowded: &Problem,
    packing: &Packing,
    way: &Way<'_>,
    installed: &mut BTreeSet<usize>,
    moved: &[bool],
) -> (BTreeSet<usize>, Vec<Failover>) {
    let Way { hosts, moves, stop, .. } = *way;
    let mut more = BTreeSet::new();
    let names = setting.names();
    loop {
        let places: Vec<usize> = installed.iter().copied().collect();
        let present = |host: &usize| match packing.hosts.get(*host) {
            Some(host) => Packed {
                kind: host.kind,
                servers: host.servers.iter().copied().filter(|server| moved[*server]).collect(),
            },
            None => {
                let kind = setting.hosts.iter().position(|kind| kind.name == hosts[*host].host_type);
                Packed { kind: kind.expect("the plan's own types"), servers: Vec::new() }
            }
        };
        let partial = Packing { hosts: places.iter().map(present).collect(), unplaced: Vec::new() };
        // Cut short, hosts are added until all are there, and where servers go in the end holds now.
        if let Some(found) = reserve::evacuated(setting, crowded, &partial, stop) {
            let there: Vec<PlannedHost> = places.iter().map(|place| hosts[*place].clone()).collect();
            return (more, in_use(reserve::told(&found, &there, &names)));
        }
        // One more host, the one that gets the most in the end; with all of them it is as in the end.
        let next = (0..packing.hosts.len())
            .filter(|host| !installed.contains(host))
            .max_by_key(|host| packing.hosts[*host].servers.len());
        let Some(next) = next else {
            let of = |moves: &Moves| moves.iter().copied().filter(|(server, _)| moved[*server]).collect();
            let moves: Vec<Moves> = moves.iter().map(of).collect();
            return (more, in_use(reserve::told(&moves, hosts, &names)));
        };
        installed.insert(next);
        more.insert(next);
    }
}

fn in_use(failover: Vec<Failover>) -> Vec<Failover> {
    failover.into_iter().filter(|failover| !failover.takeovers.is_empty()).collect()
}
