//! What hosts are asked for at most, as a whole and over time.

use tabane_model::{HostType, PlanCurve, PlanResource};

use super::needs::Resource;
use crate::pack::{Demand, Packed};

/// Parts of the time line that a curve has at most.
const PARTS_MAX: usize = 240;
const WHOLE: u64 = 1_000;

/// The peak and the curve of each resource of a host.
pub(super) fn peaks(
    demand: &Demand,
    host: &Packed,
    kind: &HostType,
    resources: &[Resource],
) -> (Vec<PlanResource>, Vec<PlanCurve>) {
    let of = |(dimension, resource): (usize, &Resource)| {
        let sums = demand.sum(host.servers.iter().copied(), dimension);
        let has = resource.capacity(kind).max(1);
        let most = sums.iter().copied().max().unwrap_or(0);
        let part = sums.len().div_ceil(PARTS_MAX).max(1);
        let parts = sums.chunks(part).map(|part| part.iter().copied().max().unwrap_or(0));
        // Rounded up, so that a curve never hides a peak.
        let thousandths = parts.map(|most| (most * WHOLE).div_ceil(u64::from(has)) as u32).collect();
        (
            PlanResource { resource: resource.name.into(), share: most as f64 / f64::from(has) },
            PlanCurve { resource: resource.name.into(), thousandths },
        )
    };
    resources.iter().enumerate().map(of).unzip()
}
