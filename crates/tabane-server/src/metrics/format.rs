//! The parsers of what is on disk, for those who feed them with anything.

use tabane_model::Uid;

/// Reads bytes as slots of each level and as a journal, and writes what was found again: it has to come out the same.
pub fn parse(bytes: &[u8]) {
    for level in 0..super::slot::LEVELS.len() {
        for piece in bytes.chunks(super::slot::slot_bytes(level)) {
            if let Some(slot) = super::slot::Slot::decode(piece, Uid::nil(), level) {
                let again = slot.encode(Uid::nil(), level);
                assert!(super::slot::Slot::decode(&again, Uid::nil(), level).is_some());
            }
        }
    }
    let entries = super::journal::decode(bytes);
    assert_eq!(super::journal::decode(&super::journal::encode(&entries)).len(), entries.len());
}
