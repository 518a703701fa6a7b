//! What is taken in is told, also after a server that was killed.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use super::*;

const OWNER: Uid = Uid::from_u128(7);
const FOLDER: &str = "TABANE_METRICS_TEST_FOLDER";

fn open(folder: &Path) -> Metrics {
    Metrics::open(folder.to_path_buf(), Requests::default()).unwrap()
}

/// A sample of the step `tick` whose CPU time grows by half of its two CPUs.
fn sample(tick: i64) -> Sample {
    let mut sample = Sample::new(Kind::Vm, "a".parse().unwrap(), OWNER, (tick + 1) * 10_000, 1, 2);
    sample.cpu_us = Some(u64::try_from(tick).unwrap() * 10_000_000);
    sample.memory_resident_bytes = Some(64 << 20);
    sample
}

fn cpu(metrics: &Metrics, from: i64, steps: i64) -> Vec<Option<f32>> {
    let window = Window::new(from * 10, (from + steps) * 10, Some(10), now_ms() / 1000).unwrap();
    let answer = metrics.read(OWNER, &window, Statistic::Mean).unwrap();
    assert_eq!((answer.step_s, answer.times[0]), (10, from * 10));
    answer.series["cpu_ratio"].clone()
}

#[test]
fn what_was_taken_is_told_at_once_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let begin = i64::from(now_tick()) - 100;
    let metrics = open(folder.path());
    metrics.take((begin..begin + 40).map(sample).collect());
    // Sent again, as after an answer that was lost; and a gap.
    metrics.take((begin + 20..begin + 40).map(sample).collect());
    metrics.take((begin + 60..begin + 90).map(sample).collect());
    let mut expected = vec![None];
    expected.extend(vec![Some(0.5); 39]);
    expected.extend(vec![None; 21]);
    expected.extend(vec![Some(0.5); 29]);
    assert_eq!(cpu(&metrics, begin, 90), expected);
    // The first after a gap says how much memory there is, and no rate.
    let window = Window::new(begin * 10 + 600, begin * 10 + 610, None, now_ms() / 1000).unwrap();
    let answer = metrics.read(OWNER, &window, Statistic::Max).unwrap();
    assert_eq!(answer.series["memory_used_bytes"], [Some((64 << 20) as f32)]);

    // Half of it only in the journal.
    metrics.take((begin + 90..begin + 95).map(sample).collect());
    drop(metrics);
    let metrics = open(folder.path());
    expected.extend(vec![Some(0.5); 5]);
    assert_eq!(cpu(&metrics, begin, 95), expected);
    // A host sends its last sample again, so that nothing is missing in between.
    metrics.take(vec![sample(begin + 94), sample(begin + 95)]);
    assert_eq!(cpu(&metrics, begin + 94, 2), [Some(0.5), Some(0.5)]);
}

#[test]
fn samples_of_another_time_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = open(folder.path());
    let now = i64::from(now_tick());
    metrics.take([now - 2000, now - 1900, now + 30, now + 31].into_iter().map(sample).collect());
    assert!(metrics.fresh(Kind::Vm).is_empty());
}

#[test]
fn a_clock_that_is_somewhat_behind_hides_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = open(folder.path());
    let now = i64::from(now_tick());
    metrics.take(vec![sample(now - 6), sample(now - 5)]);
    assert_eq!(metrics.fresh(Kind::Vm).len(), 1);
    metrics.take(vec![sample(now - 30)]);
    assert_eq!(metrics.fresh(Kind::Vm).len(), 1);
    drop(metrics);
    // What a host brings that was away is kept, and is not what happens now.
    let metrics = open(folder.path());
    metrics.take(vec![sample(now - 31), sample(now - 30)]);
    assert!(metrics.fresh(Kind::Vm).is_empty());
    assert_eq!(cpu(&metrics, now - 30, 1), [Some(0.5)]);
}

#[test]
fn the_archive_goes_with_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = open(folder.path());
    let begin = i64::from(now_tick()) - 40;
    metrics.take((begin..begin + 40).map(sample).collect());
    metrics.tend(&HashSet::from([OWNER]));
    let archive = Archive::path(folder.path(), OWNER);
    assert!(archive.exists(), "written after five minutes at the latest");
    assert_eq!(metrics.fresh(Kind::Vm).len(), 1);
    // Gone while a server was down: the next one sees to it.
    drop(metrics);
    let metrics = open(folder.path());
    metrics.tend(&HashSet::new());
    assert!(!archive.exists());
}

#[test]
fn writes_are_spread_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = open(folder.path());
    let begin = i64::from(now_tick()) - 400;
    // Nothing can be written: the folder is gone.
    std::fs::remove_dir_all(folder.path()).unwrap();
    metrics.take((begin..begin + 400).map(sample).collect());
    metrics.tend(&HashSet::from([OWNER]));
    assert_eq!(lock(&metrics.memory).owners[&OWNER].gathered.len(), GATHERED_MAX);
    std::fs::create_dir_all(folder.path().join("journal")).unwrap();
    metrics.tend(&HashSet::from([OWNER]));
    assert_eq!(cpu(&metrics, begin + 399, 1), [Some(0.5)]);
    assert!(lock(&metrics.memory).owners[&OWNER].gathered.is_empty());
}

/// The child of the test below: takes samples in and says so, until it is killed.
#[test]
fn child_takes_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let metrics = open(Path::new(&folder));
    let begin: i64 = std::env::var("TABANE_METRICS_TEST_BEGIN").unwrap().parse().unwrap();
    metrics.take(vec![sample(begin)]);
    for tick in begin + 1..begin + 1000 {
        metrics.take(vec![sample(tick)]);
        if tick % 7 == 0 {
            metrics.flush(OWNER);
        }
        println!("taken {tick}");
    }
}

#[test]
fn a_killed_server_keeps_what_it_took() {
    let folder = tempfile::tempdir().unwrap();
    let begin = i64::from(now_tick()) - 1500;
    let mut told = 0;
    for round in 0..30 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "metrics::tests::child_takes_until_killed", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .env("TABANE_METRICS_TEST_BEGIN", begin.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(|line| line.ok());
        let wanted = 5 + round * 23 % 300;
        let mut last = begin;
        for line in lines.by_ref() {
            let Some((_, tick)) = line.rsplit_once("taken ") else { continue };
            last = tick.parse().unwrap();
            if last >= begin + wanted {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines {
            last = line.rsplit_once("taken ").and_then(|(_, t)| t.parse().ok()).unwrap_or(last);
        }
        told += last - begin;
        let metrics = open(folder.path());
        assert_eq!(
            cpu(&metrics, begin + 1, last - begin),
            vec![Some(0.5); (last - begin) as usize],
            "round {round}"
        );
    }
    assert!(told > 300, "only {told} were taken at all");
}
