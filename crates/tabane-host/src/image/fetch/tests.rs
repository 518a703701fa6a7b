//! Against a server that knows ranges, and misbehaves as it is told.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use super::*;

#[derive(Clone, Default)]
struct Site {
    content: Vec<u8>,
    etag: Option<&'static str>,
    ranges: bool,
    /// How many bytes of the body each answer gets to; the rest is cut off. Afterwards nothing is.
    cuts: Vec<usize>,
    /// Instead of the file.
    answer: Option<String>,
    endless: bool,
    requests: Vec<String>,
    sent: usize,
}

/// Serves until the test ends.
fn serve(site: Site) -> (String, Arc<Mutex<Site>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/disk.img", listener.local_addr().unwrap());
    let site = Arc::new(Mutex::new(site));
    let shared = site.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") && reader.read_line(&mut request).is_ok_and(|n| n > 0) {}
            let (head, body) = answer(&mut shared.lock().unwrap(), &request);
            let mut stream = reader.into_inner();
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            while shared.lock().unwrap().endless && stream.write_all(&[7; 1 << 16]).is_ok() {}
        }
    });
    (url, site)
}

fn answer(site: &mut Site, request: &str) -> (String, Vec<u8>) {
    let field = |name: &str| {
        let line = request.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix(name).map(str::to_owned));
        line.map(|value| value.trim().to_owned())
    };
    site.requests.push(format!(
        "{} {}",
        field("range:").unwrap_or_default(),
        field("if-range:").unwrap_or_default()
    ));
    if let Some(answer) = &site.answer {
        return (answer.clone(), Vec::new());
    }
    let size = site.content.len();
    let same = field("if-range:").is_none_or(|tag| site.etag.is_some_and(|e| e.eq_ignore_ascii_case(&tag)));
    let first = field("range:").and_then(|r| r.strip_prefix("bytes=")?.trim_end_matches('-').parse().ok());
    let first: usize = first.filter(|_| site.ranges && same).unwrap_or(0);
    let etag = site.etag.map(|tag| format!("ETag: {tag}\r\n")).unwrap_or_default();
    if first > 0 && first >= size {
        return (
            format!("HTTP/1.1 416 No\r\n{etag}Content-Range: bytes */{size}\r\nContent-Length: 0\r\n\r\n"),
            vec![],
        );
    }
    let status = if first > 0 {
        format!("206 Partial Content\r\nContent-Range: bytes {first}-{}/{size}", size - 1)
    } else {
        "200 OK".into()
    };
    let rest = &site.content[first..];
    let length = if site.endless { String::new() } else { format!("Content-Length: {}\r\n", rest.len()) };
    let head = format!("HTTP/1.1 {status}\r\n{etag}{length}Connection: close\r\n\r\n");
    let cut = if site.cuts.is_empty() { rest.len() } else { site.cuts.remove(0).min(rest.len()) };
    site.sent += cut;
    (head, rest[..cut].to_vec())
}

fn content(seed: u8) -> Vec<u8> {
    (0..3_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 ^ seed).collect()
}

fn good() -> Site {
    Site { content: content(0), etag: Some("\"v1\""), ranges: true, ..Site::default() }
}

async fn fetch(url: &str, part: &Path) -> Result<()> {
    let fetch = Fetch { pause: Duration::from_millis(1), spare_bytes: 0, ..Fetch::new(url, part) };
    fetch.run(&|_, _| {}).await
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("x.part");
    let (url, site) = serve(Site { cuts: vec![1_000_000, 500_000], ..good() });
    fetch(&url, &part).await.unwrap();
    assert_eq!(std::fs::read(&part).unwrap(), content(0));
    let site = site.lock().unwrap();
    assert_eq!(site.sent, 3_000_000, "not a byte twice");
    assert_eq!(site.requests, [" ", "bytes=1000000- \"v1\"", "bytes=1500000- \"v1\""]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "only the file is left");
}

#[tokio::test]
async fn it_goes_on_also_after_we_were_killed() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("x.part");
    let (url, site) = serve(good());
    std::fs::write(&part, &content(0)[..2_000_000]).unwrap();
    std::fs::write(from(&part), "\"v1\"").unwrap();
    fetch(&url, &part).await.unwrap();
    assert_eq!((std::fs::read(&part).unwrap(), site.lock().unwrap().sent), (content(0), 1_000_000));
    // And just before the last step.
    std::fs::write(from(&part), "\"v1\"").unwrap();
    fetch(&url, &part).await.unwrap();
    assert_eq!((std::fs::read(&part).unwrap(), site.lock().unwrap().sent), (content(0), 1_000_000));
}

#[tokio::test]
async fn two_versions_are_never_mixed() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("x.part");
    for (etag, ranges) in
        [(Some("\"v2\""), true), (Some("W/\"v1\""), true), (None, true), (Some("\"v1\""), false)]
    {
        // What is there is of version 1, and the server has another one, or cannot say which it has.
        std::fs::write(&part, &content(9)[..2_000_000]).unwrap();
        match etag {
            Some("\"v2\"") | Some("\"v1\"") => std::fs::write(from(&part), "\"v1\"").unwrap(),
            _ => files::remove(&from(&part)).unwrap(),
        }
        let (url, _) = serve(Site { etag, ranges, cuts: vec![700_000, 100], ..good() });
        fetch(&url, &part).await.unwrap();
        assert_eq!(std::fs::read(&part).unwrap(), content(0), "{etag:?} {ranges}");
    }
    // Longer than the file: no part of it.
    std::fs::write(&part, content(9)).unwrap();
    std::fs::write(from(&part), "\"v1\"").unwrap();
    let (url, _) = serve(Site { content: content(0)[..1000].to_vec(), ..good() });
    fetch(&url, &part).await.unwrap();
    assert_eq!(std::fs::read(&part).unwrap(), content(0)[..1000]);
}

#[tokio::test]
async fn what_cannot_be_had_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("x.part");
    for (answer, told) in [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404"),
        ("HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n", "302"),
        ("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n", "without end"),
        ("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "500"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1125899906842624\r\n\r\n", "does not fit"),
        ("nonsense\r\n\r\n", "cannot download"),
    ] {
        let (url, site) = serve(Site { answer: Some(answer.into()), ..Site::default() });
        let error = fetch(&url, &part).await.unwrap_err().told();
        assert!(error.contains(told), "{answer}: {error}");
        let asked = site.lock().unwrap().requests.len();
        assert!(asked <= 5 * (REDIRECTS_MAX + 2), "{answer}: asked {asked} times");
    }
}

#[tokio::test]
async fn data_without_end_does_not_fill_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("x.part");
    let (url, _) = serve(Site { endless: true, ..good() });
    let (_, free) = pool::space(folder.path()).unwrap();
    // As if all but 100 MiB were to be left to others.
    let spare_bytes = free.saturating_sub(100 << 20);
    let fetch = Fetch { pause: Duration::from_millis(1), spare_bytes, ..Fetch::new(&url, &part) };
    let error = fetch.run(&|_, _| {}).await.unwrap_err().told();
    assert!(error.contains("does not fit"), "{error}");
    assert!(part.metadata().unwrap().len() < 1 << 30);
}
