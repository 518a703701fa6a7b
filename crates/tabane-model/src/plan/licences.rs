//! Licences of a plan: which servers need what, what that costs on the hosts that they share, and what it cost before.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ServerPattern, rules};
use crate::{Faults, licence::Product};

/// Servers that need a product: `[[licence]]` of the policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LicenceNeed {
    /// As a catalogue calls it.
    pub product: String,
    pub servers: Vec<ServerPattern>,
    /// Those that are a choice; all that have a price unless stated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub editions: Vec<String>,
}

/// Whose count is paid for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LicencePosition {
    /// What the words of the contract count.
    #[default]
    Contract,
    /// What the vendor's partitioning policy claims.
    Policy,
}

pub(super) fn faults(needs: &[LicenceNeed], years: u32, faults: &mut Faults) {
    for (at, need) in needs.iter().enumerate() {
        rules::patterns(&format!("licence[{at}].servers"), &need.servers, faults);
        if needs[..at].iter().any(|other| other.product == need.product) {
            let hint = "name all its servers in one [[licence]]";
            faults.add(format!("licence[{at}].product"), "the product is named twice", hint);
        }
    }
    faults.range("licence_years", u64::from(years), 1, 20, " years");
}

/// A product of a catalogue as it was when the plan was made, with the editions that are a choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanProduct {
    pub vendor: String,
    /// The day on which its rules were looked up.
    #[schema(value_type = String, format = Date)]
    pub as_of: Date,
    #[schema(value_type = Object)]
    pub product: Product,
}

/// Over so many years: what is bought once counts once, what is paid each year or month as often as that is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanLicences {
    pub currency: String,
    pub years: u32,
    /// Of all products.
    pub before: f64,
    pub after: f64,
    /// What no placement of these servers can do without.
    pub lower_bound: f64,
    pub products: Vec<ProductLicences>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProductLicences {
    pub product: String,
    pub servers: u32,
    /// It is bought once; otherwise paid all the time.
    pub once: bool,
    /// Each server on a host of its own, as it is.
    pub before: f64,
    /// By the position that is paid for.
    pub after: f64,
    /// By the words of the contract, and by what the vendor's policy claims: two positions, neither of which is called right.
    pub contract: f64,
    pub policy: f64,
    pub lower_bound: f64,
    /// Hosts that need licences.
    pub hosts: Vec<HostLicences>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostLicences {
    pub host: String,
    pub cost: f64,
    pub bought: Vec<LicencePacks>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LicencePacks {
    pub edition: String,
    pub packs: u64,
}
