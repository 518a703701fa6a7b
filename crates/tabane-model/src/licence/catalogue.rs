//! A catalogue file: one vendor's products, and the ways to licence each.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Metric, Origin, Price, metric::NUMBER_MAX};
use crate::Faults;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// The day on which the rules were looked up.
    pub as_of: Date,
    pub vendor: String,
    pub product: Vec<Product>,
}

/// What a VM needs a licence of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    pub name: String,
    /// Each is enough for a VM that needs the product; the cheapest is chosen.
    pub edition: Vec<Edition>,
}

/// One way to licence a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edition {
    pub name: String,
    pub metric: Metric,
    /// How many licences are sold together.
    #[serde(default = "one")]
    pub pack: u32,
    /// Of a pack. Without it the user has to give one before anything is chosen by cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// What must be had besides, in words: maintenance, a subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires: Option<String>,
    /// Licences for those who use it, once for the whole site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    pub source: Vec<Origin>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// What each user or device needs.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

fn one() -> u32 {
    1
}

impl Catalogue {
    pub fn product(&self, name: &str) -> Option<&Product> {
        self.product.iter().find(|product| product.name == name)
    }

    /// Everything that is wrong.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        if self.vendor.trim().is_empty() {
            faults.add("vendor", "it is empty", "name the vendor");
        }
        if self.product.is_empty() {
            faults.add("product", "there is no product", "describe one under [[product]]");
        }
        let mut names = BTreeSet::new();
        for product in &self.product {
            let field = format!("product[{}]", product.name);
            if product.name.trim().is_empty() || !names.insert(&product.name) {
                faults.add(
                    field.as_str(),
                    "the name is empty or taken",
                    "give each product a name of its own",
                );
            }
            product.faults(&field, &mut faults);
        }
        faults
    }
}

impl Product {
    pub fn edition(&self, name: &str) -> Option<&Edition> {
        self.edition.iter().find(|edition| edition.name == name)
    }

    /// Adds what is wrong with it; `field` is where it stands.
    pub fn faults(&self, field: &str, faults: &mut Faults) {
        if self.edition.is_empty() {
            faults.add(field, "there is no edition", "describe one under [[product.edition]]");
        }
        let mut names = BTreeSet::new();
        for edition in &self.edition {
            let field = format!("{field}.edition[{}]", edition.name);
            if edition.name.trim().is_empty() || !names.insert(&edition.name) {
                faults.add(
                    field.as_str(),
                    "the name is empty or taken",
                    "give each edition a name of its own",
                );
            }
            faults.range(&format!("{field}.pack"), edition.pack.into(), 1, NUMBER_MAX, " licences");
            edition.metric.check(&format!("{field}.metric"), faults);
            if edition.source.is_empty() {
                let hint = "say where the rule is written, or standing = \"knowledge\"";
                faults.add(format!("{field}.source"), "the rule has no source", hint);
            }
            for (at, source) in edition.source.iter().enumerate() {
                source.check(&format!("{field}.source[{at}]"), faults);
            }
            if let Some(price) = &edition.price {
                price.check(&format!("{field}.price"), faults);
            }
            if let Some(price) = edition.access.as_ref().and_then(|access| access.price.as_ref()) {
                price.check(&format!("{field}.access.price"), faults);
            }
        }
    }
}
