//! Unplugging against a scripted QEMU, since a machine without a guest never gives a device back.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

use super::{add_disk, remove_disk, remove_nic};
use crate::Error;
use crate::command::{Disk, DiskFormat};
use crate::qmp::Qmp;

const LONG: Duration = Duration::from_secs(30);

/// A QEMU that answers each command from its state.
struct Fake {
    plugged: Vec<&'static str>,
    nodes: Vec<String>,
    on_unplug: OnUnplug,
    refuse_device_add: bool,
    log: Vec<String>,
}

#[derive(Clone, Copy)]
enum OnUnplug {
    Release,
    Refuse,
    Ignore,
}

impl Fake {
    fn answer(&mut self, command: &str, arguments: &Value) -> (Result<Value, Value>, Option<Value>) {
        let event = |name: &str, device: &str| {
            Some(json!({"event": name, "data": {"device": device, "path": "/x"}, "timestamp": {}}))
        };
        let missing = || Err(json!({"class": "DeviceNotFound", "desc": "not found"}));
        match command {
            "qom-list" => (
                Ok(self.plugged.iter().map(|name| json!({"name": name, "type": "child<x>"})).collect()),
                None,
            ),
            "qom-get" => (Ok(json!("/machine/q35/pcie.0")), None),
            "query-block" => (
                Ok(json!([{"device": "", "qdev": "/machine/peripheral/disk-a/virtio-backend",
                    "inserted": {"node-name": "d1-a", "file": "x", "image": {"virtual-size": 1024}}}])),
                None,
            ),
            "query-named-block-nodes" => {
                (Ok(self.nodes.iter().map(|name| json!({"node-name": name, "drv": "raw"})).collect()), None)
            }
            "device_del" => {
                let device = arguments["id"].as_str().unwrap();
                match self.on_unplug {
                    OnUnplug::Release => {
                        self.plugged.retain(|name| *name != device);
                        (Ok(json!({})), event("DEVICE_DELETED", device))
                    }
                    OnUnplug::Refuse => (Ok(json!({})), event("DEVICE_UNPLUG_GUEST_ERROR", device)),
                    OnUnplug::Ignore => (Ok(json!({})), None),
                }
            }
            "blockdev-add" => {
                self.nodes.push(arguments["node-name"].as_str().unwrap().into());
                (Ok(json!({})), None)
            }
            "blockdev-del" => {
                self.nodes.retain(|name| name != arguments["node-name"].as_str().unwrap());
                (Ok(json!({})), None)
            }
            "device_add" if self.refuse_device_add => {
                (Err(json!({"class": "GenericError", "desc": "no room"})), None)
            }
            "netdev_del" => (missing(), None),
            _ => (Ok(json!({})), None),
        }
    }
}

/// Serves one client to its end and returns the fake with what happened.
async fn with<T>(mut fake: Fake, work: impl AsyncFnOnce(Qmp) -> T) -> (T, Fake) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("qmp.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.get_mut().write_all(b"{\"QMP\": {}}\n").await.unwrap();
        let mut line = String::new();
        while stream.read_line(&mut line).await.unwrap() > 0 {
            let request: Value = serde_json::from_str(&line).unwrap();
            let command = request["execute"].as_str().unwrap();
            let (result, event) = fake.answer(command, &request["arguments"]);
            fake.log.push(command.to_owned());
            let answer = match result {
                Ok(value) => json!({"return": value, "id": request["id"]}),
                Err(error) => json!({"error": error, "id": request["id"]}),
            };
            let mut text = format!("{answer}\n");
            if let Some(event) = event {
                text.push_str(&format!("{event}\n"));
            }
            stream.get_mut().write_all(text.as_bytes()).await.unwrap();
            line.clear();
        }
        fake
    });
    let (qmp, events) = Qmp::connect(&path, LONG).await.unwrap();
    drop(events);
    let result = work(qmp).await;
    (result, server.await.unwrap())
}

fn fake(on_unplug: OnUnplug) -> Fake {
    Fake {
        plugged: vec!["disk-a", "nic-n", "port0"],
        nodes: ["f-a", "d-a", "f1-a", "d1-a"].map(String::from).into(),
        on_unplug,
        refuse_device_add: false,
        log: Vec::new(),
    }
}

#[tokio::test]
async fn a_released_disk_takes_its_nodes_along() {
    let (result, fake) = with(fake(OnUnplug::Release), async |qmp| remove_disk(&qmp, "a", LONG).await).await;
    result.unwrap();
    assert!(fake.nodes.is_empty(), "{:?}", fake.nodes);
    assert!(!fake.plugged.contains(&"disk-a"));
}

#[tokio::test]
async fn removing_twice_is_a_success() {
    let (result, _) = with(fake(OnUnplug::Release), async |qmp| {
        remove_nic(&qmp, "n", LONG).await?;
        remove_nic(&qmp, "n", LONG).await
    })
    .await;
    result.unwrap();
}

#[tokio::test]
async fn a_guest_that_refuses_or_sleeps_keeps_its_disk() {
    for (on_unplug, word) in [(OnUnplug::Refuse, "refuses"), (OnUnplug::Ignore, "does not react")] {
        let (result, fake) =
            with(fake(on_unplug), async |qmp| remove_disk(&qmp, "a", Duration::from_millis(100)).await).await;
        match result {
            Err(Error::NotReleased { detail, .. }) => assert!(detail.contains(word), "{detail}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(fake.nodes.len(), 4, "the nodes are in use");
    }
}

#[tokio::test]
async fn a_disk_that_cannot_be_plugged_leaves_no_node() {
    let mut fake = fake(OnUnplug::Ignore);
    fake.refuse_device_add = true;
    // The leftover of an earlier try.
    fake.nodes.push("d-b".into());
    let (result, fake) =
        with(fake, async |qmp| add_disk(&qmp, &Disk::new("b", "/b", DiskFormat::Raw)).await).await;
    assert!(matches!(result, Err(Error::Qmp { .. })), "{result:?}");
    assert!(!fake.nodes.iter().any(|name| name.ends_with("-b")), "{:?}", fake.nodes);
    assert_eq!(fake.log.iter().filter(|command| *command == "blockdev-del").count(), 3);
}
