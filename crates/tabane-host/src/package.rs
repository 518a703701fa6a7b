//! What would become of a foreign package: the planner, for whoever has no parser of his own, such as a browser.
//!
//! The host is asked because the server may not know foreign formats. Nothing is made here and nothing is kept.

use tabane_client::Stream;
use tabane_model::{
    Class, PackageAnswer, PackageOrder, PackagePlan, Problem,
    package_bounds::{ORDER_BYTES_MAX, PLAN_BYTES_MAX},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Plans are made one after the other: a descriptor takes many times its size of memory while it is looked at.
static ONE: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(1);

pub async fn plan(mut stream: Stream) -> std::io::Result<()> {
    let mut order = Vec::new();
    (&mut stream).take(ORDER_BYTES_MAX as u64 + 1).read_to_end(&mut order).await?;
    let _permit = ONE.acquire().await.expect("it is never closed");
    let answer = tokio::task::spawn_blocking(move || answer(&order)).await?;
    stream.write_all(&serde_json::to_vec(&answer).expect("has string keys")).await?;
    stream.shutdown().await
}

fn answer(order: &[u8]) -> PackageAnswer {
    match made(order) {
        Ok(plan) => PackageAnswer::Plan(Box::new(plan)),
        Err(problem) => PackageAnswer::Refused(problem),
    }
}

fn made(order: &[u8]) -> Result<PackagePlan, Box<Problem>> {
    let refused = |detail: String| {
        let hint = "export the VM again, or import it by `tabane vm import`";
        Box::new(Problem::new(Class::Invalid, "package_refused", detail).with_hint(hint))
    };
    if order.len() > ORDER_BYTES_MAX {
        return Err(refused("the package's descriptor and manifest are too long".into()));
    }
    let order: PackageOrder = serde_json::from_slice(order).map_err(|error| refused(error.to_string()))?;
    let plan = tabane_convert::plan::plan(&order.request, &order.networks);
    let plan = plan.map_err(|error| Box::new(error.problem()))?;
    let bytes = serde_json::to_vec(&plan).map_or(0, |text| text.len());
    if bytes > PLAN_BYTES_MAX {
        return Err(refused("the package has more licences and devices than can be shown".into()));
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_order_is_refused_in_words() {
        let told = |order: &[u8]| match answer(order) {
            PackageAnswer::Refused(problem) => problem.detail,
            PackageAnswer::Plan(plan) => panic!("{plan:?}"),
        };
        assert!(told(&vec![b' '; ORDER_BYTES_MAX + 1]).contains("too long"));
        assert!(told(b"{}").contains("missing field"));
        let order =
            br#"{"request":{"descriptor_name":"a.ovf","descriptor":"<a/>","files":[]},"networks":[]}"#;
        assert!(told(order).contains("no Envelope"), "{}", told(order));
    }
}
