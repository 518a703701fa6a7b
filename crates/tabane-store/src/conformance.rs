//! What every backend must do, as cases that panic when it does not.
//!
//! A backend's tests call [`conformance!`](crate::conformance!) with an expression that makes an empty store. A store may
//! begin at any revision and may round leases up to whole seconds; the cases allow both.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::types::{
    Change, Compare, KEY_BYTES_MAX, LEASE_TTL_MS_MAX, LeaseId, OPS_MAX, Outcome, Revision, Txn,
    VALUE_BYTES_MAX,
};
use crate::watch::Watch;
use crate::{Error, Store};

/// Long enough for a loaded machine; a case that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes one `#[tokio::test]` of each case. `$make` is an expression, evaluated in an async function, that gives
/// `(guard, impl Store)`; the guard (a temporary folder, a server) lives until the case is over.
#[macro_export]
macro_rules! conformance {
    ($make:expr) => {
        $crate::conformance!(@cases $make;
            get_and_put, txn_is_all_or_nothing, compares, created_and_modified, revisions_count_changes,
            list_pages_in_key_order, list_of_a_prefix_is_exact, limits, watch_resumes_and_goes_on,
            watch_shows_the_latest_of_a_key, watch_keeps_a_txn_together, watch_ahead_is_refused,
            a_slow_watch_misses_no_key, compaction, one_of_many_writers_wins, a_lease_ends, a_renewed_lease_lives,
            a_revoked_lease_takes_its_keys, a_put_without_the_lease_frees_the_key, large_values,
        );
    };
    (@cases $make:expr; $($case:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (_guard, store) = $make;
                $crate::conformance::$case(::std::sync::Arc::new(store)).await;
            }
        )*
    };
}

type Shared = Arc<dyn Store>;

async fn commit(store: &Shared, txn: Txn) -> Revision {
    match store.txn(txn).await.expect("the txn is done") {
        Outcome::Committed(revision) => revision,
        conflict => panic!("the txn is in conflict: {conflict:?}"),
    }
}

async fn value(store: &Shared, key: &str) -> Option<Bytes> {
    store.get(key).await.expect("the key can be read").map(|entry| entry.value)
}

async fn keys(store: &Shared, prefix: &str) -> Vec<String> {
    let page = store.list(prefix, None, usize::MAX).await.expect("the prefix can be listed");
    page.entries.into_iter().map(|entry| entry.key).collect()
}

/// Reads the watch until it is past `revision`.
async fn until(watch: &mut Watch, revision: Revision) -> Vec<Change> {
    let mut changes = Vec::new();
    while watch.revision() < revision {
        let batch =
            tokio::time::timeout(PATIENCE, watch.next()).await.expect("the watch goes on").expect("a batch");
        assert!(!batch.changes.is_empty(), "a batch is never empty");
        assert_eq!(batch.revision, watch.revision());
        changes.extend(batch.changes);
    }
    assert!(
        changes.is_sorted_by_key(|change| change.revision),
        "changes come in the order of revisions: {changes:?}"
    );
    changes
}

async fn gone(store: &Shared, key: &str) {
    let start = Instant::now();
    while value(store, key).await.is_some() {
        assert!(start.elapsed() < PATIENCE, "{key} is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn get_and_put(store: Shared) {
    assert_eq!(store.get("a").await.expect("read"), None);
    let revision = commit(&store, Txn::new().put("a", "1")).await;
    let entry = store.get("a").await.expect("read").expect("there");
    assert_eq!((entry.key.as_str(), entry.value.as_ref()), ("a", b"1".as_ref()));
    assert_eq!((entry.created, entry.modified, entry.lease), (revision, revision, None));
    commit(&store, Txn::new().delete("a")).await;
    assert_eq!(value(&store, "a").await, None);
    commit(&store, Txn::new().put("empty", "").put("ключ/鍵 '\"%_\\", [0u8, 255, 10].to_vec())).await;
    assert_eq!(value(&store, "empty").await.as_deref(), Some(b"".as_ref()));
    assert_eq!(value(&store, "ключ/鍵 '\"%_\\").await.as_deref(), Some([0u8, 255, 10].as_ref()));
}

pub async fn txn_is_all_or_nothing(store: Shared) {
    commit(&store, Txn::new().put("a", "1").put("b", "1")).await;
    let outcome =
        store.txn(Txn::new().when(Compare::Absent("b".into())).put("a", "2").put("c", "2").delete("b")).await;
    let Outcome::Conflict { key, current } = outcome.expect("judged") else { panic!("b exists") };
    assert_eq!((key.as_str(), current.expect("b").value.as_ref()), ("b", b"1".as_ref()));
    assert_eq!(value(&store, "a").await.as_deref(), Some(b"1".as_ref()));
    assert_eq!(keys(&store, "").await, ["a", "b"]);
    // A lease that does not exist undoes what stands before it.
    let outcome = store.txn(Txn::new().put("a", "3").delete("b").put_leased("d", "3", LeaseId(1))).await;
    assert!(matches!(outcome, Err(Error::LeaseNotFound(LeaseId(1)))), "{outcome:?}");
    assert_eq!(value(&store, "a").await.as_deref(), Some(b"1".as_ref()));
    assert_eq!(keys(&store, "").await, ["a", "b"]);
    // Compares are judged before leases.
    let outcome =
        store.txn(Txn::new().when(Compare::Exists("x".into())).put_leased("d", "3", LeaseId(1))).await;
    assert!(matches!(outcome, Ok(Outcome::Conflict { current: None, .. })), "{outcome:?}");
}

pub async fn compares(store: Shared) {
    let first = commit(&store, Txn::new().when(Compare::Absent("a".into())).put("a", "1")).await;
    let unchanged = |revision| Txn::new().when(Compare::Unchanged("a".into(), revision));
    let second = commit(&store, unchanged(first).when(Compare::Exists("a".into())).put("a", "2")).await;
    for txn in [
        unchanged(first).put("a", "3"),
        unchanged(second + 1).put("a", "3"),
        Txn::new().when(Compare::Absent("a".into())).put("a", "3"),
        Txn::new().when(Compare::Exists("b".into())).put("a", "3"),
        Txn::new().when(Compare::Unchanged("b".into(), second)).put("a", "3"),
        Txn::new().when(Compare::Exists("a".into())).when(Compare::Absent("a".into())).put("a", "3"),
    ] {
        let outcome = store.txn(txn.clone()).await.expect("judged");
        assert!(matches!(outcome, Outcome::Conflict { .. }), "{txn:?}: {outcome:?}");
    }
    // Compares without ops are a question; the answer names the present revision.
    assert_eq!(commit(&store, unchanged(second)).await, store.revision().await.expect("read"));
    assert_eq!(value(&store, "a").await.as_deref(), Some(b"2".as_ref()));
}

pub async fn created_and_modified(store: Shared) {
    let first = commit(&store, Txn::new().put("a", "1")).await;
    let second = commit(&store, Txn::new().put("a", "1")).await;
    let entry = store.get("a").await.expect("read").expect("there");
    assert_eq!((entry.created, entry.modified), (first, second));
    commit(&store, Txn::new().delete("a")).await;
    let third = commit(&store, Txn::new().put("a", "1")).await;
    let entry = store.get("a").await.expect("read").expect("there");
    assert_eq!((entry.created, entry.modified), (third, third));
}

pub async fn revisions_count_changes(store: Shared) {
    let start = store.revision().await.expect("read");
    let first = commit(&store, Txn::new().put("a", "1").put("b", "1")).await;
    assert!(first > start);
    assert_eq!(store.revision().await.expect("read"), first);
    assert_eq!(commit(&store, Txn::new()).await, first, "no ops, no revision");
    assert_eq!(commit(&store, Txn::new().delete("none")).await, first, "nothing deleted, no revision");
    let conflict = store.txn(Txn::new().when(Compare::Exists("none".into())).put("a", "2")).await;
    assert!(matches!(conflict, Ok(Outcome::Conflict { .. })));
    assert_eq!(store.revision().await.expect("read"), first);
    let second = commit(&store, Txn::new().put("a", "1").delete("b")).await;
    assert_eq!(second, first + 1, "one txn, one revision");
}

pub async fn list_pages_in_key_order(store: Shared) {
    let txn = (0..25).rev().fold(Txn::new(), |txn, i| txn.put(format!("k/{i:02}"), "v"));
    let revision = commit(&store, txn).await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.list("k/", after.as_deref(), 10).await.expect("listed");
        assert_eq!(page.revision, revision);
        assert!(page.entries.len() <= 10);
        seen.extend(page.entries.into_iter().map(|entry| entry.key));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..25).map(|i| format!("k/{i:02}")).collect::<Vec<_>>());
    let whole = store.list("k/", None, 25).await.expect("listed");
    assert_eq!((whole.entries.len(), whole.next), (25, None), "a page that holds all has no next");
    let rest = store.list("k/", Some("k/20"), 100).await.expect("listed");
    assert_eq!(rest.entries.len(), 4, "after is exclusive");
    let early = store.list("k/", Some("a"), 100).await.expect("listed");
    assert_eq!(early.entries.len(), 25, "an after before the prefix leaves nothing out");
    let late = store.list("k/", Some("z"), 100).await.expect("listed");
    assert_eq!((late.entries.len(), late.next), (0, None));
}

pub async fn list_of_a_prefix_is_exact(store: Shared) {
    let all =
        ["a", "a/", "a/b", "a/\u{10ffff}", "a0", "b", "\u{d7ff}x", "\u{e000}", "\u{10ffff}", "\u{10ffff}a"];
    commit(&store, all.iter().fold(Txn::new(), |txn, key| txn.put(*key, "v"))).await;
    for prefix in ["", "a", "a/", "a/b", "b", "c", "\u{d7ff}", "\u{e000}", "\u{10ffff}"] {
        let expected: Vec<_> =
            all.iter().filter(|key| key.starts_with(prefix)).map(|key| key.to_string()).collect();
        assert_eq!(keys(&store, prefix).await, expected, "prefix {prefix:?}");
        let mut watch = store.watch(prefix, 0).await.expect("watched");
        let revision = commit(&store, Txn::new().put(format!("{prefix}!"), "v")).await;
        let mut seen: Vec<_> =
            until(&mut watch, revision).await.into_iter().map(|change| change.key).collect();
        commit(&store, Txn::new().delete(format!("{prefix}!"))).await;
        seen.retain(|key| !key.ends_with('!'));
        seen.sort();
        assert_eq!(seen, expected, "prefix {prefix:?}");
    }
}

pub async fn limits(store: Shared) {
    let before = store.revision().await.expect("read");
    for key in ["", "a\0b", &"k".repeat(KEY_BYTES_MAX + 1)] {
        assert!(matches!(store.get(key).await, Err(Error::Key { .. })));
        assert!(matches!(store.txn(Txn::new().put(key, "v")).await, Err(Error::Key { .. })));
    }
    let outcome = store.txn(Txn::new().put("a", vec![0u8; VALUE_BYTES_MAX + 1])).await;
    assert!(matches!(outcome, Err(Error::ValueTooLarge { .. })));
    let ops = |count| (0..count).fold(Txn::new(), |txn, i| txn.put(format!("k{i}"), "v"));
    assert!(matches!(store.txn(ops(OPS_MAX + 1)).await, Err(Error::TxnTooLarge { .. })));
    assert!(matches!(store.txn(Txn::new().put("a", "1").delete("a")).await, Err(Error::DuplicateKey { .. })));
    for ttl_ms in [0, LEASE_TTL_MS_MAX + 1] {
        assert!(matches!(store.lease_grant(ttl_ms).await, Err(Error::LeaseTtl { .. })));
    }
    assert_eq!(store.revision().await.expect("read"), before);
    commit(&store, ops(OPS_MAX)).await;
    commit(&store, Txn::new().put("k".repeat(KEY_BYTES_MAX), "v")).await;
}

pub async fn watch_resumes_and_goes_on(store: Shared) {
    commit(&store, Txn::new().put("w/a", "1").put("w/b", "1").put("x/a", "1")).await;
    let seen = store.revision().await.expect("read");
    let put = commit(&store, Txn::new().put("w/a", "2").put("x/b", "1")).await;
    let deleted = commit(&store, Txn::new().delete("w/b").delete("x/a")).await;
    let mut watch = store.watch("w/", seen).await.expect("watched");
    let changes = until(&mut watch, deleted).await;
    let expected = [
        Change { revision: put, key: "w/a".into(), value: Some("2".into()) },
        Change { revision: deleted, key: "w/b".into(), value: None },
    ];
    assert_eq!(changes, expected);
    // Nothing of ours: the watch stays quiet, and a cancelled wait loses nothing.
    commit(&store, Txn::new().put("x/c", "1")).await;
    assert!(tokio::time::timeout(Duration::from_millis(50), watch.next()).await.is_err());
    let other = store.clone();
    let later = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        commit(&other, Txn::new().put("w/c", "3")).await
    });
    let batch = tokio::time::timeout(PATIENCE, watch.next()).await.expect("in time").expect("a batch");
    let revision = later.await.expect("committed");
    assert_eq!(batch.changes, [Change { revision, key: "w/c".into(), value: Some("3".into()) }]);
}

pub async fn watch_shows_the_latest_of_a_key(store: Shared) {
    commit(&store, Txn::new().put("a", "0")).await;
    let start = store.revision().await.expect("read");
    let mut last = start;
    for i in 1..=10 {
        last = commit(&store, Txn::new().put("a", i.to_string())).await;
        commit(&store, Txn::new().put("b", "x")).await;
        last = last.max(commit(&store, Txn::new().delete("b")).await);
    }
    let mut watch = store.watch("", start).await.expect("watched");
    let changes = until(&mut watch, last).await;
    let latest =
        |key: &str| changes.iter().rfind(|change| change.key == key).map(|change| change.value.clone());
    assert_eq!(latest("a"), Some(Some("10".into())));
    assert_eq!(latest("b"), Some(None), "a key that came and went is told as deleted");
    // A key that is deleted and made again has one state.
    let revision = commit(&store, Txn::new().put("b", "again")).await;
    let mut watch = store.watch("b", revision - 1).await.expect("watched");
    assert_eq!(
        until(&mut watch, revision).await,
        [Change { revision, key: "b".into(), value: Some("again".into()) }]
    );
}

pub async fn watch_keeps_a_txn_together(store: Shared) {
    let start = store.revision().await.expect("read");
    let mut last = start;
    for round in 0..4 {
        let txn = (0..OPS_MAX).fold(Txn::new(), |txn, i| txn.put(format!("{round}/{i}"), "v"));
        last = commit(&store, txn).await;
    }
    let mut watch = store.watch("", start).await.expect("watched");
    let mut revisions = std::collections::HashSet::new();
    while watch.revision() < last {
        let batch = watch.next().await.expect("a batch");
        let mut inside: Vec<_> = batch.changes.iter().map(|change| change.revision).collect();
        assert_eq!(inside.len() % OPS_MAX, 0, "a txn was divided");
        inside.dedup();
        assert!(inside.into_iter().all(|revision| revisions.insert(revision)), "a txn was told twice");
    }
    assert_eq!(revisions.len(), 4);
}

pub async fn watch_ahead_is_refused(store: Shared) {
    let revision = commit(&store, Txn::new().put("a", "1")).await;
    assert!(matches!(store.watch("", revision + 1).await, Err(Error::Future { .. })));
    assert!(store.watch("", revision).await.is_ok());
}

pub async fn a_slow_watch_misses_no_key(store: Shared) {
    let start = store.revision().await.expect("read");
    let mut watch = store.watch("k/", start).await.expect("watched");
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            let mut last = 0;
            for i in 0..600u32 {
                let key = format!("k/{}", i * 7 % 50);
                let txn =
                    if i % 5 == 4 { Txn::new().delete(key) } else { Txn::new().put(key, i.to_string()) };
                last = commit(&store, txn.put("other", "x")).await;
            }
            last
        })
    };
    let mut state = std::collections::BTreeMap::new();
    let mut apply = |changes: Vec<Change>| {
        for change in changes {
            match change.value {
                Some(value) => drop(state.insert(change.key, value)),
                None => drop(state.remove(&change.key)),
            }
        }
    };
    while !writer.is_finished() {
        if let Ok(batch) = tokio::time::timeout(Duration::from_millis(5), watch.next()).await {
            apply(batch.expect("a batch").changes);
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    let last = writer.await.expect("written");
    // The last changes may be outside the prefix: one inside makes the watch arrive.
    let end = commit(&store, Txn::new().put("k/end", "x")).await;
    assert!(end > last);
    apply(until(&mut watch, end).await);
    let page = store.list("k/", None, usize::MAX).await.expect("listed");
    let expected: std::collections::BTreeMap<_, _> =
        page.entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
    assert_eq!(state, expected);
}

pub async fn compaction(store: Shared) {
    commit(&store, Txn::new().put("a", "1").put("b", "1").put("c", "1")).await;
    let first = commit(&store, Txn::new().delete("a")).await;
    let mut slow = store.watch("", first - 1).await.expect("watched");
    let second = commit(&store, Txn::new().delete("b")).await;
    let third = commit(&store, Txn::new().put("c", "2")).await;
    store.compact(second).await.expect("compacted");
    for after in 0..second - 1 {
        assert!(matches!(store.watch("", after).await, Err(Error::Compacted { .. })), "after {after}");
    }
    let next = tokio::time::timeout(PATIENCE, slow.next()).await.expect("in time");
    assert!(matches!(next, Err(Error::Compacted { .. })) || next.is_ok_and(|batch| batch.revision >= first));
    let mut watch = store.watch("", second - 1).await.expect("what is kept can be watched");
    let changes = until(&mut watch, third).await;
    assert_eq!(changes.iter().map(|change| change.key.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(store.revision().await.expect("read"), third, "a compaction is not a change");
    assert_eq!(keys(&store, "").await, ["c"]);
    // Going back, and going beyond the end, are harmless.
    store.compact(1).await.expect("compacted");
    store.compact(third + 1000).await.expect("compacted");
    assert!(store.watch("", third).await.is_ok());
    let fourth = commit(&store, Txn::new().delete("c")).await;
    assert_eq!(until(&mut watch, fourth).await.len(), 1);
}

pub async fn one_of_many_writers_wins(store: Shared) {
    const WRITERS: u64 = 16;
    const TURNS: u64 = 10;
    commit(&store, Txn::new().put("n", "0")).await;
    let add_one = |store: Shared| async move {
        for _ in 0..TURNS {
            loop {
                let entry = store.get("n").await.expect("read").expect("there");
                let n: u64 = std::str::from_utf8(&entry.value).expect("text").parse().expect("a number");
                let txn = Txn::new().when(Compare::Unchanged("n".into(), entry.modified));
                let outcome = store.txn(txn.put("n", (n + 1).to_string())).await.expect("judged");
                if matches!(outcome, Outcome::Committed(_)) {
                    break;
                }
            }
        }
    };
    let tasks: Vec<_> = (0..WRITERS).map(|_| tokio::spawn(add_one(store.clone()))).collect();
    for task in tasks {
        task.await.expect("done");
    }
    assert_eq!(value(&store, "n").await, Some((WRITERS * TURNS).to_string().into()));
}

pub async fn a_lease_ends(store: Shared) {
    let lease = store.lease_grant(300).await.expect("granted");
    let other = store.lease_grant(600_000).await.expect("granted");
    assert_ne!(lease, other);
    commit(&store, Txn::new().put_leased("l/a", "1", lease).put_leased("l/b", "1", lease)).await;
    let last = commit(&store, Txn::new().put_leased("l/c", "1", other).put("l/d", "1")).await;
    assert_eq!(store.get("l/a").await.expect("read").expect("there").lease, Some(lease));
    let mut watch = store.watch("l/", last).await.expect("watched");
    let batch = tokio::time::timeout(PATIENCE, watch.next()).await.expect("in time").expect("a batch");
    let mut deleted: Vec<_> =
        batch.changes.iter().map(|change| (change.key.as_str(), change.value.clone())).collect();
    deleted.sort();
    assert_eq!(deleted, [("l/a", None), ("l/b", None)], "the keys of a lease go in one txn");
    assert!(matches!(store.lease_renew(lease).await, Err(Error::LeaseNotFound(_))));
    assert!(matches!(store.lease_revoke(lease).await, Err(Error::LeaseNotFound(_))));
    let outcome = store.txn(Txn::new().put_leased("l/a", "2", lease)).await;
    assert!(matches!(outcome, Err(Error::LeaseNotFound(_))), "{outcome:?}");
    assert_eq!(keys(&store, "l/").await, ["l/c", "l/d"]);
}

pub async fn a_renewed_lease_lives(store: Shared) {
    let lease = store.lease_grant(1500).await.expect("granted");
    commit(&store, Txn::new().put_leased("a", "1", lease)).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        store.lease_renew(lease).await.expect("renewed in time");
    }
    assert!(value(&store, "a").await.is_some());
    gone(&store, "a").await;
}

pub async fn a_revoked_lease_takes_its_keys(store: Shared) {
    let lease = store.lease_grant(600_000).await.expect("granted");
    let revision = commit(&store, Txn::new().put_leased("a", "1", lease).put_leased("b", "1", lease)).await;
    store.lease_revoke(lease).await.expect("revoked");
    assert_eq!(keys(&store, "").await, [] as [&str; 0]);
    assert_eq!(store.revision().await.expect("read"), revision + 1);
    let empty = store.lease_grant(600_000).await.expect("granted");
    store.lease_revoke(empty).await.expect("revoked");
    assert_eq!(store.revision().await.expect("read"), revision + 1, "no keys, no revision");
}

pub async fn a_put_without_the_lease_frees_the_key(store: Shared) {
    let first = store.lease_grant(600_000).await.expect("granted");
    let second = store.lease_grant(600_000).await.expect("granted");
    commit(&store, Txn::new().put_leased("a", "1", first).put_leased("b", "1", first)).await;
    commit(&store, Txn::new().put("a", "2").put_leased("b", "2", second)).await;
    store.lease_revoke(first).await.expect("revoked");
    assert_eq!(keys(&store, "").await, ["a", "b"]);
    store.lease_revoke(second).await.expect("revoked");
    assert_eq!(keys(&store, "").await, ["a"]);
}

pub async fn large_values(store: Shared) {
    let start = store.revision().await.expect("read");
    let mut last = start;
    for i in 0..6u8 {
        last = commit(&store, Txn::new().put(format!("k{i}"), vec![i; VALUE_BYTES_MAX])).await;
    }
    for i in 0..6u8 {
        assert_eq!(value(&store, &format!("k{i}")).await, Some(vec![i; VALUE_BYTES_MAX].into()));
    }
    let mut watch = store.watch("", start).await.expect("watched");
    assert_eq!(until(&mut watch, last).await.len(), 6);
}
