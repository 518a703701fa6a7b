//! What is to be imported, and where to.

use std::path::PathBuf;

use super::{Assumed, Form};

#[derive(Debug, Clone)]
pub struct Request {
    pub form: Form,
    pub files: Vec<PathBuf>,
    /// The folder of traces.
    pub to: PathBuf,
    /// Length of a bin, in seconds.
    pub bin_s: u32,
    /// Where the time line begins, instead of the bin of the first sample.
    pub first_bin_unix: Option<i64>,
    /// What servers are taken for whose files do not say it.
    pub assumed: Assumed,
    /// A `servers.csv` with what servers have; it is believed more than anything else.
    pub servers: Option<PathBuf>,
}
