//! What licences cost at least, wherever VMs are placed.
//!
//! On a host, either some edition covers it as a whole at a flat cost, or each VM pays its own share: of a set, of a
//! licence for several VMs, or of its cores. Shares are taken at their cheapest over all kinds of hosts and editions, so
//! their sum is never more than what a placement pays without flat editions; a placement with one pays that at least
//! once. Where it is known how much one host takes, a flat cost has a share as well, and each VM pays the lesser of its
//! two. VMs of a product may share hosts in any way; what they need besides licences is not looked at.

use tabane_model::licence::Amount;

use super::{
    Host, Position, Tally, Tariff, Vm,
    tariff::{Choice, Rule},
};

/// A kind of host, and how much of the product one takes at most, where that is known.
#[derive(Debug, Clone)]
pub struct Room {
    pub host: Host,
    pub vms_max: Option<u32>,
    /// Virtual cores of all its VMs that need the product.
    pub vcpus_max: Option<u32>,
}

/// Shares are counted in such parts of a ten-thousandth, and rounded down.
const PARTS: u128 = 1 << 20;

/// Never more than what any placement onto any number of such hosts pays for licences of the product. `None` if there is
/// a VM and no kind of host may be licensed.
pub fn lower_bound(tariff: &Tariff, rooms: &[Room], vms: &[Vm], position: Position) -> Option<Amount> {
    if vms.is_empty() {
        return Some(Amount(0));
    }
    let kinds: Vec<(&Room, Vec<Choice>)> =
        rooms.iter().map(|room| (room, tariff.on(&room.host, position).choices)).collect();
    let choices = || kinds.iter().flat_map(|(room, choices)| choices.iter().map(move |c| (*room, c)));
    choices().next()?;
    let weights: Vec<Tally> = vms.iter().map(|vm| tariff.weigh(vm)).collect();

    let own = |at: usize| choices().filter_map(|(_, choice)| share(choice, &weights[at])).min();
    let own: Vec<Option<u128>> = (0..vms.len()).map(own).collect();
    let once = choices().filter_map(|(_, choice)| flat(choice)).min().map(|cost| u128::from(cost) * PARTS);
    let without = own.iter().copied().sum::<Option<u128>>();
    let plain = [once, without].into_iter().flatten().min();

    // The same with shares of flat costs: of a host's VMs, or of its virtual cores. Each measure is a bound by itself.
    let shared = |size: &dyn Fn(&Vm) -> u32, most: &dyn Fn(&Room) -> Option<u32>| {
        // A host that takes any amount makes flat costs vanish.
        let each = |(room, choice): (&Room, &Choice)| {
            let cost = flat(choice)?;
            Some(match most(room) {
                Some(0) => u128::MAX,
                Some(most) => u128::from(cost) * PARTS / u128::from(most),
                None => 0,
            })
        };
        let unit = choices().filter_map(each).min();
        let of = |(vm, own): (&Vm, &Option<u128>)| {
            let flat = unit.map(|unit| unit.saturating_mul(u128::from(size(vm))));
            [flat, *own].into_iter().flatten().min()
        };
        vms.iter().zip(&own).map(of).try_fold(0u128, |sum, share| Some(sum.saturating_add(share?)))
    };
    let by_vms = shared(&|_| 1, &|room| room.vms_max);
    let by_cores = shared(&|vm| vm.vcpus, &|room| room.vcpus_max);
    let best = [plain, by_vms, by_cores].into_iter().flatten().max()?;
    Some(Amount(u64::try_from(best / PARTS).unwrap_or(u64::MAX)))
}

/// What one VM pays of an edition at least, where what is paid grows with VMs.
fn share(choice: &Choice, weight: &Tally) -> Option<u128> {
    let of_licences = |licences: u128, among: u128| {
        licences * u128::from(choice.price) * PARTS / (u128::from(choice.pack) * among)
    };
    match choice.rule {
        Rule::Sets { licences, vms } => Some(of_licences(licences.into(), vms.into())),
        Rule::EachVm(gauge) => Some(u128::from(weight.by_gauge(gauge)) * u128::from(choice.price) * PARTS),
        Rule::Capped { units, .. } => {
            Some(of_licences(u128::from(weight.by_gauge(0)) * u128::from(units), 1))
        }
        // Only VMs in partitions have a share; with any other on the host it is counted as a whole.
        Rule::Partition { thousandths, .. } if weight.bound() => {
            Some(of_licences(u128::from(weight.bound_cores()) * u128::from(thousandths), 1000))
        }
        Rule::Partition { .. } | Rule::Flat(_) | Rule::AtLeast(_) => None,
    }
}

/// What a host pays of an edition as a whole, if it can.
fn flat(choice: &Choice) -> Option<u64> {
    let licences = match choice.rule {
        Rule::Flat(licences) | Rule::AtLeast(licences) => licences,
        Rule::Capped { cores, units } => cores * units,
        Rule::Partition { cores, thousandths, .. } => super::count::processors(cores, thousandths),
        Rule::Sets { .. } | Rule::EachVm(_) => return None,
    };
    Some(choice.cost(licences.div_ceil(choice.pack)))
}
