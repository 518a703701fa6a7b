//! Changing a machine while it runs.
//!
//! Everything consists of a back end (block node, netdev, memory object) and a device on it:
//!
//! ```text
//!   nothing ──add back end──► back end only ──device_add──► plugged
//!      ▲                          │  ▲                         │ device_del: a request to the guest
//!      └────delete back end───────┘  └────DEVICE_DELETED───────┘
//! ```
//!
//! Invariant: each function looks first at where it stands, so that calling it again after a crash between two steps
//! completes the work; and when it fails, it goes back to where no device is left without being told. A back end that
//! has no device is a leftover and is made anew, since it may be of an older wish.

mod cpu;
mod disk;
mod memory;
mod nic;
mod tree;

pub use cpu::{cpu_count, ensure_cpus};
pub use disk::{add_disk, disk_node_now, remove_disk, resize_disk};
pub(crate) use disk::{delete_layer, delete_node};
pub use memory::{MEMORY_BLOCK_BYTES, add_memory};
pub use nic::{add_nic, has_nic, remove_nic, set_link};

#[cfg(test)]
mod tests;
