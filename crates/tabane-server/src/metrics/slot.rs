//! One step of an archive: as numbers, and as bytes on disk.
//!
//! ```text
//!   finest archive   tick u32 │ check u32 │ 8 × f32                              40 bytes
//!   the others       tick u32 │ check u32 │ mean 8 × f32 │ max 8 × f32 │ 8 × u16  88 bytes
//! ```
//!
//! All little endian. `tick` says which step it is, in steps of 10 s from 1970; the last 8 × u16 say of how many
//! measurements each mean is. `check` is over everything else, the owner and the level.
//!
//! Invariant: a slot says by itself whether it is whole and which step it is. Whatever else is found in its place (an
//! older step of the ring, a torn write, another VM's bytes, zeros) is no slot, which reads as a gap.

use tabane_model::Uid;

pub const VALUES: usize = 8;
/// In the order of [`tabane_model::Series`]; NaN for what was not measured.
pub type Values = [f32; VALUES];
pub const NOTHING: Values = [f32::NAN; VALUES];

/// An archive of one resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Length of a step, in ticks of 10 s.
    pub ticks: u32,
    /// Steps that are kept.
    pub slots: u32,
}

/// 10 s for 6 hours, 1 min for 2 days, 10 min for 30 days, 1 h for 366 days. Each is made from the one before.
pub const LEVELS: [Level; 4] = [
    Level { ticks: 1, slots: 2160 },
    Level { ticks: 6, slots: 2880 },
    Level { ticks: 60, slots: 4320 },
    Level { ticks: 360, slots: 8784 },
];

pub const fn slot_bytes(level: usize) -> usize {
    if level == 0 { 8 + 4 * VALUES } else { 8 + (4 + 4 + 2) * VALUES }
}

/// What is known of one step.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// Where it begins.
    pub tick: u32,
    pub mean: Values,
    pub max: Values,
    /// Of how many measurements; 0 where there is none.
    pub count: [u16; VALUES],
}

impl Slot {
    /// One measurement.
    pub fn of(tick: u32, values: Values) -> Self {
        let values = values.map(|v| if v.is_finite() { v } else { f32::NAN });
        Self { tick, mean: values, max: values, count: values.map(|v| u16::from(!v.is_nan())) }
    }

    pub fn encode(&self, owner: Uid, level: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(slot_bytes(level));
        bytes.extend(self.tick.to_le_bytes());
        bytes.extend([0; 4]);
        self.mean.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
        if level > 0 {
            self.max.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
            self.count.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
        }
        let check = check(owner, level, &bytes);
        bytes[4..8].copy_from_slice(&check);
        bytes
    }

    /// The slot of these bytes, if they are one.
    pub fn decode(bytes: &[u8], owner: Uid, level: usize) -> Option<Self> {
        if bytes.len() != slot_bytes(level) || bytes[4..8] != check(owner, level, bytes) {
            return None;
        }
        let mut numbers = bytes[8..].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let mut eight = || std::array::from_fn(|_| numbers.next().unwrap_or(f32::NAN));
        let tick = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let mean: Values = eight();
        if level == 0 {
            return Some(Self::of(tick, mean));
        }
        let max: Values = eight();
        let counts = &bytes[8 + 8 * VALUES..];
        let mut slot = Self {
            tick,
            mean,
            max,
            count: std::array::from_fn(|i| u16::from_le_bytes([counts[2 * i], counts[2 * i + 1]])),
        };
        for i in 0..VALUES {
            if !(slot.mean[i].is_finite() && slot.max[i].is_finite()) || slot.count[i] == 0 {
                (slot.mean[i], slot.max[i], slot.count[i]) = (f32::NAN, f32::NAN, 0);
            }
        }
        Some(slot)
    }
}

fn check(owner: Uid, level: usize, bytes: &[u8]) -> [u8; 4] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(owner.as_bytes()).update(&[level as u8]).update(&bytes[..4]).update(&bytes[8..]);
    let mut check = [0; 4];
    hasher.finalize_xof().fill(&mut check);
    check
}

/// Steps as one: the mean of all measurements, and the highest of them.
pub fn merge(tick: u32, parts: impl IntoIterator<Item = Slot>) -> Slot {
    let (mut sum, mut count) = ([0f64; VALUES], [0u32; VALUES]);
    let mut max = NOTHING;
    for part in parts {
        for i in 0..VALUES {
            if part.count[i] > 0 {
                sum[i] += f64::from(part.mean[i]) * f64::from(part.count[i]);
                count[i] += u32::from(part.count[i]);
                max[i] = max[i].max(part.max[i]);
            }
        }
    }
    let mean =
        std::array::from_fn(|i| if count[i] == 0 { f32::NAN } else { (sum[i] / f64::from(count[i])) as f32 });
    Slot { tick, mean, max, count: count.map(|n| u16::try_from(n).unwrap_or(u16::MAX)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn measured() -> impl Strategy<Value = Values> {
        prop::array::uniform8(prop_oneof![3 => 0f32..1e12, 1 => Just(f32::NAN)])
    }

    fn same(a: f32, b: f32) -> bool {
        (a.is_nan() && b.is_nan()) || (a - b).abs() <= b.abs() * 1e-5
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(tick: u32, values in measured(), more in measured(), level in 0usize..4) {
            let slot = if level == 0 {
                Slot::of(tick, values)
            } else {
                merge(tick, [Slot::of(tick, values), Slot::of(tick, more)])
            };
            let bytes = slot.encode(Uid::from_u128(7), level);
            prop_assert_eq!(bytes.len(), slot_bytes(level));
            let read = Slot::decode(&bytes, Uid::from_u128(7), level).unwrap();
            prop_assert_eq!((read.tick, read.count), (slot.tick, slot.count));
            for i in 0..VALUES {
                prop_assert_eq!(read.mean[i].to_bits(), slot.mean[i].to_bits());
                prop_assert_eq!(read.max[i].to_bits(), slot.max[i].to_bits());
            }
            prop_assert!(Slot::decode(&bytes, Uid::from_u128(8), level).is_none());
            prop_assert!(Slot::decode(&bytes, Uid::from_u128(7), (level + 1) % 4).is_none());
        }

        #[test]
        fn a_slot_that_was_touched_is_none(values in measured(), level in 0usize..4, at in 0usize..40, bit in 0u8..8) {
            let mut bytes = Slot::of(9, values).encode(Uid::from_u128(7), level);
            bytes[at] ^= 1 << bit;
            prop_assert!(Slot::decode(&bytes, Uid::from_u128(7), level).is_none());
        }

        #[test]
        fn rolling_up_in_stages_is_as_good_as_at_once(all in prop::collection::vec(measured(), 1..72)) {
            let slots = || all.iter().map(|values| Slot::of(0, *values));
            let minutes: Vec<Slot> = slots().collect::<Vec<_>>().chunks(6).map(|six| merge(0, six.to_vec())).collect();
            let staged = merge(0, minutes);
            for i in 0..VALUES {
                let known: Vec<f64> = all.iter().map(|v| v[i]).filter(|v| !v.is_nan()).map(f64::from).collect();
                let mean = known.iter().sum::<f64>() / known.len() as f64;
                let max = known.iter().copied().fold(f64::NAN, f64::max);
                prop_assert_eq!(usize::from(staged.count[i]), known.len());
                prop_assert!(same(staged.mean[i], mean as f32), "{} {}", staged.mean[i], mean);
                prop_assert!(same(staged.max[i], max as f32));
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), level in 0usize..4) {
            let _ = Slot::decode(&bytes, Uid::nil(), level);
        }
    }

    #[test]
    fn zeros_are_no_slot() {
        for level in 0..4 {
            assert!(Slot::decode(&vec![0; slot_bytes(level)], Uid::nil(), level).is_none());
        }
    }
}
