//! Whether the entries of catalogues and of the support matrix that a plan carries are what they have to be. What they say is
//! somebody's word; that they are whole, and that the plan has use for each, can be told.

use tabane_model::{Fault, Faults, Plan, Traces};

pub(super) fn faults(plan: &Plan, traces: &Traces) -> Vec<Fault> {
    let assumed = &plan.assumptions;
    let mut faults = Faults::default();
    for (at, product) in assumed.products.iter().enumerate() {
        let name = &product.product.name;
        let field = format!("products[{at}]");
        product.product.faults(&field, &mut faults);
        if assumed.products[..at].iter().any(|other| other.product.name == *name) {
            faults.add(&*field, format!("{name} is there twice"), "take one of them out");
        }
        if !assumed.policy.licence.iter().any(|need| need.product == *name) {
            faults.add(field, format!("no server needs {name} by the policy"), "take it out");
        }
    }
    for (at, entry) in assumed.support.iter().enumerate() {
        let field = format!("support[{at}]");
        entry.faults(&field, &mut faults);
        if assumed.support[..at].contains(entry) {
            faults.add(&*field, "the same entry stands above", "take one of them out");
        }
        if !traces.servers.iter().any(|server| !entry.recognise(server).is_empty()) {
            faults.add(field, "it is about none of these servers", "take it out");
        }
    }
    faults.0
}
