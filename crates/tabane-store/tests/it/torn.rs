//! Torn writes: whatever of the WAL's end a crash takes or spoils, the store opens with the first n txns, whole and in
//! order, or says that it is damaged.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tabane_store::{Error, Outcome, Sqlite, Store, Txn};

/// The first half is in the database, the second in the WAL; few and small enough that the WAL is not begun anew.
const TXNS: usize = 160;

type State = BTreeMap<String, Vec<u8>>;

/// Txn `i` changes several pages: a counter, a new key, an overwritten key and a deletion.
fn txn(i: usize) -> (Txn, impl FnOnce(&mut State)) {
    let value = vec![i as u8; 40 + i * 37 % 700];
    let (new, old, shared) =
        (format!("new/{i:03}"), format!("new/{:03}", i.wrapping_sub(30)), format!("s/{}", i % 7));
    let mut txn =
        Txn::new().put("n", i.to_string()).put(new.clone(), value.clone()).put(shared.clone(), value.clone());
    if i >= 30 {
        txn = txn.delete(old.clone());
    }
    let apply = move |state: &mut State| {
        state.insert("n".into(), i.to_string().into_bytes());
        state.insert(new, value.clone());
        state.insert(shared, value);
        state.remove(&old);
    };
    (txn, apply)
}

/// A database and a WAL as a crash finds them, and the state after each number of txns.
async fn history(folder: &Path, checkpoint: bool) -> (Vec<u8>, Vec<u8>, Vec<State>) {
    let mut store = Sqlite::open(folder).await.unwrap();
    let mut states = vec![State::new()];
    for i in 0..TXNS {
        if i == TXNS / 2 {
            drop(store);
            store = Sqlite::open(folder).await.unwrap();
        }
        let (txn, apply) = txn(i);
        assert!(matches!(store.txn(txn).await.unwrap(), Outcome::Committed(at) if at == i as u64 + 1));
        let mut state = states[i].clone();
        apply(&mut state);
        states.push(state);
    }
    if checkpoint {
        let other = rusqlite::Connection::open(folder.join("tabane.db")).unwrap();
        // A connection knows of the WAL only once it has read.
        other.query_row("SELECT count(*) FROM meta", [], |_| Ok(())).unwrap();
        let copied: (i64, i64) = other
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(1)?, row.get(2)?)))
            .unwrap();
        assert!(copied.0 > 0 && copied.0 == copied.1, "{copied:?}");
    }
    // Copied while the store is open: a clean end would empty the WAL.
    let database = fs::read(folder.join("tabane.db")).unwrap();
    let wal = fs::read(folder.join("tabane.db-wal")).unwrap();
    (database, wal, states)
}

#[derive(Debug, Clone)]
enum Damage {
    Cut,
    Flip(Vec<(u16, u8)>),
    Zero(u16),
    Noise(u16),
    /// The file has its length, but the end of it was never written: what it held before.
    CutAndZero,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        Just(Damage::Cut),
        prop::collection::vec((any::<u16>(), 1u8..), 1..6).prop_map(Damage::Flip),
        any::<u16>().prop_map(Damage::Zero),
        any::<u16>().prop_map(Damage::Noise),
        Just(Damage::CutAndZero),
    ]
}

fn spoil(wal: &mut Vec<u8>, at: usize, damage: &Damage) {
    let tail = wal.len() - at;
    let bounded = |length: u16| usize::from(length).min(tail);
    match damage {
        Damage::Cut => wal.truncate(at),
        Damage::CutAndZero => wal[at..].fill(0),
        Damage::Zero(length) => wal[at..at + bounded(*length)].fill(0),
        Damage::Noise(length) => {
            for (i, byte) in wal[at..at + bounded(*length)].iter_mut().enumerate() {
                *byte = (i as u8).wrapping_mul(151) ^ 0x5a;
            }
        }
        Damage::Flip(bits) => {
            for (offset, bits) in bits {
                if tail > 0 {
                    wal[at + usize::from(*offset) % tail] ^= bits;
                }
            }
        }
    }
}

/// How many txns the store opened with; `None`: it said that it is damaged.
async fn reopen(folder: &Path, states: &[State]) -> Option<usize> {
    let damaged = |error: &Error| matches!(error, Error::Corrupt { .. });
    let store = match Sqlite::open(folder).await {
        Ok(store) => store,
        Err(error) => {
            assert!(damaged(&error), "{error:?}");
            return None;
        }
    };
    let page = match store.list("", None, usize::MAX).await {
        Ok(page) => page,
        Err(error) => {
            assert!(damaged(&error), "{error:?}");
            return None;
        }
    };
    let n = store.revision().await.unwrap() as usize;
    assert_eq!(page.revision as usize, n);
    let found: State = page.entries.into_iter().map(|entry| (entry.key, entry.value.to_vec())).collect();
    assert!(n < states.len(), "revision {n}");
    assert!(found == states[n], "the state is not the one after {n} txns");
    if let Err(error) = store.verify().await {
        assert!(damaged(&error), "{error:?}");
        return None;
    }
    // It goes on from there.
    let (next, _) = txn(n);
    assert!(matches!(store.txn(next).await.unwrap(), Outcome::Committed(at) if at as usize == n + 1));
    Some(n)
}

fn run(checkpoint: bool, cases: u32) -> Vec<Option<usize>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (database, wal, states) = runtime.block_on(history(&folder.path().join("live"), checkpoint));
    let found = std::cell::RefCell::new(Vec::new());
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    runner
        .run(&(0..=wal.len(), damage()), |(at, damage)| {
            let copy = tempfile::tempdir().unwrap();
            let mut wal = wal.clone();
            spoil(&mut wal, at, &damage);
            fs::write(copy.path().join("tabane.db"), &database).unwrap();
            fs::write(copy.path().join("tabane.db-wal"), &wal).unwrap();
            found.borrow_mut().push(runtime.block_on(reopen(copy.path(), &states)));
            Ok(())
        })
        .unwrap();
    found.into_inner()
}

#[test]
fn a_torn_wal_opens_with_a_prefix() {
    let found = run(false, 300);
    assert!(found.iter().all(Option::is_some), "a torn end alone is no damage");
    let distinct: std::collections::BTreeSet<_> = found.iter().flatten().collect();
    assert!(distinct.len() > 30, "the damage reaches too few places: {distinct:?}");
}

/// Beyond what an honest fsync allows: the WAL loses what a checkpoint had already copied into the database.
#[test]
fn a_wal_that_lost_what_was_checkpointed_is_never_silently_wrong() {
    let found = run(true, 300);
    let refused = found.iter().filter(|n| n.is_none()).count();
    println!("{refused} of {} refused, the others whole", found.len());
    assert!(refused > 0);
}
