//! A server to test against, and short words for what tests do with it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tabane_client::{Call, Client, Target};
use tabane_model::{Name, Resource, Role, TokenSpec, Vm};
use tabane_server::{Config, Server};
use tabane_store::{Memory, Store};
use tempfile::TempDir;

use crate::raw::{self, Answer};

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;

pub struct World {
    pub server: Server,
    pub store: Arc<dyn Store>,
    pub folder: TempDir,
    /// The administrator, over TLS.
    pub admin: Client,
}

pub fn config(folder: &std::path::Path, host_timeout_ms: u64) -> Config {
    Config {
        folder: folder.to_path_buf(),
        listen: "127.0.0.1:0".parse().unwrap(),
        names: Vec::new(),
        host_timeout_ms,
    }
}

pub fn target(server: &Server) -> Target {
    format!("https://{}/#{}", server.address, server.fingerprint.0).parse().unwrap()
}

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The smallest VM.
pub fn vm(name: &str) -> Value {
    json!({ "meta": { "name": name }, "spec": { "cpus": 1, "memory_bytes": 256 * MIB } })
}

pub fn network(name: &str, cidr: &str) -> Value {
    json!({ "meta": { "name": name }, "spec": { "kind": "nat", "cidr": cidr } })
}

pub fn vm_in(name: &str, network: &str) -> Value {
    let mut vm = vm(name);
    vm["spec"]["nics"] = json!([{ "name": "eth0", "network": network }]);
    vm
}

impl World {
    pub async fn new() -> Self {
        Self::with(Arc::new(Memory::new()), 60_000).await
    }

    pub async fn with(store: Arc<dyn Store>, host_timeout_ms: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(config(folder.path(), host_timeout_ms), store.clone()).await.unwrap();
        let token = server.admin_token.clone().unwrap();
        let admin = Client::connect(target(&server), Some(token)).await.unwrap();
        Self { server, store, folder, admin }
    }

    /// The same server after a stop.
    pub async fn again(self) -> Self {
        let Self { server, store, folder, .. } = self;
        let token = server.admin_token.clone();
        server.stop().await;
        let server = Server::start(config(folder.path(), 60_000), store.clone()).await.unwrap();
        let admin = Client::connect(target(&server), token).await.unwrap();
        Self { server, store, folder, admin }
    }

    pub async fn client(&self, token: &str) -> Client {
        Client::connect(target(&self.server), Some(token.into())).await.unwrap()
    }

    pub async fn token(&self, name: &str, role: Role) -> String {
        let spec = TokenSpec { role, ..TokenSpec::default() };
        self.admin.create_token(name, &spec).await.unwrap().secret
    }

    pub fn socket(&self) -> PathBuf {
        Config::socket(self.folder.path())
    }

    pub async fn revision(&self) -> u64 {
        self.store.revision().await.unwrap()
    }

    /// The revision once the server has nothing left to write by itself, such as its audit log.
    pub async fn settled(&self) -> u64 {
        let mut revision = self.revision().await;
        loop {
            tokio::time::sleep(Duration::from_millis(60)).await;
            let now = self.revision().await;
            if now == revision {
                return now;
            }
            revision = now;
        }
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let body = body.map(|b| serde_json::to_vec(b).unwrap());
        raw::ask(&self.socket(), method, path, headers, body.as_deref()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, &[], Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, &[], Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], None).await
    }

    pub async fn create_vm(&self, name: &str) -> Value {
        self.post("/v1/vms", &vm(name)).await.expect(201).json()
    }

    pub async fn vm(&self, name: &str) -> Vm {
        self.read(name).await
    }

    pub async fn read<R: Resource>(&self, name: &str) -> R {
        self.admin.get(name, &Call::default()).await.unwrap()
    }

    /// Reads an object until it is as wanted; fails with its last state.
    pub async fn until<R: Resource>(&self, name: &str, wanted: impl Fn(&R) -> bool) -> R {
        let mut last = None;
        for _ in 0..200 {
            let object: R = self.read(name).await;
            if wanted(&object) {
                return object;
            }
            last = Some(object);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{name} never became as wanted: {last:?}");
    }
}
