//! Byte streams pass through the server both ways, and what goes wrong reaches the client in words.

use serde_json::json;
use tabane_model::{
    Class, Problem, Vm,
    api::{ExecRequest, StreamKind},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    fake_host::{FakeHost, Options, PICTURE},
    world::{World, name},
};

async fn placed(world: &World, options: Options) -> FakeHost {
    let host = FakeHost::join_with(world, "h1", options).await;
    world.create_vm("web1").await;
    world.until("web1", |vm: &Vm| vm.spec.host.is_some()).await;
    host
}

fn command() -> ExecRequest {
    ExecRequest { command: vec!["id".into(), "-u".into()], ..ExecRequest::default() }
}

async fn echoes(stream: &mut tabane_client::Stream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).await.unwrap();
    assert!(back == bytes, "{} bytes came back changed", bytes.len());
}

#[tokio::test]
async fn bytes_pass_both_ways_until_both_ends_are_done() {
    let world = World::new().await;
    let host = placed(&world, Options::default()).await;
    let large: Vec<u8> = (0..60_000u32).map(|i| (i % 251) as u8).collect();
    let mut console = world.admin.console("web1").await.unwrap();
    echoes(&mut console, b"hello\r\n\0\xff").await;
    echoes(&mut console, &large).await;
    let mut exec = world.admin.exec("web1", &command()).await.unwrap();
    echoes(&mut exec, &large).await;
    // The two do not mix.
    echoes(&mut console, b"still here").await;
    console.shutdown().await.unwrap();
    let mut rest = Vec::new();
    console.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"");
    let expected =
        [StreamKind::Console { vm: name("web1") }, StreamKind::Exec { vm: name("web1"), exec: command() }];
    assert_eq!(host.orders(), expected);
}

#[tokio::test]
async fn a_screenshot_is_an_ordinary_answer() {
    let world = World::new().await;
    let _host = placed(&world, Options::default()).await;
    assert_eq!(world.admin.screenshot("web1").await.unwrap(), PICTURE);
    let answer = world.get("/v1/vms/web1/screenshot").await.expect(200);
    assert_eq!(answer.header("content-type"), Some("image/png"));
}

#[tokio::test]
async fn a_refusal_reaches_the_client_in_the_hosts_words() {
    let world = World::new().await;
    let refusal =
        Problem::new(Class::Conflict, "not_running", "the VM web1 is off").with_hint("start it first");
    let _host = placed(&world, Options { refusal: Some(refusal.clone()), ..Options::default() }).await;
    for error in [
        world.admin.console("web1").await.map(drop).unwrap_err(),
        world.admin.exec("web1", &command()).await.map(drop).unwrap_err(),
        world.admin.screenshot("web1").await.map(drop).unwrap_err(),
    ] {
        match error {
            tabane_client::Error::Problem(problem) => assert_eq!(*problem, refusal),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_refusal_is_an_error_whatever_status_the_host_gives_it() {
    let world = World::new().await;
    let refusal = Problem::new(Class::Conflict, "not_running", "off").with_hint("start it").with_status(200);
    let _host = placed(&world, Options { refusal: Some(refusal), ..Options::default() }).await;
    let answer = world.get("/v1/vms/web1/screenshot").await;
    assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("not_running")));
}

#[tokio::test]
async fn without_a_host_there_is_no_stream() {
    let world = World::new().await;
    world.create_vm("lonely").await;
    let before = world.settled().await;
    assert_eq!(world.admin.console("lonely").await.err().unwrap().code(), Some("not_placed"));
    assert_eq!(world.admin.console("none").await.err().unwrap().code(), Some("not_found"));
    world.get("/v1/vms/lonely/console").await.problem(409, "upgrade_required");
    let empty = json!({ "command": [] });
    let problem = world.post("/v1/vms/lonely/exec", &empty).await.problem(400, "invalid_object");
    assert_eq!(problem.field.as_deref(), Some("command"));
    world.post("/v1/vms/lonely/exec", &json!({ "cmd": ["id"] })).await.problem(400, "invalid_body");
    assert_eq!(world.settled().await, before);
}

#[tokio::test]
async fn an_upload_goes_to_the_images_host() {
    let world = World::new().await;
    let options = Options { leaves_images: true, ..Options::default() };
    let host = FakeHost::join_with(&world, "h1", options).await;
    let image = json!({ "meta": { "name": "i1" }, "spec": { "source": { "upload": { "size_bytes": 5 } } } });
    world.post("/v1/images", &image).await.expect(201);
    assert_eq!(world.admin.upload("i1", 0).await.err().unwrap().code(), Some("not_uploading"));
    // Only the image's own host may speak for it, so it has to be placed first.
    let image = loop {
        let image: tabane_model::Image = world.read("i1").await;
        if image.spec.host.is_some() {
            break image;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    let status =
        tabane_model::ImageStatus { phase: tabane_model::ImagePhase::Uploading, ..image.status.clone() };
    host.say(&image, &status).await.unwrap();
    let mut stream = world.admin.upload("i1", 3).await.unwrap();
    echoes(&mut stream, b"lo").await;
    assert_eq!(host.orders(), [StreamKind::Upload { image: name("i1"), offset_bytes: 3 }]);
}
