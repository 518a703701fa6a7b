//! What a restart, a second process, a newer program and a backup see.

use std::os::unix::fs::PermissionsExt;

use tabane_store::{Error, Outcome, Sqlite, Store, Txn};

use crate::child;

async fn commit(store: &Sqlite, txn: Txn) -> u64 {
    match store.txn(txn).await.unwrap() {
        Outcome::Committed(revision) => revision,
        conflict => panic!("{conflict:?}"),
    }
}

fn raw(folder: &std::path::Path) -> rusqlite::Connection {
    rusqlite::Connection::open(folder.join("tabane.db")).unwrap()
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path()).await.unwrap();
    commit(&store, Txn::new().put("a", "1").put("b", "1")).await;
    let deleted = commit(&store, Txn::new().delete("b")).await;
    let mut watch = store.watch("", deleted).await.unwrap();
    drop(store);
    assert!(matches!(watch.next().await, Err(Error::Closed)));
    assert!(!folder.path().join("tabane.db-wal").exists(), "a clean end leaves no WAL");
    let store = Sqlite::open(folder.path()).await.unwrap();
    assert_eq!(store.revision().await.unwrap(), deleted);
    let mut watch = store.watch("", deleted - 1).await.unwrap();
    assert_eq!(watch.next().await.unwrap().changes[0].value, None);
    store.compact(deleted + 1).await.unwrap();
    assert_eq!(commit(&store, Txn::new().delete("a")).await, deleted + 1);
    store.compact(deleted + 1).await.unwrap();
    drop(store);
    let store = Sqlite::open(folder.path()).await.unwrap();
    assert!(matches!(store.watch("", deleted - 1).await, Err(Error::Compacted { .. })));
    for name in ["tabane.db", "lock"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_lease_has_its_full_time_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path()).await.unwrap();
    let lease = store.lease_grant(1000).await.unwrap();
    commit(&store, Txn::new().put_leased("a", "1", lease)).await;
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    drop(store);
    let start = std::time::Instant::now();
    let store = Sqlite::open(folder.path()).await.unwrap();
    let mut watch = store.watch("", store.revision().await.unwrap()).await.unwrap();
    assert_eq!(watch.next().await.unwrap().changes[0].key, "a");
    assert!(start.elapsed() >= std::time::Duration::from_millis(990), "it ended after {:?}", start.elapsed());
}

#[test]
fn child_opens_a_store_in_use() {
    let Some(folder) = child::folder() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    match runtime.block_on(Sqlite::open(&folder)) {
        Err(error) => println!("refused: {error}"),
        Ok(_) => println!("opened"),
    }
}

#[tokio::test]
async fn a_second_process_is_told_who_has_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path()).await.unwrap();
    let name = "durable::child_opens_a_store_in_use";
    let output = child::command(name, folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = format!(
        "refused: the store in {} is in use by process {}",
        folder.path().display(),
        std::process::id()
    );
    assert!(text.contains(&expected), "{text}");
    drop(store);
    let output = child::command(name, folder.path()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("opened"));
}

#[tokio::test]
async fn what_a_dead_process_leaves_open_for_a_moment_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    drop(Sqlite::open(folder.path()).await.unwrap());
    let lock = folder.path().join("lock");
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    std::fs::write(&lock, format!("{}\n", dead.id())).unwrap();
    // As a child between its fork and its exec has it.
    let left = std::fs::File::open(&lock).unwrap();
    left.lock().unwrap();
    let end = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        drop(left);
        std::time::Instant::now()
    });
    let store = Sqlite::open(folder.path()).await;
    let opened = std::time::Instant::now();
    assert!(store.is_ok(), "{:?}", store.err());
    assert!(end.join().unwrap() <= opened);
}

#[tokio::test]
async fn foreign_and_newer_databases_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    raw(folder.path()).execute_batch("CREATE TABLE t(x)").unwrap();
    let before = std::fs::read(folder.path().join("tabane.db")).unwrap();
    assert!(matches!(Sqlite::open(folder.path()).await, Err(Error::Foreign { .. })));
    assert_eq!(std::fs::read(folder.path().join("tabane.db")).unwrap(), before);

    let folder = tempfile::tempdir().unwrap();
    drop(Sqlite::open(folder.path()).await.unwrap());
    raw(folder.path()).execute_batch("PRAGMA user_version = 9").unwrap();
    let error = Sqlite::open(folder.path()).await.err().unwrap();
    assert!(matches!(error, Error::Newer { found: 9, known: 1 }), "{error:?}");

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("tabane.db"),
        b"no database at all, but long enough to look at".repeat(20),
    )
    .unwrap();
    let error = Sqlite::open(folder.path()).await.err().unwrap();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_busy_store_is_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(Sqlite::open(folder.path().join("live")).await.unwrap());
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            for i in 0..500u32 {
                let txn = Txn::new().put(format!("a/{i}"), vec![1u8; 2000]).put(format!("b/{i}"), "x");
                commit(&store, txn.put("n", (i + 1).to_string())).await;
            }
        })
    };
    let path = folder.path().join("backup.db");
    std::fs::write(folder.path().join("backup.db.new"), "left by an interrupted backup").unwrap();
    while !writer.is_finished() {
        store.backup(&path).await.unwrap();
    }
    writer.await.unwrap();
    std::fs::create_dir(folder.path().join("restored")).unwrap();
    std::fs::rename(&path, folder.path().join("restored/tabane.db")).unwrap();
    let restored = Sqlite::open(folder.path().join("restored")).await.unwrap();
    restored.verify().await.unwrap();
    let n = restored.get("n").await.unwrap().expect("the backup was made in the middle");
    let n: usize = std::str::from_utf8(&n.value).unwrap().parse().unwrap();
    assert_eq!(restored.list("a/", None, usize::MAX).await.unwrap().entries.len(), n);
    assert_eq!(restored.list("b/", None, usize::MAX).await.unwrap().entries.len(), n);
    assert_eq!(restored.revision().await.unwrap(), n as u64);
    let live = store.revision().await.unwrap();
    if live > n as u64 {
        assert!(matches!(restored.watch("", live).await, Err(Error::Future { .. })));
    }
}
