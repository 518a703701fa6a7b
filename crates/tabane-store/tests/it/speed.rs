//! Figures, with bounds that only a mistake would break.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tabane_store::{Sqlite, Store, Txn};

async fn open() -> (tempfile::TempDir, Arc<Sqlite>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path()).await.unwrap();
    (folder, Arc::new(store))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_txns_share_an_fsync() {
    const TASKS: usize = 256;
    const EACH: usize = 40;
    let (_folder, store) = open().await;
    let start = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for i in 0..EACH {
                    store
                        .txn(Txn::new().put(format!("vms/{task}/{}", i % 8), vec![b'x'; 300]))
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let many = (TASKS * EACH) as f64 / start.elapsed().as_secs_f64();

    let mut single = Vec::new();
    for i in 0..200 {
        let start = Instant::now();
        store.txn(Txn::new().put(format!("one/{i}"), vec![b'x'; 300])).await.unwrap();
        single.push(start.elapsed());
    }
    single.sort();
    println!(
        "{many:.0} txn/s in flight together; one alone {:?} (p50), {:?} (p99)",
        single[100], single[197]
    );
    assert!(many > 500.0, "{many:.0} txn/s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_entries_stay_small_and_watches_cost_no_writer() {
    let (_folder, store) = open().await;
    let watches: Vec<_> = (0..40)
        .map(|i| {
            let store = store.clone();
            tokio::spawn(async move {
                let prefix = if i % 2 == 0 { "vms/".to_owned() } else { format!("vms/{i}/") };
                let mut watch = store.watch(&prefix, 0).await.unwrap();
                let mut seen = 0;
                while let Ok(Ok(batch)) = tokio::time::timeout(Duration::from_secs(2), watch.next()).await {
                    seen += batch.changes.len();
                }
                seen
            })
        })
        .collect();
    let start = Instant::now();
    let tasks: Vec<_> = (0..100)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for i in 0..100 {
                    store.txn(Txn::new().put(format!("vms/{task}/{i}"), vec![b'x'; 3000])).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let writing = start.elapsed();
    let start = Instant::now();
    let page = store.list("vms/", None, usize::MAX).await.unwrap();
    let listing = start.elapsed();
    assert_eq!(page.entries.len(), 10_000);
    drop(page);
    let start = Instant::now();
    for i in 0..1000 {
        assert!(store.get(&format!("vms/{}/{}", i % 100, i / 100)).await.unwrap().is_some());
    }
    let getting = start.elapsed() / 1000;
    for (i, watch) in watches.into_iter().enumerate() {
        let seen = watch.await.unwrap();
        assert_eq!(seen, if i % 2 == 0 { 10_000 } else { 100 });
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!(
        "10,000 entries of 3 kB with 40 watches: written in {writing:?}, listed in {listing:?}, get {getting:?}, {resident}"
    );
}
