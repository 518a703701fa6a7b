//! Byte streams.

/// Both ways, after the HTTP connection was switched over.
pub type Stream = reqwest::Upgraded;
