//! The display: over a websocket as browsers see it, and as a picture.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, client::IntoClientRequest, http::Response},
};

use crate::world::World;

/// RFB over binary messages, whose borders mean nothing.
struct Rfb {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    unread: Vec<u8>,
}

impl Rfb {
    /// Connects without any token: the ticket in the path has to do.
    async fn connect(world: &World, path: &str) -> Result<Self, Response<Option<Vec<u8>>>> {
        let url = world.url();
        let address = url.trim_start_matches("https://").split('/').next().unwrap().to_owned();
        let authority = CertificateDer::from_pem_file(world.path().join("server/tls/ca.pem")).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
        let tcp = TcpStream::connect(&address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let tls = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        let mut request = format!("wss://{address}{path}").into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "binary".parse().unwrap());
        match tokio_tungstenite::client_async(request, tls).await {
            Ok((socket, answer)) => {
                assert_eq!(answer.headers()["sec-websocket-protocol"], "binary");
                Ok(Self { socket, unread: Vec::new() })
            }
            Err(Error::Http(answer)) => Err(*answer),
            Err(error) => panic!("{error}"),
        }
    }

    async fn read(&mut self, length: usize) -> Vec<u8> {
        while self.unread.len() < length {
            let message = tokio::time::timeout(Duration::from_secs(30), self.socket.next()).await;
            match message.expect("it answers in time").expect("it stays open").unwrap() {
                Message::Binary(bytes) => self.unread.extend(bytes),
                other => panic!("{other:?} is not binary"),
            }
        }
        self.unread.drain(..length).collect()
    }

    async fn number(&mut self, length: usize) -> usize {
        self.read(length).await.into_iter().fold(0, |number, byte| number << 8 | usize::from(byte))
    }

    async fn write(&mut self, bytes: impl Into<Vec<u8>>) {
        self.socket.send(Message::Binary(bytes.into().into())).await.unwrap();
    }

    /// The handshake up to ServerInit (RFC 6143, 7.1 to 7.3); width and height.
    async fn shake_hands(&mut self) -> (usize, usize) {
        assert_eq!(self.read(12).await, b"RFB 003.008\n");
        self.write(*b"RFB 003.008\n").await;
        let types = self.number(1).await;
        let types = self.read(types).await;
        assert!(types.contains(&1), "{types:?}: the ticket is what admits, RFB asks for nothing more");
        self.write([1]).await;
        assert_eq!(self.number(4).await, 0, "SecurityResult is OK");
        self.write([1]).await;
        let size = (self.number(2).await, self.number(2).await);
        let format = self.read(16).await;
        assert_eq!(format[..2], [32, 24], "bits per pixel, depth");
        let name = self.number(4).await;
        self.read(name).await;
        size
    }

    /// The whole display in raw encoding (7.5.3, 7.6.1, 7.7.1), four bytes a pixel.
    async fn picture(&mut self, width: usize, height: usize) -> Vec<u8> {
        self.write([2, 0, 0, 1, 0, 0, 0, 0]).await;
        let (w, h) = ((width as u16).to_be_bytes(), (height as u16).to_be_bytes());
        self.write([3, 0, 0, 0, 0, 0, w[0], w[1], h[0], h[1]]).await;
        assert_eq!(self.number(1).await, 0, "FramebufferUpdate");
        self.read(1).await;
        let mut picture = vec![0; width * height * 4];
        let mut painted = 0;
        for _ in 0..self.number(2).await {
            let (x, y) = (self.number(2).await, self.number(2).await);
            let (w, h) = (self.number(2).await, self.number(2).await);
            assert_eq!(self.number(4).await, 0, "raw encoding");
            assert!(x + w <= width && y + h <= height);
            for row in y..y + h {
                let line = self.read(w * 4).await;
                picture[(row * width + x) * 4..][..w * 4].copy_from_slice(&line);
            }
            painted += w * h;
        }
        assert!(painted >= width * height, "{painted} of {width} x {height} pixels were sent");
        picture
    }
}

fn ticket(world: &World, vm: &str) -> Value {
    serde_json::from_str(&world.ok(&["vm", "vnc", vm, "-o", "json"])).unwrap()
}

async fn refusal(world: &World, path: &str) -> Value {
    let Err(answer) = Rfb::connect(world, path).await else { panic!("{path} was let in") };
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: Value = serde_json::from_slice(answer.body().as_deref().unwrap()).unwrap();
    assert_eq!(answer.status().as_u16(), problem["status"], "{problem}");
    problem
}

#[tokio::test]
async fn e2e_a_ticket_opens_the_display_of_a_guest_once() {
    let world = World::with_tiny();
    world.tiny_vm("a", &[]);
    let (used, late) = (ticket(&world, "a"), ticket(&world, "a"));
    let path = used["path"].as_str().unwrap();

    let mut rfb = Rfb::connect(&world, path).await.unwrap_or_else(|answer| panic!("{answer:?}"));
    let (width, height) = rfb.shake_hands().await;
    assert!((640..=1920).contains(&width) && (350..=1200).contains(&height), "{width} x {height}");
    // The shell on the guest's first terminal: letters on a ground.
    let picture = rfb.picture(width, height).await;
    let ground = picture.chunks(4).filter(|pixel| pixel[..3] == [0, 0, 0]).count();
    assert!((1..width * height).contains(&ground), "{ground} of {width} x {height} pixels are black");

    let hint = "POST /v1/vms/a/vnc-tickets";
    for path in [path, "/v1/vms/a/vnc?ticket=AAAA", "/v1/vms/a/vnc?ticket="] {
        let problem = refusal(&world, path).await;
        assert_eq!((&problem["code"], &problem["status"]), (&"ticket_expired".into(), &409.into()), "{path}");
        assert!(problem["hint"].as_str().unwrap().contains(hint), "{problem}");
    }
    assert_eq!(refusal(&world, "/v1/vms/a/vnc").await["status"], 400);

    // A picture of the same display.
    let file = world.path().join("screen.png");
    world.ok(&["vm", "screenshot", "a", "-o", file.to_str().unwrap()]);
    let png = std::fs::read(&file).unwrap();
    assert_eq!(png[..16], *b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!((number(16), number(20)), (width, height));
    assert!(png.ends_with(b"IEND\xaeB`\x82"), "it is whole");
    assert!(world.refused(&["vm", "screenshot", "a"]).contains("-o FILE"));

    let until: jiff::Timestamp = late["expires_at"].as_str().unwrap().parse().unwrap();
    let left = until.duration_since(jiff::Timestamp::now()) + jiff::SignedDuration::from_millis(500);
    tokio::time::sleep(Duration::try_from(left).unwrap_or_default()).await;
    assert_eq!(refusal(&world, late["path"].as_str().unwrap()).await["code"], "ticket_expired");

    // The first connection has stood all the time, and ends with its VM.
    assert_eq!(rfb.picture(width, height).await.len(), picture.len());
    world.ok(&["vm", "force-off", "a", "--wait", "stopped"]);
    let end = async { while let Some(Ok(Message::Binary(_))) = rfb.socket.next().await {} };
    tokio::time::timeout(Duration::from_secs(30), end).await.expect("it is closed");
    let refused = world.refused(&["vm", "screenshot", "a", "-o", "/dev/null"]);
    assert!(refused.contains("does not run") && refused.contains("tabane vm start a"), "{refused}");
}
