//! A user's own prices: what is in the catalogue is a list price at best.

use serde::{Deserialize, Serialize};

use super::{Catalogue, Price};
use crate::Faults;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceList {
    pub price: Vec<PriceOf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceOf {
    pub product: String,
    pub edition: String,
    /// Of a pack as the catalogue says it is sold.
    pub price: Price,
}

impl PriceList {
    /// Puts these prices in the place of the catalogue's. What names nothing in it is told, and the rest still holds.
    pub fn apply(&self, catalogue: &mut Catalogue) -> Faults {
        let mut faults = Faults::default();
        for (at, own) in self.price.iter().enumerate() {
            let field = format!("price[{at}]");
            own.price.check(&format!("{field}.price"), &mut faults);
            let product = catalogue.product.iter_mut().find(|product| product.name == own.product);
            let edition = product
                .and_then(|product| product.edition.iter_mut().find(|edition| edition.name == own.edition));
            match edition {
                Some(edition) => edition.price = Some(own.price.clone()),
                None => faults.add(
                    field,
                    format!("there is no edition {:?} of {:?}", own.edition, own.product),
                    "use the names of the catalogue",
                ),
            }
        }
        faults
    }
}
