//! Random txns: SQLite answers what memory answers.

use proptest::prelude::*;
use tabane_store::{Change, Compare, LeaseId, Memory, Op, Sqlite, Store, Txn};

#[derive(Debug, Clone)]
enum Step {
    Txn(Vec<(u8, u8, u8)>, Vec<(u8, u8, u8)>),
    Compact(u8),
    Grant,
    Revoke(u8),
    Restart,
}

fn key(n: u8) -> String {
    const KEYS: [&str; 8] = ["a", "a/1", "a/2", "a0", "b", "b/é", "\u{10ffff}", "c"];
    KEYS[usize::from(n) % KEYS.len()].to_owned()
}

fn step() -> impl Strategy<Value = Step> {
    let triple = || any::<(u8, u8, u8)>();
    prop_oneof![
        12 => (prop::collection::vec(triple(), 0..3), prop::collection::vec(triple(), 0..5))
            .prop_map(|(compares, ops)| Step::Txn(compares, ops)),
        1 => any::<u8>().prop_map(Step::Compact),
        2 => Just(Step::Grant),
        2 => any::<u8>().prop_map(Step::Revoke),
        1 => Just(Step::Restart),
    ]
}

/// The txn with the leases of one of the stores.
fn txn(compares: &[(u8, u8, u8)], ops: &[(u8, u8, u8)], revision: u64, leases: &[LeaseId]) -> Txn {
    let compares = compares.iter().map(|&(kind, k, back)| match kind % 4 {
        0 => Compare::Absent(key(k)),
        1 => Compare::Exists(key(k)),
        _ => Compare::Unchanged(key(k), revision.saturating_sub(u64::from(back % 6))),
    });
    let ops = ops.iter().map(|&(kind, k, value)| match kind % 3 {
        0 => Op::Delete(key(k)),
        _ => {
            let lease = if kind & 4 != 0 && !leases.is_empty() {
                Some(leases[usize::from(kind >> 3) % leases.len()])
            } else {
                None
            };
            Op::Put { key: key(k), value: vec![value; usize::from(value)].into(), lease }
        }
    });
    Txn { compares: compares.collect(), ops: ops.collect() }
}

/// Lease ids are random: compare by the order of their grant.
fn plain(text: String, leases: &[LeaseId]) -> String {
    leases
        .iter()
        .enumerate()
        .fold(text, |text, (n, lease)| text.replace(&format!("LeaseId({})", lease.0), &format!("lease {n}")))
}

async fn state(store: &dyn Store, leases: &[LeaseId]) -> String {
    let mut text = String::new();
    for (prefix, after, limit) in
        [("", None, 100), ("a", None, 2), ("a", Some("a/1"), 2), ("\u{10ffff}", None, 5)]
    {
        text += &format!("{:?}\n", store.list(prefix, after, limit).await);
    }
    // A last change inside the prefix makes every watch arrive.
    store.txn(Txn::new().put("a/end", "")).await.unwrap();
    let revision = store.revision().await.unwrap();
    for after in 0..revision {
        text += &match store.watch("a", after).await {
            Err(error) => format!("{after}: {error}\n"),
            Ok(mut watch) => {
                let mut changes: Vec<Change> = Vec::new();
                while watch.revision() < revision {
                    changes.extend(watch.next().await.unwrap().changes);
                }
                changes.sort_by(|a, b| (a.revision, &a.key).cmp(&(b.revision, &b.key)));
                format!("{after}: {changes:?}\n")
            }
        };
    }
    plain(text, leases)
}

async fn compare(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let memory = Memory::new();
    let mut sqlite = Sqlite::open(folder.path()).await.unwrap();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for step in steps {
        let revision = memory.revision().await.unwrap();
        assert_eq!(sqlite.revision().await.unwrap(), revision);
        match &step {
            Step::Txn(compares, ops) => {
                let expected = memory.txn(txn(compares, ops, revision, &ours)).await;
                let found = sqlite.txn(txn(compares, ops, revision, &theirs)).await;
                let show = |lease: &[LeaseId], text: String| {
                    // The message of a missing lease shows its number in hexadecimal.
                    plain(text, lease)
                };
                assert_eq!(
                    show(&theirs, format!("{found:?}")),
                    show(&ours, format!("{expected:?}")),
                    "{step:?}"
                );
            }
            Step::Compact(back) => {
                let before = (revision + 1).saturating_sub(u64::from(back % 8));
                memory.compact(before).await.unwrap();
                sqlite.compact(before).await.unwrap();
            }
            Step::Grant => {
                ours.push(memory.lease_grant(600_000).await.unwrap());
                theirs.push(sqlite.lease_grant(600_000).await.unwrap());
            }
            Step::Revoke(which) if !ours.is_empty() => {
                let which = usize::from(*which) % ours.len();
                let expected = memory.lease_revoke(ours[which]).await;
                let found = sqlite.lease_revoke(theirs[which]).await;
                assert_eq!(found.is_ok(), expected.is_ok());
            }
            Step::Revoke(_) => {}
            Step::Restart => {
                drop(sqlite);
                sqlite = Sqlite::open(folder.path()).await.unwrap();
            }
        }
    }
    assert_eq!(state(&sqlite, &theirs).await, state(&memory, &ours).await);
    sqlite.verify().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_is_memory(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(compare(steps));
    }
}
