//! Flavors: sizes with names, so that machines come in a few sizes instead of any.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Faults, Kind, resource::resource, vm::CPUS_MAX};

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

resource!(
    /// A size for VMs. VMs that were made by it keep their size when it changes.
    Flavor, Kind::Flavor, FlavorSpec, FlavorStatus,
    validate: FlavorSpec::validate,
    phase: |_flavor| "ready",
);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FlavorSpec {
    pub cpus: u32,
    pub memory_bytes: u64,
    /// Size of the first disk; the image's own unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FlavorStatus {}

impl FlavorSpec {
    /// What there is at the first start.
    pub fn initial() -> [(&'static str, Self); 4] {
        let flavor = |cpus, gib: u64, description: &str| Self {
            cpus,
            memory_bytes: gib << 30,
            disk_bytes: None,
            description: description.into(),
        };
        [
            ("small", flavor(1, 1, "for services that do little")),
            ("medium", flavor(2, 4, "for most servers")),
            ("large", flavor(4, 8, "for application servers")),
            ("xlarge", flavor(8, 16, "for data bases and builds")),
        ]
    }

    fn validate(&self, faults: &mut Faults) {
        faults.range("spec.cpus", self.cpus.into(), 1, CPUS_MAX.into(), "");
        faults.size("spec.memory_bytes", self.memory_bytes, 32 * MIB, 16 * TIB);
        if !self.memory_bytes.is_multiple_of(MIB) {
            faults.add(
                "spec.memory_bytes",
                "memory is given in whole MiB",
                "round it to a multiple of 1 MiB",
            );
        }
        if let Some(size) = self.disk_bytes {
            crate::disk::validate_size("spec.disk_bytes", size, faults);
        }
        faults.text("spec.description", &self.description, 200);
    }
}
