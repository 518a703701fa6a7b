//! Sessions of the web console: a cookie for a token, good for our own pages only, and never longer than the token.

use serde_json::json;
use tabane_model::{Role, Vm};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    fake_host::FakeHost,
    raw::{self, Answer},
    world::{World, vm},
};

/// The `Host` that [`raw`] sends.
const HOME: (&str, &str) = ("Origin", "https://tabane.local");
const ABROAD: (&str, &str) = ("Origin", "https://evil.example");

async fn sign_in(world: &World, token: &str) -> Answer {
    world.post("/v1/session", &json!({ "token": token })).await
}

/// The cookie as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie").expect("it sets a cookie");
    set.split(';').next().unwrap().to_owned()
}

async fn get(world: &World, path: &str, cookie: &str) -> Answer {
    world.send("GET", path, &[("Cookie", cookie)], None).await
}

#[tokio::test]
async fn a_session_is_its_token_until_it_is_signed_out() {
    let world = World::new().await;
    let token = world.token("ann", Role::Operator).await;
    let answer = sign_in(&world, &token).await.expect(201);
    let set = answer.header("set-cookie").unwrap();
    for part in ["__Host-tabane=", "; Path=/", "; HttpOnly", "; Secure", "; SameSite=Strict", "; Max-Age="] {
        assert!(set.contains(part), "{set}");
    }
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let told = answer.json();
    assert_eq!((told["principal"].as_str(), told["role"].as_str()), (Some("ann"), Some("operator")));
    let cookie = cookie(&answer);
    let shown = get(&world, "/v1/session", &cookie).await.expect(200).json();
    assert_eq!(shown, told);
    get(&world, "/v1/vms", &cookie).await.expect(200);
    // As far as the token reaches, and no further: on the local socket everybody else is root.
    get(&world, "/v1/tokens", &cookie).await.problem(403, "denied");
    // The id itself is nowhere in the store.
    let id = cookie.split_once('=').unwrap().1;
    for entry in world.store.list("", None, 1000).await.unwrap().entries {
        assert!(
            !entry.key.contains(id) && !String::from_utf8_lossy(&entry.value).contains(id),
            "{}",
            entry.key
        );
    }
    world.send("DELETE", "/v1/session", &[("Cookie", &cookie), HOME], None).await.expect(204);
    get(&world, "/v1/vms", &cookie).await.problem(401, "unauthenticated");
    get(&world, "/v1/session", &cookie).await.expect(204);
    let verbs: Vec<String> = world.get("/v1/audit").await.expect(200).json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            format!(
                "{} {} {}",
                r["principal"].as_str().unwrap(),
                r["verb"].as_str().unwrap(),
                r["name"].as_str().unwrap()
            )
        })
        .collect();
    assert!(
        verbs.contains(&"ann sign-in ann".into()) && verbs.contains(&"ann sign-out ann".into()),
        "{verbs:?}"
    );
}

#[tokio::test]
async fn a_session_dies_with_its_token() {
    let world = World::new().await;
    let token = world.token("bob", Role::Viewer).await;
    let cookie = cookie(&sign_in(&world, &token).await.expect(201));
    get(&world, "/v1/vms", &cookie).await.expect(200);
    world.delete("/v1/tokens/bob").await.expect(204);
    get(&world, "/v1/vms", &cookie).await.problem(401, "unauthenticated");
    // Another token of that name is another one.
    world.token("bob", Role::Admin).await;
    get(&world, "/v1/vms", &cookie).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn tokens_of_programs_and_wrong_ones_open_none() {
    let world = World::new().await;
    let join = world.token("joiner", Role::Join).await;
    sign_in(&world, &join).await.problem(403, "denied");
    let token = world.token("eve", Role::Viewer).await;
    for wrong in ["", "x", "tbn_eve_wrong", "tbn_none_AAAA"] {
        sign_in(&world, wrong).await.problem(401, "unauthenticated");
    }
    get(&world, "/v1/vms", "__Host-tabane=AAAA").await.problem(401, "unauthenticated");
    // After the tenth failure even the right one has to wait.
    for _ in 4..10 {
        sign_in(&world, "x").await.problem(401, "unauthenticated");
    }
    sign_in(&world, &token).await.problem(429, "too_many_sign_ins");
}

#[tokio::test]
async fn foreign_pages_cannot_use_the_cookie() {
    let world = World::new().await;
    let token = world.token("ann", Role::Operator).await;
    let cookie = cookie(&sign_in(&world, &token).await.expect(201));
    let with = ("Cookie", cookie.as_str());
    let create = |headers: Vec<(&'static str, &'static str)>, name: &'static str| {
        let (world, cookie) = (&world, cookie.clone());
        async move {
            let mut all: Vec<(&str, &str)> = vec![("Cookie", &cookie)];
            all.extend(headers);
            world.send("POST", "/v1/vms", &all, Some(&vm(name))).await
        }
    };
    create(vec![], "web1").await.problem(403, "foreign_origin");
    create(vec![ABROAD], "web1").await.problem(403, "foreign_origin");
    create(vec![("Origin", "null")], "web1").await.problem(403, "foreign_origin");
    create(vec![("Origin", "http://tabane.local")], "web1").await.problem(403, "foreign_origin");
    create(vec![HOME], "web1").await.expect(201);
    for method in ["PUT", "PATCH", "DELETE"] {
        world.send(method, "/v1/vms/web1", &[with, ABROAD], None).await.problem(403, "foreign_origin");
    }
    // Nobody is signed in by a foreign page either.
    let body = json!({ "token": token });
    world.send("POST", "/v1/session", &[ABROAD], Some(&body)).await.problem(403, "foreign_origin");
    let socket = [
        with,
        ABROAD,
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let path = "/v1/vms/web1/console-socket?ticket=AAAA";
    raw::upgrade(&world.socket(), path, &socket).await.0.problem(403, "foreign_origin");
}

#[tokio::test]
async fn a_ticket_opens_the_serial_console_and_no_other_door() {
    let world = World::new().await;
    let _host = FakeHost::join(&world, "h1").await;
    world.create_vm("web1").await;
    world.until("web1", |vm: &Vm| vm.spec.host.is_some()).await;
    let handshake = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let path = async || {
        let answer = world.post("/v1/vms/web1/console-tickets", &json!({})).await.expect(200).json();
        answer["path"].as_str().unwrap().to_owned()
    };
    let good = path().await;
    let (answer, mut stream) = raw::upgrade(&world.socket(), &good, &handshake).await;
    answer.expect(101);
    stream.write_all(&[&[0x82, 0x83, 0, 0, 0, 0][..], b"ls\n"].concat()).await.unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"\x82\x03ls\n");
    let other = path().await.replace("console-socket", "vnc");
    raw::upgrade(&world.socket(), &other, &handshake).await.0.problem(409, "ticket_expired");
}

#[tokio::test]
async fn one_stream_tells_of_all_kinds_that_the_caller_may_read() {
    let world = World::new().await;
    let token = world.token("ann", Role::Viewer).await;
    let cookie = cookie(&sign_in(&world, &token).await.expect(201));
    world.create_vm("web1").await;
    let headers = [("Cookie", cookie.as_str()), ("Connection", "close")];
    let (answer, mut stream) = raw::upgrade(&world.socket(), "/v1/watch?events=10", &headers).await;
    assert_eq!(answer.expect(200).header("content-type"), Some("text/event-stream"));
    let mut text = String::new();
    let mut until = async |wanted: &str| {
        let mut buffer = [0; 4096];
        while !text.contains(wanted) {
            let read = tokio::time::timeout(std::time::Duration::from_secs(20), stream.read(&mut buffer));
            let read = read.await.unwrap_or_else(|_| panic!("{wanted} does not come: {text}")).unwrap();
            assert!(read > 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        text.clone()
    };
    let begin = until("synced").await;
    assert!(begin.contains(r#""kind":"vm""#) && begin.contains(r#""kind":"network""#), "{begin}");
    world.create_vm("web2").await;
    world.token("secret-one", Role::Viewer).await;
    world.delete("/v1/tokens/secret-one").await.expect(204);
    world.create_vm("web3").await;
    let all = until("web3").await;
    assert!(
        all.contains("web2") && !all.contains("secret-one") && !all.contains(r#""kind":"token""#),
        "{all}"
    );
}
