//! A request that is repeated with its key is done once.

use serde_json::json;

use crate::{
    fake_host::FakeHost,
    world::{World, vm, vm_in},
};

const KEY: &str = "Idempotency-Key";

#[tokio::test]
async fn the_same_key_and_body_make_one_object() {
    let world = World::new().await;
    let with = [(KEY, "k1")];
    let first = world.send("POST", "/v1/vms", &with, Some(&vm("web1"))).await.expect(201).json();
    world.patch("/v1/vms/web1", &json!({ "spec": { "cpus": 2 } })).await.expect(200);
    let before = world.settled().await;
    let again = world.send("POST", "/v1/vms", &with, Some(&vm("web1"))).await.expect(201).json();
    assert_eq!(again["meta"]["uid"], first["meta"]["uid"]);
    assert_eq!(again["spec"]["cpus"], 2, "the object as it is now");
    world.send("POST", "/v1/vms", &with, Some(&vm("web2"))).await.problem(422, "idempotency_mismatch");
    for bad in ["", "a b", "ä", &"x".repeat(129)] {
        let answer = world.send("POST", "/v1/vms", &[(KEY, bad)], Some(&vm("web3"))).await;
        assert_eq!(answer.problem(400, "invalid_object").field.as_deref(), Some(KEY));
    }
    assert_eq!(world.settled().await, before);
    // Another's key is another key.
    let bearer = format!("Bearer {}", world.token("hand", tabane_model::Role::Operator).await);
    let with = [(KEY, "k1"), ("Authorization", bearer.as_str())];
    world.send("POST", "/v1/vms", &with, Some(&vm("web2"))).await.expect(201);
}

#[tokio::test]
async fn twenty_at_once_make_one_object() {
    let world = World::new().await;
    world.post("/v1/networks", &crate::world::network("n1", "10.30.0.0/26")).await.expect(201);
    let body = vm_in("web1", "n1");
    let all = (0..20).map(|_| world.send("POST", "/v1/vms", &[(KEY, "once")], Some(&body)));
    let answers = futures_util::future::join_all(all).await;
    for answer in &answers {
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.json()["meta"]["uid"], answers[0].json()["meta"]["uid"]);
    }
    let held = world.store.list("addresses/", None, 100).await.unwrap().entries;
    assert_eq!(held.len(), 1, "one VM has one address");
}

#[tokio::test]
async fn a_repeated_request_waits_as_the_first_did() {
    let world = World::new().await;
    let mut body = vm("web1");
    body["spec"]["power"] = json!("on");
    let with = [(KEY, "k1")];
    world.send("POST", "/v1/vms", &with, Some(&body)).await.expect(201);
    let path = "/v1/vms?wait=running&timeout_s=5";
    let (answer, _host) =
        tokio::join!(world.send("POST", path, &with, Some(&body)), FakeHost::join(&world, "h1"));
    assert_eq!(answer.expect(201).json()["status"]["phase"], "running");
}
