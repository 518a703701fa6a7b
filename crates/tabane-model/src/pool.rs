//! Pools of storage.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Faults, Kind, Name,
    resource::{resource, words},
};

resource!(
    /// A pool of storage for disks.
    Pool, Kind::Pool, PoolSpec, PoolStatus,
    validate: PoolSpec::validate,
    phase: |pool| if pool.meta.deleted_at.is_some() { "deleting" }
        else if pool.status.hosts.values().any(|h| h.ready) { "ready" } else { "pending" },
);

words!(PoolKind {
    /// A folder on each host, disks as qcow2 files.
    #[default]
    Dir = "dir",
});

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolSpec {
    #[serde(default)]
    pub kind: PoolKind,
    /// The folder, the same on every host; inside the host agent's data folder when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PoolStatus {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, PoolOnHost>)]
    pub hosts: BTreeMap<Name, PoolOnHost>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PoolOnHost {
    pub ready: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(default)]
    pub capacity_bytes: u64,
    #[serde(default)]
    pub free_bytes: u64,
    /// Full clones share blocks with the image at first.
    #[serde(default)]
    pub reflink: bool,
}

impl PoolSpec {
    fn validate(&self, faults: &mut Faults) {
        if let Some(path) = &self.path {
            faults.text("spec.path", path, 1024);
            if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
                faults.add("spec.path", "is no plain absolute path", "begin with '/' and leave out '..'");
            }
        }
    }
}
