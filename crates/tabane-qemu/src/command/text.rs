//! Values on their way into the command line.
//!
//! Invariant: nothing passes that holds a NUL, which ends an argument early, or a newline, which ends a log line.

use std::path::Path;

use crate::{Error, Result};

/// A plain value.
pub(super) fn plain<'a>(field: &'static str, value: &'a str) -> Result<&'a str> {
    if value.contains(['\0', '\n', '\r']) {
        return Err(Error::invalid(field, "it holds a NUL or a line break"));
    }
    Ok(value)
}

/// A value inside of `key=value,key=value`, where a comma is written twice.
pub(super) fn option(field: &'static str, value: &str) -> Result<String> {
    Ok(plain(field, value)?.replace(',', ",,"))
}

pub(super) fn path<'a>(field: &'static str, path: &'a Path) -> Result<&'a str> {
    plain(field, crate::qmp::path_text(field, path)?)
}

/// The name of a file in the machine's own folder.
pub(super) fn relative<'a>(field: &'static str, name: &'a str) -> Result<&'a str> {
    if name.is_empty() || name.contains('/') || name == "." || name == ".." || name.len() > 100 {
        return Err(Error::invalid(field, "it is not the name of a file in the machine's folder"));
    }
    plain(field, name)
}

/// A word of QEMU, such as a machine type or a CPU model with its flags.
pub(super) fn word<'a>(field: &'static str, value: &'a str, extra: &str) -> Result<&'a str> {
    let fits = !value.is_empty()
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c) || extra.contains(c));
    if fits {
        return Ok(value);
    }
    Err(Error::invalid(field, format!("{value:?} is not a name that QEMU could know")))
}

/// A MAC address of a single card.
pub(super) fn mac(value: &str) -> Result<&str> {
    let parts: Vec<&str> = value.split(':').collect();
    let digits = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let first = parts.first().and_then(|part| u8::from_str_radix(part, 16).ok());
    if parts.len() == 6 && parts.iter().all(digits) && first.is_some_and(|first| first & 1 == 0) {
        return Ok(value);
    }
    Err(Error::invalid(
        "mac",
        format!("{value:?} is not the address of a network card, like 52:54:00:12:34:56"),
    ))
}
