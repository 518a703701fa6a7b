//! A full disk is a clean error, and the store goes on when there is space again.

use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tabane_store::{Compare, Error, Outcome, Sqlite, Store, Txn};

struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    /// `None` where we may not mount.
    fn new(size: &str) -> Option<Tmpfs> {
        let folder = tempfile::tempdir().unwrap();
        let data = std::ffi::CString::new(format!("size={size}")).unwrap();
        match mount("tmpfs", folder.path(), "tmpfs", MountFlags::empty(), data.as_c_str()) {
            Ok(()) => Some(Tmpfs(folder)),
            Err(error) => {
                eprintln!("skipped: cannot mount a tmpfs: {error}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = unmount(self.path(), UnmountFlags::DETACH);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_a_clean_error() {
    let Some(disk) = Tmpfs::new("8m") else { return };
    let store = Sqlite::open(disk.path().join("store")).await.unwrap();
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![1u8; 3 << 20]).unwrap();
    let mut written = 0;
    let refused = loop {
        let txn =
            Txn::new().put(format!("k/{written:04}"), vec![b'x'; 30_000]).put("count", written.to_string());
        match store.txn(txn).await {
            Ok(Outcome::Committed(_)) => written += 1,
            Ok(conflict) => panic!("{conflict:?}"),
            Err(error) => break error,
        }
        assert!(written < 1000, "the disk never fills");
    };
    assert!(matches!(refused, Error::Full), "{refused:?}");
    assert!(written > 20);
    let backup = store.backup(disk.path().join("backup.db")).await;
    assert!(matches!(backup, Err(Error::Full)), "{backup:?}");
    assert!(!disk.path().join("backup.db").exists() && !disk.path().join("backup.db.new").exists());

    // Everything acknowledged can be read, the refused txn left nothing.
    let revision = store.revision().await.unwrap();
    let page = store.list("k/", None, usize::MAX).await.unwrap();
    assert_eq!((page.entries.len(), page.revision), (written, revision));
    let absent = Txn::new().when(Compare::Absent(format!("k/{written:04}")));
    assert!(matches!(store.txn(absent).await, Ok(Outcome::Committed(at)) if at == revision));

    std::fs::remove_file(&ballast).unwrap();
    let Outcome::Committed(next) = store.txn(Txn::new().put("after", "x")).await.unwrap() else { panic!() };
    assert_eq!(next, revision + 1, "the refused txn used no revision");
    store.verify().await.unwrap();
    drop(store);
    let store = Sqlite::open(disk.path().join("store")).await.unwrap();
    assert_eq!(store.revision().await.unwrap(), next);
    assert_eq!(store.list("k/", None, usize::MAX).await.unwrap().entries.len(), written);
}
