//! The store as its users see it, and what a crash, a full disk and a torn write leave of it.

#![allow(clippy::unwrap_used)]

mod child;
mod durable;
mod full;
mod kill;
mod model;
mod speed;
mod torn;

mod memory {
    tabane_store::conformance!(((), tabane_store::Memory::new()));
}

mod sqlite {
    tabane_store::conformance!({
        let folder = tempfile::tempdir().unwrap();
        let store = tabane_store::Sqlite::open(folder.path()).await.unwrap();
        (folder, store)
    });
}
