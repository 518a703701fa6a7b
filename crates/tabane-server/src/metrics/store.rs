//! The store, with a look at how long it takes.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use tabane_store::{Entry, LeaseId, Outcome, Page, Result, Revision, Store, Txn, Watch};

use super::Requests;

/// Measures txns and reads on their way to the store behind it.
pub struct Measured {
    store: Arc<dyn Store>,
    requests: Requests,
}

impl Measured {
    pub fn new(store: Arc<dyn Store>, requests: Requests) -> Self {
        Self { store, requests }
    }

    async fn measure<T>(&self, operation: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let began = Instant::now();
        let result = work.await;
        self.requests.store(operation, began.elapsed());
        result
    }
}

#[async_trait]
impl Store for Measured {
    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        self.measure("get", self.store.get(key)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page> {
        self.measure("list", self.store.list(prefix, after, limit)).await
    }

    async fn txn(&self, txn: Txn) -> Result<Outcome> {
        self.measure("txn", self.store.txn(txn)).await
    }

    async fn revision(&self) -> Result<Revision> {
        self.store.revision().await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch> {
        self.store.watch(prefix, after).await
    }

    async fn compact(&self, before: Revision) -> Result<()> {
        self.measure("compact", self.store.compact(before)).await
    }

    async fn lease_grant(&self, ttl_ms: u64) -> Result<LeaseId> {
        self.store.lease_grant(ttl_ms).await
    }

    async fn lease_renew(&self, lease: LeaseId) -> Result<()> {
        self.store.lease_renew(lease).await
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<()> {
        self.store.lease_revoke(lease).await
    }
}
