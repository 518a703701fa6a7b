//! What things are called inside QEMU. Others find them again by these names, so they never change.
//!
//! Invariant: a name follows from the caller's id alone, and two ids have two names.

use crate::{Error, Result};

/// Slots 0x10 to 0x17 with eight functions each.
pub const PORTS_MAX: u8 = 64;

/// QEMU's limit for names of block nodes is 31 characters.
const NODE_CHARS_MAX: usize = 31;

const ID_CHARS_MAX: usize = 64;

/// A disk as the guest sees it.
pub fn disk_device_id(id: &str) -> String {
    format!("disk-{id}")
}

/// The node that the device of a disk is attached to at first.
pub fn disk_node(id: &str) -> String {
    node("d", id)
}

/// The node of the file itself, below [`disk_node`].
pub fn file_node(id: &str) -> String {
    node("f", id)
}

/// The node of a disk's layer. Layer 0 is the one that every disk begins with.
pub fn layer_node(id: &str, layer: u32) -> String {
    if layer == 0 { disk_node(id) } else { node(&format!("d{layer}"), id) }
}

/// The node of the file itself, below [`layer_node`].
pub fn layer_file_node(id: &str, layer: u32) -> String {
    if layer == 0 { file_node(id) } else { node(&format!("f{layer}"), id) }
}

/// The inverse of [`layer_node`].
pub fn layer_of_node(id: &str, name: &str) -> Option<u32> {
    layer_of('d', name).filter(|layer| layer_node(id, *layer) == name)
}

/// The inverse of [`layer_file_node`].
pub fn layer_of_file_node(id: &str, name: &str) -> Option<u32> {
    layer_of('f', name).filter(|layer| layer_file_node(id, *layer) == name)
}

fn layer_of(kind: char, name: &str) -> Option<u32> {
    let digits = name.strip_prefix(kind)?.split(['-', '_']).next()?;
    if digits.is_empty() { Some(0) } else { digits.parse().ok() }
}

pub fn nic_device_id(id: &str) -> String {
    format!("nic-{id}")
}

/// The host's side of a nic.
pub fn netdev_id(id: &str) -> String {
    format!("net-{id}")
}

pub fn port_id(port: u8) -> String {
    format!("port{port}")
}

/// The inverse of [`port_id`].
pub fn port_of_bus(name: &str) -> Option<u8> {
    name.strip_prefix("port")?.parse().ok().filter(|port| *port < PORTS_MAX)
}

/// A CD drive as the guest sees it.
pub fn drive_device_id(id: &str) -> String {
    format!("cd-{id}")
}

/// What a medium in a drive is, by its tag: 12 hexadecimal digits.
pub fn medium_node(drive: &str, tag: &str) -> String {
    format!("m-{drive}-{tag}")
}

/// The inverse of [`medium_node`]: the tag, if the node is a medium of this drive.
pub fn tag_of_node<'a>(drive: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix("m-")?.strip_prefix(drive)?.strip_prefix('-').filter(|tag| is_tag(tag))
}

pub(super) fn is_tag(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// A drive's id fits into the name of a node together with a tag.
pub(crate) fn check_drive(id: &str) -> Result<()> {
    check_id("drive id", id)?;
    if id.len() > 12 {
        return Err(Error::invalid("drive id", format!("{id:?} is longer than 12 characters")));
    }
    Ok(())
}

/// Letters, digits, `-` and `_`, beginning with a letter or digit: what is safe in every syntax of QEMU.
pub(crate) fn check_id(field: &'static str, id: &str) -> Result<()> {
    let fits = id.len() <= ID_CHARS_MAX
        && id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if fits {
        return Ok(());
    }
    Err(Error::invalid(
        field,
        format!("the id {id:?} is not 1 to {ID_CHARS_MAX} letters, digits, '-' and '_'"),
    ))
}

/// QEMU takes a name that begins with a digit for a number.
pub(crate) fn check_fd_name(name: &str) -> Result<&str> {
    check_id("handle name", name)?;
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Error::invalid("handle name", "it begins with a digit"));
    }
    Ok(name)
}

/// A long id (such as a UUID) is cut and told apart by a hash of the whole.
fn node(kind: &str, id: &str) -> String {
    let plain = format!("{kind}-{id}");
    if plain.len() <= NODE_CHARS_MAX {
        return plain;
    }
    // 16 digits and two separators.
    let room = NODE_CHARS_MAX.saturating_sub(18 + kind.len());
    let start: String = id.chars().take(room.min(8)).collect();
    format!("{kind}_{start}-{:016x}", fnv1a_64(id.as_bytes()))
}

/// FNV-1a: names need a hash that is the same in every version of this program, nothing more.
fn fnv1a_64(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_names_are_stable_and_short() {
        assert_eq!(disk_node("root"), "d-root");
        let uuid = "01920000-0000-7000-8000-000000000001";
        assert_eq!(disk_node(uuid), "d_01920000-2e0184ab64504945");
        assert!(file_node(uuid).len() <= NODE_CHARS_MAX);
        assert_ne!(file_node(uuid), file_node("01920000-0000-7000-8000-000000000002"));
    }

    #[test]
    fn layers_are_found_again_by_their_nodes() {
        for id in ["root", "01920000-0000-7000-8000-000000000001"] {
            for layer in [0, 1, 12, 4_000_000] {
                let name = layer_node(id, layer);
                assert!(name.len() <= NODE_CHARS_MAX, "{name}");
                assert_eq!(layer_of_node(id, &name), Some(layer));
                assert_eq!(layer_of_node("other", &name), None);
                let file = layer_file_node(id, layer);
                assert_eq!(layer_of_file_node(id, &file), Some(layer));
                assert_eq!(layer_of_node(id, &file), None);
            }
        }
        assert_eq!(layer_node("root", 0), disk_node("root"));
        for name in ["", "d", "d-", "f-root", "d01-root", "#block123", "dx-root"] {
            assert_eq!(layer_of_node("root", name), None, "{name}");
        }
    }

    #[test]
    fn media_are_found_again_by_their_nodes() {
        let tag = "0123456789ab";
        let name = medium_node("twelve-chars", tag);
        assert!(name.len() <= NODE_CHARS_MAX, "{name}");
        assert_eq!(tag_of_node("twelve-chars", &name), Some(tag));
        assert_eq!(tag_of_node("twelve", &name), None);
        assert_eq!(tag_of_node("cd0", "m-cd0-0123456789aX"), None);
        assert!(check_drive("thirteen-char").is_err() && check_drive("cd,0").is_err());
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv1a_64(b"a"), 0xaf63_dc4c_8601_ec8c);
    }

    #[test]
    fn ports_have_names() {
        assert_eq!(port_of_bus(&port_id(63)), Some(63));
        assert_eq!(port_of_bus("port64"), None);
        assert_eq!(port_of_bus("pcie.0"), None);
    }

    #[test]
    fn wicked_ids_are_refused() {
        for id in ["", "a,b", "a b", "../x", "-x", "a\n", &"x".repeat(65)] {
            assert!(check_id("id", id).is_err(), "{id:?}");
        }
        check_id("id", "01920000-0000-7000-8000-000000000001").unwrap();
    }
}
