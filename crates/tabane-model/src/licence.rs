//! The forms of licence catalogues: what vendors ask to be counted, for how much, and where it is written.
//!
//! ```text
//!  Catalogue (one vendor, as of a day) ─► Product ─► Edition ─► Metric    what is counted
//!                                                       ├────► Price     of one pack; PriceList overrides it
//!                                                       └────► Origin    whose words the rule follows, and how well known
//! ```
//!
//! Rules change and contracts differ, so they are data with a date and an origin, never code. What a number of an edition
//! means for hosts and VMs is in the core's `licence`.

mod catalogue;
mod metric;
mod origin;
mod price;
mod price_list;

pub use catalogue::{Access, Catalogue, Edition, Product};
pub use metric::{CoreFactor, Cover, Metric, PvuRate};
pub use origin::{Origin, Standing};
pub use price::{Amount, AmountError, Price, Term};
pub use price_list::{PriceList, PriceOf};

#[cfg(test)]
mod tests;
