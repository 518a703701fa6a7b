//! Names that the kernel knows our things by.
//!
//! Invariant: they follow from identities alone, so that an agent that starts anew finds what it made, and two agents
//! on one machine never touch each other's. Names of devices have at most 15 bytes.

use sha2::{Digest, Sha256};
use tabane_model::{Mac, Name, Uid};

/// The first hexadecimal digits of a hash over the parts.
fn hex(parts: &[&[u8]], digits: usize) -> String {
    let hash = hash(parts);
    let mut text: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(digits);
    text
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

pub fn bridge(agent: Uid, network: Uid) -> String {
    format!("tb{}", hex(&[b"bridge", agent.as_bytes(), network.as_bytes()], 10))
}

/// What all taps of an agent begin with: a rule that drops whatever is not allowed goes by it.
pub fn tap_prefix(agent: Uid) -> String {
    format!("tt{}", hex(&[b"agent", agent.as_bytes()], 4))
}

pub fn tap(agent: Uid, vm: Uid, nic: &Name) -> String {
    format!("{}{}", tap_prefix(agent), hex(&[b"tap", vm.as_bytes(), nic.as_str().as_bytes()], 9))
}

/// The table of the agent's rules, in each family.
pub fn table(agent: Uid) -> String {
    format!("tabane_{}", hex(&[b"table", agent.as_bytes()], 10))
}

/// The gateway's address on the wire: the same on every host, so that a guest that moves finds it again. It lies
/// outside of the prefix that guests get theirs from.
pub fn bridge_mac(network: Uid) -> Mac {
    let [a, b, c, d, e, ..] = hash(&[b"gateway", network.as_bytes()]);
    Mac([0x02, a, b, c, d, e])
}

/// A short name for a text, to see whether it is still the same.
pub fn digest(texts: &[&str]) -> String {
    let parts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
    hex(&parts, 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names_that_the_kernel_takes_and_that_differ() {
        let (one, two) = (Uid::from_u128(1), Uid::from_u128(2));
        let nic = |text: &str| Name::new(text).unwrap();
        let names = [
            bridge(one, two),
            bridge(two, one),
            bridge(one, one),
            tap(one, two, &nic("net0")),
            tap(one, two, &nic("net1")),
            tap(one, one, &nic("net0")),
            tap(two, two, &nic(&"x".repeat(63))),
        ];
        for (i, name) in names.iter().enumerate() {
            assert!(name.len() <= 15, "{name}");
            assert!(!names[..i].contains(name), "{name}");
        }
        assert!(names[3].starts_with(&tap_prefix(one)));
        assert_ne!(table(one), table(two));
        assert_eq!(bridge_mac(one).0[0] & 3, 2, "unicast, locally administered");
        assert_ne!(digest(&["a", "bc"]), digest(&["ab", "c"]));
    }
}
