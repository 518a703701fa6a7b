//! The manifest: `SHA256(name)= hexadecimal`, a line for each file (DSP0243, 5.1).

use std::collections::BTreeMap;

use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
pub use tabane_model::DigestAlgorithm as Algorithm;

use super::index::plain;
use crate::{Error, Result};

/// Digests of the files of a package, as the one who packed it states them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    digests: BTreeMap<String, Stated>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    pub algorithm: Algorithm,
    /// In lower case.
    pub hexadecimal: String,
}

impl Manifest {
    pub fn parse(text: &str) -> Result<Self> {
        let mut digests = BTreeMap::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let told =
                || Error::Manifest(format!("the line {:?}", line.chars().take(80).collect::<String>()));
            let (algorithm, rest) = line.split_once('(').ok_or_else(told)?;
            // A name may have brackets of its own.
            let (name, digest) = rest.rsplit_once(')').ok_or_else(told)?;
            let hexadecimal = digest.trim_start().strip_prefix('=').ok_or_else(told)?.trim();
            let (algorithm, digits) = match algorithm.trim().to_ascii_uppercase().as_str() {
                "SHA1" => (Algorithm::Sha1, 40),
                "SHA256" => (Algorithm::Sha256, 64),
                "SHA512" => (Algorithm::Sha512, 128),
                _ => return Err(told()),
            };
            if hexadecimal.len() != digits || !hexadecimal.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(told());
            }
            let stated = Stated { algorithm, hexadecimal: hexadecimal.to_ascii_lowercase() };
            let name = plain(name.trim().to_owned())?;
            if digests.insert(name.clone(), stated.clone()).is_some_and(|before| before != stated) {
                return Err(Error::Manifest(format!("it says two things of {name:?}")));
            }
        }
        Ok(Self { digests })
    }

    pub fn of(&self, name: &str) -> Option<&Stated> {
        self.digests.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.digests.keys().map(String::as_str)
    }
}

/// The digests of one file, of which all are made in one pass.
pub struct Digests {
    sha256: Sha256,
    other: Option<Other>,
    stated: Option<Stated>,
}

enum Other {
    Sha1(Sha1),
    Sha512(Sha512),
}

impl Digests {
    pub fn new(stated: Option<&Stated>) -> Self {
        let other = match stated.map(|stated| stated.algorithm) {
            Some(Algorithm::Sha1) => Some(Other::Sha1(Sha1::new())),
            Some(Algorithm::Sha512) => Some(Other::Sha512(Sha512::new())),
            Some(Algorithm::Sha256) | None => None,
        };
        Self { sha256: Sha256::new(), other, stated: stated.cloned() }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        match &mut self.other {
            Some(Other::Sha1(digest)) => digest.update(bytes),
            Some(Other::Sha512(digest)) => digest.update(bytes),
            None => {}
        }
    }

    /// The SHA-256 in hexadecimal, if the content is what the manifest says; what it is instead otherwise.
    pub fn finish(self) -> std::result::Result<String, String> {
        let sha256 = hexadecimal(&self.sha256.finalize());
        let found = match self.other {
            Some(Other::Sha1(digest)) => hexadecimal(&digest.finalize()),
            Some(Other::Sha512(digest)) => hexadecimal(&digest.finalize()),
            None => sha256.clone(),
        };
        match self.stated {
            Some(stated) if stated.hexadecimal != found => Err(found),
            _ => Ok(sha256),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_algorithm_is_read_as_its_writers_write_it_and_checked() {
        // Of "abc": FIPS 180-4, examples.
        let sha512 = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                      2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        let text = format!(
            "SHA1(a (1).vmdk)= A9993E364706816ABA3E25717850C26C9CD0D89D\r\n\
             SHA256(b.ovf)= ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n\n\
             sha512 (c) = {sha512}\n"
        );
        let manifest = Manifest::parse(&text).unwrap();
        for name in ["a (1).vmdk", "b.ovf", "c"] {
            let mut right = Digests::new(manifest.of(name));
            right.update(b"a");
            right.update(b"bc");
            assert!(right.finish().is_ok(), "{name}");
            let mut wrong = Digests::new(manifest.of(name));
            wrong.update(b"abd");
            assert!(wrong.finish().is_err(), "{name}");
        }
        assert!(Digests::new(None).finish().is_ok());
    }

    #[test]
    fn a_manifest_with_anything_else_in_it_is_refused() {
        for text in [
            "MD5(a)= d41d8cd98f00b204e9800998ecf8427e",
            "SHA256(a)= 12",
            "SHA256 a 12",
            "nonsense",
            "SHA1(../a)= a9993e364706816aba3e25717850c26c9cd0d89d",
            "SHA1(a)= a9993e364706816aba3e25717850c26c9cd0d89d\nSHA1(a)= b9993e364706816aba3e25717850c26c9cd0d89d",
        ] {
            assert!(Manifest::parse(text).is_err(), "{text}");
        }
    }
}
