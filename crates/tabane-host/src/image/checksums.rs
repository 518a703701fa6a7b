//! Publishers' lists of checksums, as they lie beside their images.
//!
//! ```text
//!   GNU (SHA256SUMS, SHA512SUMS):   <digits>  name      <digits> *name
//!   BSD (CHECKSUM):                 SHA256 (name) = <digits>
//!   one file's own (x.sha256):      <digits>  whatever name it had when it was made
//! ```
//!
//! Other lines, such as those of a signature around it, are passed over. The kind of a checksum is told by its length.

use std::{path::Path, time::Duration};

use futures_util::StreamExt;
use sha2::{Sha256, Sha512};

use super::{fetch, store::digest_of};
use crate::{Error, Result};

/// The longest list: Debian's have about 4 KiB.
const LIST_BYTES_MAX: usize = 1 << 20;
const TRIES: u32 = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checksum {
    Sha256(String),
    Sha512(String),
}

impl Checksum {
    /// From hexadecimal digits.
    pub fn new(digits: &str) -> Option<Self> {
        let digits = digits.to_ascii_lowercase();
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        match digits.len() {
            64 => Some(Self::Sha256(digits)),
            128 => Some(Self::Sha512(digits)),
            _ => None,
        }
    }

    /// An error that says what was found if the file is another one.
    pub fn check(&self, file: &Path) -> Result<()> {
        let (kind, expected, found) = match self {
            Self::Sha256(digits) => ("SHA-256", digits, digest_of::<Sha256>(file)?),
            Self::Sha512(digits) => ("SHA-512", digits, digest_of::<Sha512>(file)?),
        };
        if found == *expected {
            return Ok(());
        }
        let hint = "if the source is to be trusted, look up its checksum anew; then import it again";
        Err(Error::unfit(format!("the content's {kind} is {found}, not {expected}"), hint))
    }
}

/// What the list at an address says of the file at another; the longest checksum, if it states several.
pub async fn look_up(list_url: &str, file_url: &str, pause: Duration) -> Result<Checksum> {
    let mut told = String::new();
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(pause * attempt).await;
        }
        match read(list_url).await {
            Ok(list) => return find(&list, name_of(file_url)).ok_or_else(|| unlisted(list_url, file_url)),
            Err(error @ Error::Unfit { .. }) => return Err(error),
            Err(error) => told = error.told(),
        }
    }
    Err(Error::unfit(
        format!("cannot read the checksums at {list_url}: {told}"),
        "check the address and the host's way out, or state the checksum with --sha256; then import it again",
    ))
}

fn unlisted(list_url: &str, file_url: &str) -> Error {
    Error::unfit(
        format!("the checksums at {list_url} have none for {}", name_of(file_url)),
        "look for the right list at the publisher's, or state the checksum with --sha256; then import it again",
    )
}

async fn read(url: &str) -> Result<String> {
    let response = fetch::client()?.get(url).send().await.map_err(fetch::broken)?;
    let status = response.status();
    if status.is_client_error() {
        return Err(Error::unfit(format!("{url} answers {status}"), "check the address of the checksums"));
    }
    if !status.is_success() {
        return Err(Error::Stream(format!("the server answers {status}")));
    }
    let mut list = Vec::new();
    let mut body = response.bytes_stream();
    while let Some(chunk) = body.next().await {
        list.extend_from_slice(&chunk.map_err(fetch::broken)?);
        if list.len() > LIST_BYTES_MAX {
            return Err(Error::unfit(
                format!("what is at {url} is too long for a list of checksums"),
                "give the address of the list itself, such as …/SHA256SUMS",
            ));
        }
    }
    Ok(String::from_utf8_lossy(&list).into_owned())
}

/// The last part of an address's path.
fn name_of(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}

fn find(list: &str, name: &str) -> Option<Checksum> {
    let entries: Vec<(Checksum, &str)> = list.lines().filter_map(|line| entry(line.trim())).collect();
    let longest = |a: &&(Checksum, &str), b: &&(Checksum, &str)| length(&a.0).cmp(&length(&b.0));
    let named = entries.iter().filter(|(_, of)| *of == name).max_by(longest);
    // A file's own list names the build that it was made as, where the address names the latest.
    let only = (entries.len() == 1).then(|| &entries[0]);
    named.or(only).map(|(checksum, _)| checksum.clone())
}

fn length(checksum: &Checksum) -> usize {
    let (Checksum::Sha256(digits) | Checksum::Sha512(digits)) = checksum;
    digits.len()
}

fn entry(line: &str) -> Option<(Checksum, &str)> {
    if let Some((head, digits)) = line.rsplit_once(") = ") {
        let (kind, name) = head.split_once(" (")?;
        return matches!(kind, "SHA256" | "SHA512")
            .then(|| Checksum::new(digits))?
            .map(|found| (found, name));
    }
    let (digits, name) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let name = name.trim_start();
    let name = name.strip_prefix('*').unwrap_or(name);
    Some((Checksum::new(digits)?, name.strip_prefix("./").unwrap_or(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const B: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const LONG: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                        2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

    #[test]
    fn every_publishers_form_is_read() {
        let gnu = format!("{B}  other.qcow2\n{A}  disk.qcow2\n");
        let ubuntu = format!("{B} *other.img\n{A} *disk.qcow2\n");
        let relative = format!("{B}  ./other\n{A}  ./disk.qcow2\n");
        let bsd = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# disk.qcow2: 42 bytes\n\
             SHA256 (other (1).qcow2) = {B}\nSHA256 (disk.qcow2) = {A}\n-----BEGIN PGP SIGNATURE-----\nabc\n"
        );
        let own = format!("{A}  disk-Build1.2.qcow2\n");
        let bare = format!("{}\n", A.to_uppercase());
        for list in [gnu, ubuntu, relative, bsd, own, bare] {
            assert_eq!(find(&list, "disk.qcow2"), Some(Checksum::Sha256(A.into())), "{list}");
        }
        let both = format!("SHA512 (disk.qcow2) = {LONG}\nSHA256 (disk.qcow2) = {A}\n");
        assert_eq!(find(&both, "disk.qcow2"), Some(Checksum::Sha512(LONG.into())));
    }

    #[test]
    fn what_is_not_listed_has_none() {
        let list = format!("{A}  disk.qcow2.old\n{B}  xdisk.qcow2\nMD5 (disk.qcow2) = d41d8cd98f00b204\n");
        for text in [list.as_str(), "", "<html>404</html>", ") = ", "SHA256 (", "\u{0}\u{fffd}"] {
            assert_eq!(find(text, "disk.qcow2"), None, "{text}");
        }
    }

    #[test]
    fn a_file_is_told_from_another() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        for right in [A, LONG] {
            Checksum::new(right).unwrap().check(file.path()).unwrap();
        }
        let told = Checksum::new(B).unwrap().check(file.path()).unwrap_err().told();
        assert!(told.contains(A) && told.contains(B), "{told}");
        assert_eq!(Checksum::new("abc"), None);
    }

    #[test]
    fn the_name_is_the_last_part_of_the_path() {
        assert_eq!(name_of("https://a.example/b/c.img?x=/y#z/"), "c.img");
        assert_eq!(name_of("https://a.example/b/"), "");
    }

    /// A server that gives one answer to everybody.
    fn serve(answer: String) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/SHA256SUMS", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
                let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
            }
        });
        url
    }

    #[tokio::test]
    async fn the_list_is_fetched_and_bounded() {
        let ok = |body: &str| {
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
        };
        let find = async |answer: String| {
            look_up(&serve(answer), "https://x.example/disk.img", Duration::from_millis(1)).await
        };
        let found = find(ok(&format!("{A}  disk.img\n{B}  b\n"))).await.unwrap();
        assert_eq!(found, Checksum::Sha256(A.into()));
        for (answer, told) in [
            (ok(&format!("{A}  a\n{B}  b\n")), "have none for disk.img"),
            (ok(&"x".repeat(LIST_BYTES_MAX + 1)), "too long"),
            ("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".into(), "404"),
            ("HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into(), "500"),
        ] {
            let error = find(answer).await.unwrap_err().told();
            assert!(error.contains(told), "{error}");
        }
    }
}
