//! QMP against a scripted server that behaves badly.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::{Notice, Qmp};
use crate::Error;

const LONG: Duration = Duration::from_secs(30);

/// One client's connection as the server sees it.
struct Peer {
    stream: BufReader<UnixStream>,
}

impl Peer {
    async fn say(&mut self, value: Value) {
        self.say_bytes(format!("{value}\r\n").as_bytes()).await;
    }

    async fn say_bytes(&mut self, bytes: &[u8]) {
        // The client may have hung up, which is what some tests are about.
        let _ = self.stream.get_mut().write_all(bytes).await;
    }

    async fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        serde_json::from_str(&line).unwrap_or(Value::Null)
    }

    /// Greeting and capabilities, as QEMU does it.
    async fn greet(&mut self) {
        self.say(
            json!({"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}}, "capabilities": []}}),
        )
        .await;
        let request = self.hear().await;
        assert_eq!(request["execute"], "qmp_capabilities");
        self.say(json!({"return": {}, "id": request["id"]})).await;
    }
}

struct Server {
    path: PathBuf,
    _root: tempfile::TempDir,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn server<F: Future<Output = ()> + Send + 'static>(
    script: impl FnOnce(Peer) -> F + Send + 'static,
) -> Server {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("qmp.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        script(Peer { stream: BufReader::new(stream) }).await;
    });
    Server { path, _root: root, task }
}

#[tokio::test]
async fn answers_out_of_order_find_their_calls() {
    let server = server(|mut peer| async move {
        peer.greet().await;
        let (first, second) = (peer.hear().await, peer.hear().await);
        peer.say(json!({"return": second["execute"], "id": second["id"]})).await;
        peer.say(json!({"return": "nobody asked", "id": 4711})).await;
        peer.say(json!({"return": first["execute"], "id": first["id"]})).await;
        peer.hear().await;
    });
    let (qmp, _events) = Qmp::connect(&server.path, LONG).await.unwrap();
    let (a, b) = tokio::join!(
        qmp.execute::<String>("alpha", Value::Null),
        qmp.execute::<String>("beta", json!({"x": 1}))
    );
    assert_eq!((a.unwrap().as_str(), b.unwrap().as_str()), ("alpha", "beta"));
}

#[tokio::test]
async fn a_refusal_keeps_class_and_text() {
    let server = server(|mut peer| async move {
        peer.greet().await;
        let id = peer.hear().await["id"].clone();
        peer.say(json!({"error": {"class": "DeviceNotFound", "desc": "no such\nthing"}, "id": id})).await;
        peer.hear().await;
    });
    let (qmp, _events) = Qmp::connect(&server.path, LONG).await.unwrap();
    let failure = qmp.stop().await.unwrap_err();
    assert!(failure.is_qmp_class("DeviceNotFound"));
    assert_eq!(failure.to_string(), "QEMU refused stop: no such thing (DeviceNotFound)");
}

#[tokio::test]
async fn an_early_end_fails_calls_and_ends_streams() {
    let server = server(|mut peer| async move {
        peer.greet().await;
        peer.say(json!({"event": "STOP", "timestamp": {"seconds": 5, "microseconds": 6}})).await;
        peer.hear().await;
    });
    let (qmp, mut events) = Qmp::connect(&server.path, LONG).await.unwrap();
    let failure = qmp.query_status().await.unwrap_err();
    assert!(matches!(failure, Error::Closed { .. }), "{failure:?}");
    let Some(Notice::Event(event)) = events.next().await else { panic!("no event") };
    assert!(event.is_stop() && event.timestamp.seconds == 5);
    assert_eq!(events.next().await, None);
    assert!(qmp.is_closed());
    assert!(matches!(qmp.cont().await, Err(Error::Closed { .. })));
    assert_eq!(qmp.subscribe().next().await, None);
}

#[tokio::test]
async fn garbage_closes_the_connection() {
    for garbage in
        [&b"what?\n"[..], b"\xff\xfe\n", b"[]\n", b"{\"id\": 3}\n", b"{\"return\": {}, \"id\": \"x\"}\n"]
    {
        let server = server(move |mut peer| async move {
            peer.greet().await;
            peer.hear().await;
            peer.say_bytes(garbage).await;
            peer.hear().await;
        });
        let (qmp, _events) = Qmp::connect(&server.path, LONG).await.unwrap();
        let failure = qmp.query_status().await.unwrap_err();
        assert!(matches!(failure, Error::Closed { .. }), "{failure:?}");
    }
}

#[tokio::test]
async fn deep_nesting_is_no_stack_overflow() {
    let server = server(|mut peer| async move {
        peer.greet().await;
        peer.hear().await;
        let mut line = b"{\"return\":".to_vec();
        line.extend(std::iter::repeat_n(b'[', 1_000_000));
        line.push(b'\n');
        peer.say_bytes(&line).await;
        peer.hear().await;
    });
    let (qmp, _events) = Qmp::connect(&server.path, LONG).await.unwrap();
    assert!(matches!(qmp.query_status().await, Err(Error::Closed { .. })));
}

#[tokio::test]
async fn an_endless_line_closes_the_connection() {
    let server = server(|mut peer| async move {
        peer.greet().await;
        peer.hear().await;
        let block = vec![b'x'; 1 << 20];
        for _ in 0..18 {
            peer.say_bytes(&block).await;
        }
        std::future::pending::<()>().await;
    });
    let (qmp, _events) = Qmp::connect(&server.path, LONG).await.unwrap();
    match qmp.query_status().await {
        Err(Error::Closed { reason, .. }) => assert!(reason.contains("longer than"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn silence_times_out_and_a_late_answer_is_dropped() {
    let server = server(|mut peer| async move {
        peer.greet().await;
        let first = peer.hear().await;
        let second = peer.hear().await;
        peer.say(json!({"return": "late", "id": first["id"]})).await;
        peer.say(json!({"return": "right", "id": second["id"]})).await;
        peer.hear().await;
    });
    let (qmp, _events) = Qmp::connect(&server.path, LONG).await.unwrap();
    let short = Duration::from_millis(50);
    let failure = qmp.execute_with_timeout::<String>("slow", Value::Null, short).await.unwrap_err();
    assert!(matches!(failure, Error::Timeout { timeout_ms: 50, .. }), "{failure:?}");
    assert_eq!(qmp.execute::<String>("next", Value::Null).await.unwrap(), "right");
}

#[tokio::test]
async fn a_server_without_a_greeting_is_not_waited_for_forever() {
    let mute = server(|mut peer| async move {
        peer.hear().await;
    });
    let failure = Qmp::connect(&mute.path, Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(failure, Error::Timeout { .. }), "{failure:?}");

    let other = server(|mut peer| async move { peer.say_bytes(b"SSH-2.0-OpenSSH\r\n").await });
    let failure = Qmp::connect(&other.path, LONG).await.unwrap_err();
    assert!(matches!(failure, Error::Protocol { .. }), "{failure:?}");

    let gone = server(|_| async {});
    let failure = Qmp::connect(&gone.path, LONG).await.unwrap_err();
    assert!(matches!(failure, Error::Closed { .. }), "{failure:?}");
}

#[tokio::test]
async fn a_flood_of_events_is_bounded_and_marked() {
    let server = server(|mut peer| async move {
        peer.greet().await;
        for number in 0..2000 {
            peer.say(json!({"event": "RTC_CHANGE", "data": {"offset": number}})).await;
        }
        peer.say(json!({"event": "HUGE", "data": "x".repeat(100_000)})).await;
        let id = peer.hear().await["id"].clone();
        peer.say(json!({"return": {}, "id": id})).await;
        peer.hear().await;
    });
    let (qmp, mut events) = Qmp::connect(&server.path, LONG).await.unwrap();
    qmp.stop().await.unwrap();
    assert!(matches!(events.next().await, Some(Notice::Lagged { lost }) if lost > 1000));
    drop(qmp);
    let mut last = None;
    while let Some(notice) = events.next().await {
        last = Some(notice);
    }
    assert_eq!(last, Some(Notice::Lagged { lost: 1 }));
}

#[tokio::test]
async fn a_wrong_answer_is_an_error_and_the_connection_lives_on() {
    let server = server(|mut peer| async move {
        peer.greet().await;
        for answer in [json!({"running": "maybe"}), json!({"running": true, "status": "running"})] {
            let id = peer.hear().await["id"].clone();
            peer.say(json!({"return": answer, "id": id})).await;
        }
        peer.hear().await;
    });
    let (qmp, _events) = Qmp::connect(&server.path, LONG).await.unwrap();
    assert!(matches!(qmp.query_status().await, Err(Error::Protocol { .. })));
    assert!(qmp.query_status().await.unwrap().running);
}
