//! The display's websocket: its ticket is good once, for one VM.

use serde_json::json;
use tabane_model::Vm;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{fake_host::FakeHost, raw, world::World};

const HANDSHAKE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

async fn ticket(world: &World, vm: &str) -> String {
    let answer = world.post(&format!("/v1/vms/{vm}/vnc-tickets"), &json!({})).await.expect(200).json();
    let ticket = answer["ticket"].as_str().unwrap();
    assert_eq!(answer["path"], format!("/v1/vms/{vm}/vnc?ticket={ticket}"));
    let until: jiff::Timestamp = answer["expires_at"].as_str().unwrap().parse().unwrap();
    let left = until.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((25..=30).contains(&left), "{left} s");
    ticket.to_owned()
}

async fn connect(world: &World, vm: &str, ticket: &str) -> (raw::Answer, tokio::net::UnixStream) {
    raw::upgrade(&world.socket(), &format!("/v1/vms/{vm}/vnc?ticket={ticket}"), &HANDSHAKE).await
}

/// A binary frame as a client sends it (RFC 6455, 5.2): masked, here with zeros.
fn frame(bytes: &[u8]) -> Vec<u8> {
    [&[0x82, 0x80 | bytes.len() as u8, 0, 0, 0, 0], bytes].concat()
}

#[tokio::test]
async fn a_ticket_opens_the_display_once() {
    let world = World::new().await;
    let _host = FakeHost::join(&world, "h1").await;
    for vm in ["web1", "web2"] {
        world.create_vm(vm).await;
        world.until(vm, |vm: &Vm| vm.spec.host.is_some()).await;
    }
    let good = ticket(&world, "web1").await;
    let (answer, mut stream) = connect(&world, "web1", &good).await;
    let answer = answer.expect(101);
    // The answer to the key of RFC 6455, 1.3.
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    stream.write_all(&frame(b"RFB 003.008\n")).await.unwrap();
    let mut back = [0; 14];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"\x82\x0cRFB 003.008\n");

    connect(&world, "web1", &good).await.0.problem(409, "ticket_expired");
    let other = ticket(&world, "web1").await;
    connect(&world, "web2", &other).await.0.problem(409, "ticket_expired");
    // Tried at the wrong door it is used up as well.
    connect(&world, "web1", &other).await.0.problem(409, "ticket_expired");
    connect(&world, "web1", "AAAA").await.0.problem(409, "ticket_expired");
}

#[tokio::test]
async fn there_is_no_ticket_for_what_has_no_display() {
    let world = World::new().await;
    world.create_vm("lonely").await;
    world.post("/v1/vms/lonely/vnc-tickets", &json!({})).await.problem(409, "not_placed");
    world.post("/v1/vms/none/vnc-tickets", &json!({})).await.problem(404, "not_found");
}
