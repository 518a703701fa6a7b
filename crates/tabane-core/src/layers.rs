//! The layers that a disk consists of, and which of them can go.
//!
//! ```text
//!   0 ◄── 1 ◄── 3          each layer holds what was written after the one below it was frozen
//!   ▲           ▲          snapshots hold 0 and 1; the guest writes to 3, the active one
//!   └──── 2     active     2 was active before a revert, and can go
//! ```
//!
//! A layer stays for as long as it is active, held by a snapshot, or below one of those. What is left over goes in
//! steps of [`Tidy`]. Invariants: the active layer is never held and has nothing on it; numbers are never used twice.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tabane_model::Uid;

/// Number of a layer of one disk; 0 is the one that the disk began with.
pub type Layer = u32;

/// A child that is frozen is merged with what is below it only if that is not much more work than it frees: until then
/// nothing is lost but what both have.
const WORTHWHILE_BYTES: u64 = 256 << 20;
/// Reads slow down with the length of a chain.
const CHAIN_LENGTH_MAX: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// Each layer with the one below it.
    below: BTreeMap<Layer, Option<Layer>>,
    active: Layer,
    next: Layer,
    /// Which frozen layer each snapshot stands for.
    #[serde(default)]
    held: BTreeMap<Uid, Layer>,
    /// A new layer over the active one: from when this is on disk it may be the one that QEMU writes to.
    #[serde(default)]
    taking: Option<Layer>,
    /// The layer that takes the place of the active one, whose whole content it has: from when this is on disk it is
    /// the one to start with.
    #[serde(default)]
    pivot: Option<Layer>,
    /// The last revert that was done.
    #[serde(default)]
    reverted: Option<Uid>,
}

/// A step that makes a chain shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tidy {
    /// Nobody needs it: its file goes.
    Drop(Layer),
    /// `into` takes over what it does not have of the layer below it, which nobody else needs.
    Stream { into: Layer, from: Layer },
    /// `from`, the active layer, is written into the one below it, which becomes the active one.
    Commit { from: Layer, into: Layer },
}

impl Default for Layers {
    /// A disk that never had a snapshot.
    fn default() -> Self {
        Self {
            below: BTreeMap::from([(0, None)]),
            active: 0,
            next: 1,
            held: BTreeMap::new(),
            taking: None,
            pivot: None,
            reverted: None,
        }
    }
}

impl Layers {
    pub fn active(&self) -> Layer {
        self.active
    }

    pub fn taking(&self) -> Option<Layer> {
        self.taking
    }

    pub fn pivot(&self) -> Option<Layer> {
        self.pivot
    }

    pub fn reverted(&self) -> Option<Uid> {
        self.reverted
    }

    /// All layers, also one that is just being made.
    pub fn all(&self) -> impl Iterator<Item = Layer> {
        self.below.keys().copied().chain(self.taking)
    }

    pub fn below(&self, layer: Layer) -> Option<Layer> {
        self.below.get(&layer).copied().flatten()
    }

    pub fn held_by(&self, snapshot: Uid) -> Option<Layer> {
        self.held.get(&snapshot).copied()
    }

    pub fn holders(&self) -> impl Iterator<Item = Uid> {
        self.held.keys().copied()
    }

    /// The layer and all below it, in this order.
    pub fn chain(&self, layer: Layer) -> Vec<Layer> {
        std::iter::successors(Some(layer), |layer| self.below(*layer)).collect()
    }

    /// The snapshot that a layer's content comes from: the nearest one below.
    pub fn origin(&self, layer: Layer) -> Option<Uid> {
        let below = self.chain(layer).into_iter().skip(1);
        below.into_iter().find_map(|l| self.held.iter().find(|(_, held)| **held == l).map(|(uid, _)| *uid))
    }

    /// Announces a new layer over the active one.
    pub fn announce(&mut self) -> Layer {
        let new = self.taking.unwrap_or_else(|| self.reserve());
        self.taking = Some(new);
        new
    }

    /// What QEMU writes to is the announced layer now. What was active is frozen, and held by the snapshot if there is one.
    pub fn freeze(&mut self, snapshot: Option<Uid>) {
        let Some(new) = self.taking.take() else { return };
        self.below.insert(new, Some(self.active));
        self.held.extend(snapshot.map(|uid| (uid, self.active)));
        self.active = new;
    }

    /// The announced layer is not going to be used.
    pub fn call_off(&mut self) -> Option<Layer> {
        self.taking.take()
    }

    /// A number for a layer that nobody knows of yet.
    pub fn reserve(&mut self) -> Layer {
        self.next += 1;
        self.next - 1
    }

    /// The guest goes on with a reserved layer over the one that a snapshot holds.
    pub fn revert(&mut self, id: Uid, snapshot: Uid, new: Layer) {
        let Some(held) = self.held_by(snapshot) else { return };
        self.below.insert(new, Some(held));
        self.active = new;
        self.taking = None;
        self.reverted = Some(id);
    }

    /// The snapshot is no longer wanted.
    pub fn release(&mut self, snapshot: Uid) -> bool {
        self.held.remove(&snapshot).is_some()
    }

    fn children(&self, layer: Layer) -> impl Iterator<Item = Layer> {
        self.below.iter().filter(move |(_, below)| **below == Some(layer)).map(|(child, _)| *child)
    }

    /// What to do next to have fewer layers; `used_bytes` tells what each takes. Layers that `shared` snapshots stand for,
    /// and all below them, are read by clones and stay as they are.
    pub fn tidy(&self, used_bytes: impl Fn(Layer) -> u64, shared: impl Fn(Uid) -> bool) -> Option<Tidy> {
        if self.taking.is_some() {
            return None;
        }
        let held: BTreeSet<Layer> = self.held.values().copied().collect();
        let idle: Vec<Layer> =
            self.below.keys().copied().filter(|l| *l != self.active && !held.contains(l)).collect();
        if let Some(leaf) = idle.iter().find(|l| self.children(**l).next().is_none()) {
            return Some(Tidy::Drop(*leaf));
        }
        let read: BTreeSet<Layer> = self
            .held
            .iter()
            .filter(|(uid, _)| shared(**uid))
            .flat_map(|(_, layer)| self.chain(*layer))
            .collect();
        let long = self.chain(self.active).len() > CHAIN_LENGTH_MAX;
        idle.into_iter().find_map(|from| {
            let mut children = self.children(from);
            let (into, None) = (children.next()?, children.next()) else { return None };
            if read.contains(&into) {
                return None;
            }
            let (below, above) = (used_bytes(from), used_bytes(into));
            if into == self.active {
                let commit = below > above;
                Some(if commit {
                    Tidy::Commit { from: into, into: from }
                } else {
                    Tidy::Stream { into, from }
                })
            } else {
                let worthwhile = long || below <= above.saturating_mul(2).max(WORTHWHILE_BYTES);
                worthwhile.then_some(Tidy::Stream { into, from })
            }
        })
    }

    /// The file of a layer that nobody needs is gone.
    pub fn dropped(&mut self, layer: Layer) {
        if layer != self.active {
            self.below.remove(&layer);
        }
    }

    /// `into` has everything of the layer below it.
    pub fn streamed(&mut self, into: Layer, from: Layer) {
        if self.below(into) == Some(from) {
            self.below.insert(into, self.below(from));
        }
    }

    /// The layer below the active one has all of its content, on disk, and takes its place.
    pub fn announce_pivot(&mut self, into: Layer) {
        self.pivot = Some(into);
    }

    /// The pivot is done, or QEMU is gone, which comes to the same.
    pub fn pivoted(&mut self) {
        if let Some(into) = self.pivot.take() {
            self.active = into;
        }
    }

    /// QEMU goes on with the layer that it had.
    pub fn stays(&mut self) {
        self.pivot = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uid(n: u128) -> Uid {
        Uid::from_u128(n)
    }

    fn snapshot(layers: &mut Layers, n: u128) -> Layer {
        let new = layers.announce();
        assert_eq!(layers.announce(), new, "announced once");
        layers.freeze(Some(uid(n)));
        new
    }

    /// Takes all steps, as if each layer had this size.
    fn tidied(layers: &mut Layers, size: impl Fn(Layer) -> u64) -> Vec<Tidy> {
        let mut steps = Vec::new();
        while let Some(step) = layers.tidy(&size, |_| false) {
            steps.push(step);
            match step {
                Tidy::Drop(layer) => layers.dropped(layer),
                Tidy::Stream { into, from } => layers.streamed(into, from),
                Tidy::Commit { into, .. } => {
                    layers.announce_pivot(into);
                    layers.pivoted();
                }
            }
            assert!(steps.len() < 1000, "it comes to an end");
        }
        steps
    }

    #[test]
    fn the_last_snapshot_of_a_big_disk_costs_what_was_written_since() {
        let mut layers = Layers::default();
        assert_eq!(layers.tidy(|_| 0, |_| false), None);
        snapshot(&mut layers, 1);
        assert_eq!(layers.tidy(|_| 0, |_| false), None, "it is held");
        layers.release(uid(1));
        let steps = tidied(&mut layers, |l| if l == 0 { 100 << 30 } else { 1 << 20 });
        assert_eq!(steps, [Tidy::Commit { from: 1, into: 0 }, Tidy::Drop(1)]);
        assert_eq!((layers.active(), layers.chain(0)), (0, vec![0]));
    }

    #[test]
    fn what_is_small_is_taken_over_by_what_stands_on_it() {
        let mut layers = Layers::default();
        snapshot(&mut layers, 1);
        snapshot(&mut layers, 2);
        layers.release(uid(1));
        assert_eq!(tidied(&mut layers, |_| 0), [Tidy::Stream { into: 1, from: 0 }, Tidy::Drop(0)]);
        assert_eq!(layers.held_by(uid(2)), Some(1));
        assert_eq!(layers.chain(2), [2, 1]);
        // A big one below a small frozen one waits.
        snapshot(&mut layers, 3);
        layers.release(uid(2));
        assert_eq!(layers.tidy(|l| if l == 1 { 100 << 30 } else { 1 << 30 }, |_| false), None);
    }

    #[test]
    fn a_revert_leaves_what_was_written_since() {
        let mut layers = Layers::default();
        snapshot(&mut layers, 1);
        snapshot(&mut layers, 2);
        assert_eq!(layers.origin(layers.active()), Some(uid(2)));
        let new = layers.reserve();
        layers.revert(uid(99), uid(1), new);
        assert_eq!((layers.active(), layers.reverted()), (3, Some(uid(99))));
        assert_eq!(layers.origin(3), Some(uid(1)));
        assert_eq!(layers.origin(1), Some(uid(1)));
        assert_eq!(tidied(&mut layers, |_| 0), [Tidy::Drop(2)], "the other branch is held by snapshot 2");
        let before = layers.clone();
        layers.revert(uid(100), uid(7), 9);
        assert_eq!(layers, before, "there is no such snapshot");
        layers.release(uid(2));
        assert_eq!(tidied(&mut layers, |_| 0), [Tidy::Drop(1)]);
    }

    #[test]
    fn what_clones_read_stays_as_it_is() {
        let mut layers = Layers::default();
        snapshot(&mut layers, 1);
        snapshot(&mut layers, 2);
        layers.release(uid(1));
        assert_eq!(layers.tidy(|_| 0, |snapshot| snapshot == uid(2)), None);
        assert_eq!(layers.tidy(|_| 0, |_| false), Some(Tidy::Stream { into: 1, from: 0 }));
    }

    #[test]
    fn nothing_is_tidied_while_qemu_may_write_elsewhere() {
        let mut layers = Layers::default();
        snapshot(&mut layers, 1);
        layers.release(uid(1));
        layers.announce();
        assert_eq!(layers.tidy(|_| 0, |_| false), None);
        assert_eq!(layers.call_off(), Some(2));
        assert!(layers.tidy(|_| 0, |_| false).is_some());
    }

    proptest! {
        /// Whatever is done in whatever order: what is held stays whole, numbers are new, and it all ends with one layer.
        #[test]
        fn what_is_held_is_never_lost(actions in prop::collection::vec((0..4u8, 0..6u128, 0..3u64), 1..60)) {
            let mut layers = Layers::default();
            // What each layer shows: the history of writes, one per action, as a guest would see it.
            let mut shown: BTreeMap<Layer, Vec<usize>> = BTreeMap::from([(0, vec![])]);
            let mut expected: BTreeMap<Uid, Vec<usize>> = BTreeMap::new();
            let mut numbers = BTreeSet::from([0]);
            let mut taken = 0;
            for (i, (action, n, size)) in actions.into_iter().enumerate() {
                shown.get_mut(&layers.active()).unwrap().push(i);
                match action {
                    0 => {
                        taken += 1;
                        let before = shown[&layers.active()].clone();
                        let new = snapshot(&mut layers, 1000 + taken);
                        prop_assert!(numbers.insert(new));
                        expected.insert(uid(1000 + taken), before.clone());
                        shown.insert(new, before);
                    }
                    1 => {
                        let chosen = expected.keys().nth(n as usize).copied();
                        if let Some(chosen) = chosen {
                            let new = layers.reserve();
                            layers.revert(uid(n), chosen, new);
                            prop_assert!(numbers.insert(new));
                            shown.insert(new, expected[&chosen].clone());
                        }
                    }
                    2 => {
                        if let Some(chosen) = expected.keys().nth(n as usize).copied() {
                            expected.remove(&chosen);
                            prop_assert!(layers.release(chosen));
                        }
                    }
                    _ => {
                        if let Some(Tidy::Commit { from, into }) = layers.tidy(|l| u64::from(l) * size, |_| false) {
                            let content = shown[&from].clone();
                            shown.insert(into, content);
                        }
                        tidied_with(&mut layers, &mut shown, |l| u64::from(l) * size);
                    }
                }
                for (holder, content) in &expected {
                    let layer = layers.held_by(*holder).unwrap();
                    prop_assert_eq!(&shown[&layer], content);
                    prop_assert!(layers.chain(layer).iter().all(|l| layers.all().any(|known| known == *l)));
                }
                prop_assert!(layers.children(layers.active()).next().is_none());
            }
            for holder in layers.holders().collect::<Vec<_>>() {
                layers.release(holder);
            }
            tidied(&mut layers, |_| 0);
            prop_assert_eq!(layers.all().count(), 1);
        }
    }

    fn tidied_with(
        layers: &mut Layers,
        shown: &mut BTreeMap<Layer, Vec<usize>>,
        size: impl Fn(Layer) -> u64,
    ) {
        while let Some(step) = layers.tidy(&size, |_| false) {
            match step {
                Tidy::Drop(layer) => layers.dropped(layer),
                Tidy::Stream { into, from } => layers.streamed(into, from),
                Tidy::Commit { from, into } => {
                    let content = shown[&from].clone();
                    shown.insert(into, content);
                    layers.announce_pivot(into);
                    layers.pivoted();
                }
            }
        }
    }
}
