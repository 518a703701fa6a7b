//! `kill -9` at any moment: what was acknowledged is there, and revisions never go back.

use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;
use std::time::Duration;

use tabane_store::{Outcome, Sqlite, Store, Txn};

use crate::child;

const ROUNDS: u32 = 200;

/// The child: writes numbered txns from a few tasks and prints each number when it is acknowledged.
#[test]
fn child_writes_until_killed() {
    let Some(folder) = child::folder() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Arc::new(Sqlite::open(&folder).await.unwrap());
        let base = store.revision().await.unwrap();
        println!("open {base}");
        let tasks: Vec<_> = (0..8u64).map(|task| tokio::spawn(write(store.clone(), base, task))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

async fn write(store: Arc<Sqlite>, base: u64, task: u64) {
    for i in 0.. {
        let (key, other) = (format!("{base}/{task}/{i}"), format!("last/{task}"));
        let mut txn =
            Txn::new().put(key.clone(), vec![b'x'; 100 + (i as usize % 7) * 300]).put(other, key.clone());
        if i >= 20 {
            // Deletions too, and a database that stays small.
            txn = txn.delete(format!("{base}/{task}/{}", i - 20));
        }
        let Outcome::Committed(revision) = store.txn(txn).await.unwrap() else { panic!("a conflict") };
        let line = format!("ack {revision} {task} {i}\n");
        std::io::stdout().write_all(line.as_bytes()).unwrap();
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn a_killed_store_keeps_what_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut highest = 0;
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let mut child = child::command("kill::child_writes_until_killed", folder.path()).spawn().unwrap();
        let (lines, received) = std::sync::mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        let next = || received.recv_timeout(Duration::from_secs(60));
        let base: u64 = loop {
            if let Some((_, base)) = next().expect("the child opens the store").rsplit_once("open ") {
                break base.parse().unwrap();
            }
        };
        assert!(base >= highest, "round {round}: opened at {base} after {highest} was acknowledged");
        std::thread::sleep(Duration::from_micros(rand_micros(round)));
        child.kill().unwrap();
        child.wait().unwrap();
        reader.join().unwrap();
        let mut last = std::collections::HashMap::new();
        for line in received.try_iter() {
            let words: Vec<_> = line.split(' ').collect();
            // The last line may be cut off by the kill.
            let ["ack", revision, task, i] = words[..] else { continue };
            let Ok(i) = i.parse::<u64>() else { continue };
            let revision: u64 = revision.parse().unwrap();
            highest = highest.max(revision);
            acknowledged += 1;
            last.insert(task.to_owned(), (revision, i));
        }
        runtime.block_on(check(folder.path(), base, highest, &last));
    }
    assert!(acknowledged > u64::from(ROUNDS), "only {acknowledged} txns were acknowledged at all");
}

/// Between at once and 12 ms, spread evenly over the rounds in no order.
fn rand_micros(round: u32) -> u64 {
    u64::from(round.wrapping_mul(2_654_435_761) >> 8) % 12_000
}

async fn check(
    folder: &std::path::Path,
    base: u64,
    highest: u64,
    last: &std::collections::HashMap<String, (u64, u64)>,
) {
    let store = Sqlite::open(folder).await.unwrap();
    let revision = store.revision().await.unwrap();
    assert!(revision >= highest, "at {revision}, though {highest} was acknowledged");
    for (task, (at, i)) in last {
        // The task may have got further than we heard, by what was on its way.
        let latest = store.get(&format!("last/{task}")).await.unwrap().expect("was acknowledged");
        assert!(latest.modified >= *at);
        let key = String::from_utf8(latest.value.to_vec()).unwrap();
        let reached: u64 = key.rsplit('/').next().unwrap().parse().unwrap();
        assert!(reached >= *i, "task {task} reached {reached}, though {i} was acknowledged");
        // A txn is whole: its key is there, and the one that it deleted is not.
        assert_eq!(store.get(&key).await.unwrap().expect("the same txn").modified, latest.modified);
        let page = store.list(&format!("{base}/{task}/"), None, usize::MAX).await.unwrap();
        assert_eq!(page.entries.len() as u64, (reached + 1).min(20));
    }
}
