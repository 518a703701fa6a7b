//! Months that nobody has looked at while the method was made: generated ones, each of another kind, planned for by their first
//! half and judged by their second, as the real one is. What a real month has that these have not, they cannot tell.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};
use tabane_model::{Grid, Metric, Source, Traces};

use super::held_out;
use crate::Result;

const SERVERS: usize = 200;
const DAYS: usize = 30;
const DAY: usize = 288;
const BINS: usize = DAYS * DAY;

/// What a month is like.
struct Habits {
    name: &'static str,
    /// Of servers that are busy by day, and rest at weekends.
    offices: f64,
    /// Bursts of a server in a week.
    bursts: f64,
    /// Of servers that have a level of another size from some day on.
    shifts: f64,
    /// What all have more of at the end of the month than at its beginning.
    growth: f64,
    /// Nights on which many are busy at once, and of how many servers each is.
    nights: usize,
    meeting: f64,
    /// How much memory servers have in use.
    memory: f64,
}

const USUAL: Habits = Habits {
    name: "usual",
    offices: 0.5,
    bursts: 2.0,
    shifts: 0.05,
    growth: 0.0,
    nights: 0,
    meeting: 0.0,
    memory: 1.0,
};

const MONTHS: [Habits; 6] = [
    Habits { name: "quiet", offices: 0.3, bursts: 1.0, shifts: 0.0, memory: 2.0, ..USUAL },
    Habits { name: "offices", offices: 0.9, ..USUAL },
    Habits { name: "bursts", offices: 0.4, bursts: 20.0, ..USUAL },
    Habits { name: "nights", nights: 6, meeting: 0.4, ..USUAL },
    Habits { name: "growth", growth: 0.15, memory: 2.0, ..USUAL },
    Habits { name: "shifts", shifts: 0.3, nights: 2, meeting: 0.2, ..USUAL },
];

pub fn figures() -> Result<Value> {
    let of = |(at, habits): (usize, &Habits)| {
        let figures = held_out::figures(&month(habits, at as u64), held_out::SHORT)?;
        Ok((habits.name.to_owned(), figures))
    };
    let months: BTreeMap<String, Value> = MONTHS.iter().enumerate().map(of).collect::<Result<_>>()?;
    let sum = |name: &str| months.values().filter_map(|month| month[name].as_u64()).sum::<u64>();
    Ok(json!({
        "peers": months.values().filter_map(|month| Some(month["peers"].as_array()?.len())).sum::<usize>(),
        "peers_not_reached": sum("peers_not_reached"),
        "peers_not_reached_by_plans": sum("peers_not_reached_by_plans"),
        "months": months,
    }))
}

fn month(habits: &Habits, seed: u64) -> Traces {
    let mut random = SmallRng::seed_from_u64(1_000 + seed);
    let nights: Vec<usize> = (0..habits.nights).map(|_| random.random_range(0..DAYS)).collect();
    let mut series: BTreeMap<Metric, Vec<u32>> = BTreeMap::new();
    let mut servers = Vec::new();
    for at in 0..SERVERS {
        // Most are small, a few are large.
        let size = random.random::<f64>().powi(3);
        let level = shape(habits, &nights, &mut random);
        let memory = steps(&mut random);
        let mut push = |metric: Metric, most: f64, of: &[f64]| {
            let values = of.iter().map(|level| (most * (0.02 + size) * level) as u32 + 10);
            series.entry(metric).or_default().extend(values);
        };
        push(Metric::CpuMhz, 18_000.0, &level);
        push(Metric::MemMib, 24_000.0 * habits.memory, &memory);
        push(Metric::DiskReadKbs, 15_000.0, &level);
        push(Metric::NetRxKbs, 20_000.0, &level);
        servers.push(Source {
            name: format!("s{at}"),
            cores: 16,
            cpu_cap_mhz: 48_000,
            mem_cap_mib: 131_072,
            labels: Vec::new(),
        });
    }
    let grid = Grid { first_bin_unix: 1_372_629_600, step_s: 300, bins: BINS };
    Traces { grid, servers, series, findings: Vec::new() }
}

/// How busy a server is in each bin.
fn shape(habits: &Habits, nights: &[usize], random: &mut SmallRng) -> Vec<f64> {
    let is_office = random.random_bool(habits.offices);
    let (noon, width) = match is_office {
        true => (random.random_range(120..180), random.random_range(30..70)),
        false => (random.random_range(0..DAY), random.random_range(20..120)),
    };
    let amplitude = random.random_range(0.3..1.0);
    let shift = random.random_bool(habits.shifts).then(|| random.random_range(0..DAYS));
    let factor = random.random_range(0.5..2.0);
    let mut noise = 0.0;
    let mut level: Vec<f64> = (0..BINS)
        .map(|bin| {
            let (day, of_day) = (bin / DAY, bin % DAY);
            let away = of_day.abs_diff(noon).min(DAY - of_day.abs_diff(noon)) as f64;
            let rests = is_office && day % 7 >= 5;
            let busy =
                amplitude * (-away * away / (2 * width * width) as f64).exp() * if rests { 0.2 } else { 1.0 };
            noise = 0.9 * noise + random.random_range(-0.03..0.03);
            let grown = 1.0 + habits.growth * bin as f64 / BINS as f64;
            let shifted = if shift.is_some_and(|from| day >= from) { factor } else { 1.0 };
            (0.1 + busy + noise).max(0.02) * grown * shifted
        })
        .collect();
    let weeks = DAYS as f64 / 7.0;
    for _ in 0..(habits.bursts * weeks * random.random_range(0.0..2.0)) as usize {
        // A few bursts are very high.
        let high = (0.3 / random.random_range(0.05f64..1.0).powf(0.7)).min(3.0);
        let (from, long) = (random.random_range(0..BINS), random.random_range(1..24));
        level.iter_mut().skip(from).take(long).for_each(|level| *level += high);
    }
    for night in nights {
        if random.random_bool(habits.meeting) {
            let (from, long) = (night * DAY + random.random_range(6..18), random.random_range(6..36));
            level.iter_mut().skip(from).take(long).for_each(|level| *level += 0.8);
        }
    }
    level
}

/// Memory in use stays for days.
fn steps(random: &mut SmallRng) -> Vec<f64> {
    let mut level: f64 = random.random_range(0.4..1.0);
    let each = (0..BINS).map(|_| {
        if random.random_bool(1.0 / (4 * DAY) as f64) {
            level = (level * random.random_range(-0.2f64..0.2).exp()).clamp(0.2, 1.5);
        }
        level * random.random_range(0.98..1.02)
    });
    each.collect()
}
