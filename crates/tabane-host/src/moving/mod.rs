//! VMs that move to another host: what the old host hands over, and how the new one takes it in.
//!
//! ```text
//!   leave:  the driver has let go of the VM (Step::Release) ──► parts, as streams that the new host asks for
//!   arrive: marker ─► images ─► disks ─► state ─► all of it on disk ─► "complete"
//!   clean:  a host that let go of a VM removes its files once the VM is another's
//! ```
//!
//! The server gives the VM to the new host, in one txn, when one has let go and the other has everything. Until then the
//! files of the old host are the VM, and the new host's are a copy; afterwards it is the other way round. Each of the two
//! removes its files only when it knows which they are.

mod arrive;
mod clean;
mod leave;

use serde::{Deserialize, Serialize};
use tabane_model::Pinned;

pub use arrive::Arrivals;
pub use clean::clean;
pub use leave::serve;

use crate::vm::Ended;

/// A head of JSON in front of the bytes of a stream.
const HEAD_BYTES_MAX: u32 = 64 << 10;
const CHUNK_BYTES: usize = 1 << 20;
/// Firmware variables and the TPM's state, each far smaller.
pub(crate) const STATE_FILE_BYTES_MAX: u64 = 64 << 20;
/// What of a VM's folder goes with it.
pub(crate) const STATE_FILES: [&str; 4] =
    ["uefi-vars.fd", "tpm/tpm2-00.permall", "tpm/tpm2-00.volatilestate", "tpm/tpm2-00.savestate"];

/// What the new host has to know, so that the guest finds the same hardware there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Luggage {
    pinned: Option<Pinned>,
    ports: std::collections::BTreeMap<String, u8>,
    starts: u32,
    resets: u32,
    restarts: u32,
    /// Otherwise it would be done again there, where the snapshot is not.
    #[serde(default)]
    reverted: Option<tabane_model::Uid>,
    last_exit: Option<Ended>,
    #[serde(default)]
    generation: Option<uuid::Uuid>,
    #[serde(default)]
    renewed: bool,
    /// Which of [`STATE_FILES`] follow, with their sizes.
    files: Vec<(String, u64)>,
}

/// What a disk's stream begins with. Bytes from the offset asked for follow, then the BLAKE3 of the whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct DiskHead {
    size_bytes: u64,
    /// It was never made: the new host makes it.
    #[serde(default)]
    absent: bool,
    image_digest: Option<String>,
    linked: bool,
}

fn broken(error: impl std::fmt::Display) -> crate::Error {
    crate::Error::Stream(format!("the transfer broke off: {error}"))
}
