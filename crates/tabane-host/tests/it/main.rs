//! The host agent from outside.

#![allow(clippy::unwrap_used)]

mod image_build;
