//! Why an image is not taken.

use super::Format;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot read the image")]
    Read(#[from] std::io::Error),

    /// The image is understood, and not wanted: `found` is what is in it, `why` is why that is refused.
    #[error("the {format} image {found}: {why}")]
    Refused { format: Format, found: String, why: &'static str, hint: String },

    /// The image begins like this format, but does not hold together.
    #[error("the {format} image is damaged: {found}")]
    Damaged { format: Format, found: String },

    /// Not a disk image in a format that we take.
    #[error("this is {found}, not a disk image")]
    NotAnImage { found: &'static str, hint: &'static str },

    #[error("the image was stated to be {stated}, but it is {found}")]
    Mismatch { stated: Format, found: String, hint: String },
}

impl Error {
    /// The next step for whoever has the image.
    pub fn hint(&self) -> &str {
        match self {
            Error::Refused { hint, .. } | Error::Mismatch { hint, .. } => hint,
            Error::NotAnImage { hint, .. } => hint,
            Error::Damaged { .. } => "make the image again, or transfer it again and compare its checksum",
            Error::Read(_) => "check that the file is there and can be read",
        }
    }

    pub(super) fn damaged(format: Format, found: impl Into<String>) -> Error {
        Error::Damaged { format, found: found.into() }
    }
}
