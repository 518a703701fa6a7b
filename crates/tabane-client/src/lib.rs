//! A typed client of the API, for the CLI, for host agents and for tests.
//!
//! A server is pinned by its own authority: `https://host:8440/#<sha-256 of the CA>`. There is no trust on first use;
//! without a fingerprint only the local socket is used.

mod client;
mod error;
mod sse;
mod stream;
mod target;

pub use client::{Call, Client, Content, Question, prepare_tls};
pub use error::{Error, Result};
pub use sse::{Events, HostEvent};
pub use stream::Stream;
pub use target::Target;
