//! A client believes the pinned authority and nobody else.

use std::sync::Arc;

use tabane_client::{Client, Error, Target};
use tabane_server::Server;
use tabane_store::Memory;

use crate::world::{World, config, target};

#[tokio::test]
async fn another_fingerprint_is_refused() {
    let world = World::new().await;
    let wrong: Target = format!("https://{}/#{}", world.server.address, "ab".repeat(32)).parse().unwrap();
    let error = Client::connect(wrong, Some("tbn_x_y".into())).await.err().unwrap();
    match error {
        Error::OtherAuthority { expected, found } => {
            assert_eq!(expected, "ab".repeat(32));
            assert_eq!(found, world.server.fingerprint.0);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_shows_our_authority_without_its_key_is_refused() {
    let world = World::new().await;
    // An impostor can copy the certificate, which is public, and signs with a key of its own.
    let folder = tempfile::tempdir().unwrap();
    let first = Server::start(config(folder.path(), 60_000), Arc::new(Memory::new())).await.unwrap();
    first.stop().await;
    std::fs::write(folder.path().join("tls/ca.pem"), &world.server.ca_pem).unwrap();
    let impostor = Server::start(config(folder.path(), 60_000), Arc::new(Memory::new())).await.unwrap();
    assert_eq!(impostor.fingerprint, world.server.fingerprint);
    let client = Client::connect(target(&impostor), impostor.admin_token.clone()).await.unwrap();
    match client.health().await.unwrap_err() {
        Error::Unreachable { .. } => {}
        other => panic!("{other:?}"),
    }
    world.admin.health().await.unwrap();
}

#[tokio::test]
async fn keys_are_for_the_servers_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new().await;
    let mode =
        |path: &str| std::fs::metadata(world.folder.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("tls"), mode("tls/ca.key")), (0o700, 0o700, 0o600));
}
