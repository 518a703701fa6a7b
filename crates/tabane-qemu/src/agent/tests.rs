//! The agent's client against a scripted agent that is slow, stale or wicked.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::{Agent, ExecStatus, FreezeState, Limits, Output, Program, Run, ShutdownMode};
use crate::Error;

struct Guest {
    stream: BufReader<UnixStream>,
}

impl Guest {
    async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(bytes.as_ref()).await;
    }

    async fn answer(&mut self, value: Value) {
        self.say(format!("{}\n", json!({ "return": value }))).await;
    }

    async fn hear(&mut self) -> Value {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).await.unwrap();
        let text = line.strip_prefix(&[0xff]).unwrap_or(&line);
        serde_json::from_slice(text).unwrap_or(Value::Null)
    }

    async fn synchronize(&mut self) {
        let request = self.hear().await;
        assert_eq!(request["execute"], "guest-sync-delimited");
        self.say([0xff]).await;
        self.answer(request["arguments"]["id"].clone()).await;
    }

    /// Synchronizes, then gives these answers in turn; an endless one would be a hanging test.
    async fn script(mut self, answers: Vec<(&str, Value)>) {
        self.synchronize().await;
        for (command, answer) in answers {
            assert_eq!(self.hear().await["execute"], command);
            self.say(format!("{answer}\n")).await;
        }
        self.hear().await;
    }
}

struct Fake {
    agent: Agent,
    _root: tempfile::TempDir,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn socket() -> (tempfile::TempDir, PathBuf, UnixListener) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    (root, path, listener)
}

fn guest<F: Future<Output = ()> + Send>(
    limits: Limits,
    script: impl FnOnce(Guest) -> F + Send + 'static,
) -> Fake {
    let (root, path, listener) = socket();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        script(Guest { stream: BufReader::new(stream) }).await;
    });
    Fake { agent: Agent::with_limits(path, limits), _root: root, task }
}

fn scripted(answers: Vec<(&'static str, Value)>) -> Fake {
    guest(Limits::default(), |guest| guest.script(answers))
}

fn short() -> Limits {
    Limits { timeout: Duration::from_millis(200), line_bytes_max: 1000, content_line_bytes_max: 2000 }
}

#[tokio::test]
async fn stale_answers_are_skipped() {
    let fake = guest(Limits::default(), |mut guest| async move {
        guest.say(b"{\"return\": \"stale\"}\n{\"ret").await;
        guest.say([0xff]).await;
        guest.answer(json!(1)).await;
        guest.say([0xff, b'x', b'\n']).await;
        guest.synchronize().await;
        guest.hear().await;
        guest.answer(json!({"host-name": "right"})).await;
        guest.hear().await;
    });
    assert_eq!(fake.agent.host_name().await.unwrap(), "right");
}

#[tokio::test]
async fn after_a_timeout_the_late_answer_is_nobodys() {
    let fake = guest(short(), |mut guest| async move {
        guest.synchronize().await;
        guest.hear().await;
        // Too late: the client is already at its next call.
        let sync = guest.hear().await;
        guest.answer(json!({"host-name": "late"})).await;
        guest.say([0xff]).await;
        guest.answer(sync["arguments"]["id"].clone()).await;
        guest.hear().await;
        guest.answer(json!({"host-name": "right"})).await;
        guest.hear().await;
    });
    let failure = fake.agent.host_name().await.unwrap_err();
    assert!(matches!(failure, Error::Timeout { .. }), "{failure:?}");
    assert_eq!(fake.agent.host_name().await.unwrap(), "right");
}

#[tokio::test]
async fn a_dropped_call_does_not_poison_the_next() {
    let fake = guest(Limits::default(), |mut guest| async move {
        guest.synchronize().await;
        guest.hear().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        guest.answer(json!({"host-name": "late"})).await;
        guest.synchronize().await;
        guest.hear().await;
        guest.answer(json!({"host-name": "right"})).await;
        guest.hear().await;
    });
    let _ = tokio::time::timeout(Duration::from_millis(50), fake.agent.host_name()).await;
    assert_eq!(fake.agent.host_name().await.unwrap(), "right");
}

#[tokio::test]
async fn no_agent_means_a_timeout_and_a_fresh_connection() {
    let (_root, path, listener) = socket();
    let server = tokio::spawn(async move {
        let (mute, _) = listener.accept().await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        Guest { stream: BufReader::new(stream) }.script(vec![("guest-ping", json!({"return": {}}))]).await;
        drop(mute);
    });
    let agent = Agent::with_limits(path, short());
    assert!(matches!(agent.ping().await, Err(Error::Timeout { .. })));
    agent.ping_within(Duration::from_secs(30)).await.unwrap();
    server.abort();
}

#[tokio::test]
async fn endless_and_wrong_answers_are_errors() {
    for answer in ["x".repeat(5000), "[1]".into(), "{}".into(), "{\"return\": 7}".into(), "\u{0}".into()] {
        let fake = guest(short(), |mut guest| async move {
            guest.synchronize().await;
            guest.hear().await;
            guest.say(format!("{answer}\n")).await;
            guest.hear().await;
        });
        let failure = fake.agent.os_info().await.unwrap_err();
        assert!(matches!(failure, Error::Protocol { .. }), "{failure:?}");
    }
    let gone = guest(short(), |_| async {});
    assert!(matches!(gone.agent.ping().await, Err(Error::Closed { .. })));
}

#[tokio::test]
async fn refusals_keep_the_connection() {
    let refusal = json!({"error": {"class": "CommandNotFound", "desc": "no such command"}});
    let fake = scripted(vec![
        ("guest-get-vcpus", refusal),
        ("guest-fsfreeze-status", json!({"return": "frozen"})),
        ("guest-fsfreeze-status", json!({"return": "melting"})),
    ]);
    let failure = fake.agent.vcpus().await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "the guest agent refused guest-get-vcpus: no such command (CommandNotFound)"
    );
    assert_eq!(fake.agent.fsfreeze_status().await.unwrap(), FreezeState::Frozen);
    assert_eq!(fake.agent.fsfreeze_status().await.unwrap(), FreezeState::Unknown);
}

#[tokio::test]
async fn a_program_is_waited_for() {
    let ended = json!({"exited": true, "exitcode": 3, "out-data": "aGk=", "err-truncated": true});
    let fake = scripted(vec![
        ("guest-exec", json!({"return": {"pid": 42}})),
        ("guest-exec-status", json!({"return": {"exited": false}})),
        ("guest-exec-status", json!({ "return": ended })),
        ("guest-exec-status", json!({"return": {"exited": true, "out-data": "not base64!"}})),
        ("guest-exec-status", json!({"return": {"exited": true, "signal": 9}})),
    ]);
    let program = Program::new("/bin/echo", ["hi"]);
    let Run::Ended(output) = fake.agent.run(&program, Duration::from_secs(30)).await.unwrap() else {
        panic!("it has ended");
    };
    let expected =
        Output { exit_code: Some(3), stdout: b"hi".to_vec(), stderr_truncated: true, ..Output::default() };
    assert_eq!(output, expected);
    assert!(!output.success());
    assert!(matches!(fake.agent.exec_status(42).await, Err(Error::Protocol { .. })));
    // The line was whole, so the connection is still in step.
    let killed = Output { signal: Some(9), ..Output::default() };
    assert_eq!(fake.agent.exec_status(42).await.unwrap(), ExecStatus::Ended(killed));
}

#[tokio::test]
async fn a_program_that_does_not_end_is_left_running() {
    let fake = guest(Limits::default(), |mut guest| async move {
        guest.synchronize().await;
        guest.hear().await;
        guest.answer(json!({"pid": 42})).await;
        loop {
            guest.hear().await;
            guest.answer(json!({"exited": false})).await;
        }
    });
    let run = fake.agent.run(&Program::new("/bin/sleep", ["9"]), Duration::from_millis(100)).await.unwrap();
    assert_eq!(run, Run::StillRunning { pid: 42 });
    assert_eq!(fake.agent.exec_status(42).await.unwrap(), ExecStatus::Running);
}

#[tokio::test]
async fn old_agents_and_odd_guests_are_understood() {
    let interfaces = json!([{"name": "lo"}, {"name": "eth0", "hardware-address": "52:54:00:00:00:01",
        "ip-addresses": [{"ip-address": "10.0.2.15", "ip-address-type": "ipv4", "prefix": 24}], "new": 1}]);
    let fake = scripted(vec![
        ("guest-network-get-interfaces", json!({ "return": interfaces })),
        ("guest-get-osinfo", json!({"return": {"pretty-name": "Debian", "id": "debian"}})),
        (
            "guest-get-fsinfo",
            json!({"return": [{"name": "vda1", "mountpoint": "/", "type": "ext4", "disk": []}]}),
        ),
        ("guest-info", json!({"return": {"version": "0.1"}})),
        ("guest-get-memory-blocks", json!({"return": [{"phys-index": 1, "online": false}]})),
        (
            "guest-set-memory-blocks",
            json!({"return": [{"phys-index": 1, "response": "operation-failed", "error-code": 1}]}),
        ),
    ]);
    let agent = &fake.agent;
    let interfaces = agent.network_interfaces().await.unwrap();
    assert_eq!(interfaces[1].ip_addresses[0].prefix_length, 24);
    assert_eq!(interfaces[0].hardware_address, None);
    assert_eq!(agent.os_info().await.unwrap().pretty_name.as_deref(), Some("Debian"));
    assert_eq!(agent.file_systems().await.unwrap()[0].kind, "ext4");
    assert!(!agent.info().await.unwrap().allows("guest-exec"));
    assert!(matches!(agent.online_memory().await, Err(Error::Agent { .. })));
}

#[tokio::test]
async fn files_are_read_to_their_end_and_lies_are_refused() {
    let fake = scripted(vec![
        ("guest-file-open", json!({"return": 1000})),
        ("guest-file-read", json!({"return": {"count": 2, "buf-b64": "aGk=", "eof": false}})),
        ("guest-file-read", json!({"return": {"count": 1, "buf-b64": "IQ==", "eof": true}})),
        ("guest-file-close", json!({"return": {}})),
        ("guest-file-open", json!({"return": 1001})),
        ("guest-file-write", json!({"return": {"count": 99, "eof": false}})),
        ("guest-file-close", json!({"return": {}})),
    ]);
    assert_eq!(fake.agent.read_file("/etc/x", 10).await.unwrap(), b"hi!");
    assert!(matches!(fake.agent.write_file("/etc/x", b"abc").await, Err(Error::Protocol { .. })));
}

#[tokio::test]
async fn a_shutdown_without_an_answer_is_a_success() {
    let fake = guest(Limits::default(), |mut guest| async move {
        guest.synchronize().await;
        assert_eq!(guest.hear().await["arguments"]["mode"], "powerdown");
    });
    fake.agent.shutdown(ShutdownMode::PowerDown).await.unwrap();
}
