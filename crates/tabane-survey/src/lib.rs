//! Load and inventory of the servers that are to be virtualized.
//!
//! ```text
//!   sources ─► collect: samples over SSH ─► write: a folder of traces
//!   files of other tools ─► import: a stream of samples, bins ─► write: a folder of traces
//!   collect: connections, applications ─► dependencies, licences: pieces of a policy
//!   folder: servers.csv, a matrix for each metric ─► text ─► matrix ─► folder: Traces, and what is wrong with them
//! ```
//!
//! Invariants: files were written by anybody, so they are bounded and parsed without panics, and what is wrong is told
//! with file, line and column. A sample that is missing stays missing: nothing is filled in here.

pub mod collect;
pub mod dependencies;
mod error;
mod folder;
pub mod import;
pub mod licences;
mod matrix;
mod servers;
mod text;
mod write;

pub use error::{Error, Place, Result};
pub use folder::{read_folder, read_folder_within};
pub use matrix::Matrix;
pub use servers::read_servers;
pub use text::{read as read_text, replace};
pub use write::write_folder;
