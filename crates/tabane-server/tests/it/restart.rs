//! What a server wrote it knows again after a restart, on a store that survives.

use std::sync::Arc;

use serde_json::json;
use tabane_client::Client;
use tabane_model::{Role, Vm};
use tabane_server::{Config, Server, Verdict, audit_head, verify_audit};
use tabane_store::{Sqlite, Store};

use crate::{
    raw,
    world::{World, config, network, target, vm_in},
};

async fn open(folder: &std::path::Path) -> Arc<dyn Store> {
    // Connections that were cut may hold the former one for a moment.
    for _ in 0..50 {
        match Sqlite::open(folder.join("store")).await {
            Ok(store) => return Arc::new(store),
            Err(tabane_store::Error::Locked { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(40)).await;
    }
    panic!("the store is never let go");
}

#[tokio::test]
async fn objects_tokens_and_certificates_survive() {
    let data = tempfile::tempdir().unwrap();
    let world = World::with(open(data.path()).await, 60_000).await;
    world.post("/v1/networks", &network("n1", "10.30.0.0/29")).await.expect(201);
    world.post("/v1/vms", &vm_in("web1", "n1")).await.expect(201);
    let secret = world.token("eye", Role::Viewer).await;
    let admin = world.server.admin_token.clone().unwrap();
    let key = [("Idempotency-Key", "k1")];
    let once = world.send("POST", "/v1/vms", &key, Some(&vm_in("web2", "n1"))).await.expect(201).json();
    world.settled().await;
    let before = world.get("/v1/vms").await.json();
    let World { server, store, folder, admin: client } = world;
    let (fingerprint, ca_pem) = (server.fingerprint.clone(), server.ca_pem.clone());
    server.stop().await;
    drop((store, client));

    let store = open(data.path()).await;
    let server = Server::start(config(folder.path(), 60_000), store.clone()).await.unwrap();
    assert_eq!((&server.fingerprint, &server.ca_pem), (&fingerprint, &ca_pem));
    assert_eq!(server.admin_token, None, "the first start is over");
    let eye = Client::connect(target(&server), Some(secret)).await.unwrap();
    assert_eq!(eye.get::<Vm>("web1", &Default::default()).await.unwrap().spec.nics.len(), 1);
    Client::connect(target(&server), Some(admin)).await.unwrap().health().await.unwrap();
    let socket = Config::socket(folder.path());
    let after = raw::ask(&socket, "GET", "/v1/vms", &[], None).await.json();
    assert_eq!(after["items"], before["items"]);
    // Keys, addresses and the audit log go on where they were.
    let body = serde_json::to_vec(&vm_in("web2", "n1")).unwrap();
    let again = raw::ask(&socket, "POST", "/v1/vms", &key, Some(&body)).await.expect(201).json();
    assert_eq!(again["meta"]["uid"], once["meta"]["uid"]);
    for i in 3..=5 {
        let body = serde_json::to_vec(&vm_in(&format!("web{i}"), "n1")).unwrap();
        raw::ask(&socket, "POST", "/v1/vms", &[], Some(&body)).await.expect(201);
    }
    let body = serde_json::to_vec(&vm_in("web6", "n1")).unwrap();
    raw::ask(&socket, "POST", "/v1/vms", &[], Some(&body)).await.problem(409, "network_full");
    for _ in 0..100 {
        if store.list("audit/pending/", None, 1).await.unwrap().entries.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    server.stop().await;
    let head = audit_head(&*store).await.unwrap();
    let verdict = verify_audit(&Config::audit_log(folder.path()), Some(&head)).unwrap();
    assert!(matches!(verdict, Verdict::Sound { records: 7, .. }), "{verdict:?}");
}

#[tokio::test]
async fn the_administrators_token_is_shown_once_and_stays_deleted() {
    let data = tempfile::tempdir().unwrap();
    let world = World::with(open(data.path()).await, 60_000).await;
    assert!(world.server.admin_token.as_ref().unwrap().starts_with("tbn_admin_"));
    world.delete("/v1/tokens/admin").await.expect(204);
    let World { server, store, folder, .. } = world;
    server.stop().await;
    let server = Server::start(config(folder.path(), 60_000), store.clone()).await.unwrap();
    assert_eq!(server.admin_token, None);
    let tokens = raw::ask(&Config::socket(folder.path()), "GET", "/v1/tokens", &[], None).await.json();
    assert_eq!(tokens["items"], json!([]));
    server.stop().await;
    // Files of the store say nothing either.
    drop(store);
}

#[tokio::test]
async fn a_stop_cuts_what_does_not_end_by_itself() {
    let world = World::new().await;
    let mut watch = world.admin.watch::<Vm>(&Default::default()).await.unwrap();
    watch.next().await.unwrap();
    let socket = world.socket();
    let started = std::time::Instant::now();
    world.server.stop().await;
    assert!(started.elapsed() < std::time::Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(!socket.exists());
    assert!(world.admin.health().await.is_err());
}
