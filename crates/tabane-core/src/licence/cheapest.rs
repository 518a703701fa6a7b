//! The cheapest way to licence the VMs of one host: one edition for all, or several side by side.
//!
//! Editions that cover a number of VMs (sets, VMs per licence) may stand beside editions that licence each VM by its
//! cores; of those mixes the cheapest is found exactly: sets cover the VMs that are dearest on their own, and how many
//! they cover is tried through. Editions that cover all VMs of a host are tried alone. Caps, partitions and
//! one-per-licence are, too, which is not exact in theory: nobody is known to sell them beside others.

use tabane_model::licence::Amount;

use super::{
    Host, Pool, Position, Tally, Tariff, Vm,
    tariff::{Choice, Rule},
};

/// What to buy for one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    pub cost: Amount,
    pub parts: Vec<Part>,
}

/// Packs of one edition, and which VMs they are for, by their places in what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub edition: usize,
    pub packs: u64,
    pub cost: Amount,
    pub vms: Vec<usize>,
}

/// `None` if no edition may licence the host.
pub fn cheapest(tariff: &Tariff, host: &Host, vms: &[Vm], pool: Pool, position: Position) -> Option<Mix> {
    let choices = tariff.on(host, position).choices;
    let weights: Vec<Tally> = vms.iter().map(|vm| tariff.weigh(vm)).collect();
    let mut all = Tally::default();
    weights.iter().for_each(|weight| all += *weight);
    let alone = choices
        .iter()
        .map(|choice| part(choice, choice.packs(&all, pool), (0..vms.len()).collect()))
        .min_by_key(|part| part.cost)?;
    let mixed = if vms.is_empty() { None } else { mix(&choices, &weights) };
    match mixed {
        Some(mix) if mix.cost < alone.cost => Some(mix),
        _ => Some(Mix { cost: alone.cost, parts: if alone.packs > 0 { vec![alone] } else { Vec::new() } }),
    }
}

fn part(choice: &Choice, packs: u64, vms: Vec<usize>) -> Part {
    Part { edition: choice.edition, packs, cost: Amount(choice.cost(packs)), vms }
}

/// The cheapest way to cover so many VMs by sets of the choices so far, and how many sets of the last one.
#[derive(Clone, Copy)]
struct Covered {
    cost: u64,
    sets: u64,
}

fn mix(choices: &[Choice], weights: &[Tally]) -> Option<Mix> {
    let count = weights.len();
    let sets: Vec<(&Choice, u64, u64)> = choices
        .iter()
        .filter_map(|choice| match choice.rule {
            Rule::Sets { licences, vms } => Some((choice, licences, vms)),
            _ => None,
        })
        .collect();
    // Each VM by itself: the cheapest edition for it. The dearest first, since sets do not ask for size.
    let single = |at: usize| {
        let of = |choice: &Choice| match choice.rule {
            Rule::EachVm(gauge) => Some((choice.cost(weights[at].by_gauge(gauge)), choice.edition)),
            _ => None,
        };
        choices.iter().filter_map(of).min()
    };
    let mut singles: Vec<(Option<(u64, usize)>, usize)> = (0..count).map(|at| (single(at), at)).collect();
    singles.sort_by_key(|(single, at)| (std::cmp::Reverse(single.map_or(u64::MAX, |(cost, _)| cost)), *at));

    let mut stages = vec![cover_none(count)];
    for (choice, licences, vms) in &sets {
        let before = &stages[stages.len() - 1];
        stages
            .push((0..=count).map(|covered| cover_more(before, choice, *licences, *vms, covered)).collect());
    }
    let last = &stages[stages.len() - 1];
    // So many by sets, the others by themselves.
    let total = |covered: usize| {
        let mut rest = singles[covered..].iter().map(|(single, _)| single.map(|(cost, _)| cost));
        let rest = rest.try_fold(0u64, |sum, cost| Some(sum.saturating_add(cost?)))?;
        Some((last[covered]?.cost.saturating_add(rest), covered))
    };
    let (cost, covered) = (0..=count).filter_map(total).min()?;

    let mut parts = Vec::new();
    let (mut from, mut left) = (0, covered);
    for (stage, (choice, licences, vms)) in stages[1..].iter().zip(&sets).rev() {
        let taken = stage[left]?.sets;
        let to = from + left.min((taken * vms) as usize);
        if taken > 0 {
            let packs = (taken * licences).div_ceil(choice.pack);
            parts.push(part(choice, packs, singles[from..to].iter().map(|(_, at)| *at).collect()));
        }
        left -= to - from;
        from = to;
    }
    for choice in choices {
        let Rule::EachVm(gauge) = choice.rule else { continue };
        let own = singles[covered..].iter();
        let own = own.filter(|(single, _)| single.is_some_and(|(_, edition)| edition == choice.edition));
        let own: Vec<usize> = own.map(|(_, at)| *at).collect();
        if !own.is_empty() {
            let packs = own.iter().map(|at| weights[*at].by_gauge(gauge)).sum();
            parts.push(part(choice, packs, own));
        }
    }
    Some(Mix { cost: Amount(cost), parts })
}

fn cover_none(count: usize) -> Vec<Option<Covered>> {
    let mut stage = vec![None; count + 1];
    stage[0] = Some(Covered { cost: 0, sets: 0 });
    stage
}

/// The cheapest number of sets of one more choice. Packs are rounded up for all its sets together.
fn cover_more(
    before: &[Option<Covered>],
    choice: &Choice,
    licences: u64,
    vms: u64,
    covered: usize,
) -> Option<Covered> {
    let most = (covered as u64).div_ceil(vms);
    let of = |sets: u64| {
        let rest = before[covered.saturating_sub((sets * vms) as usize)]?;
        let packs = sets.checked_mul(licences)?.div_ceil(choice.pack);
        Some(Covered { cost: rest.cost.checked_add(packs.checked_mul(choice.price)?)?, sets })
    };
    (0..=most).filter_map(of).min_by_key(|covered| covered.cost)
}
