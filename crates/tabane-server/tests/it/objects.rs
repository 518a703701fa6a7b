//! Objects are made, read, changed and deleted by one pattern, with ETags that keep people out of each other's way.

use serde_json::json;

use crate::world::{GIB, MIB, World, network, vm};

#[tokio::test]
async fn every_kind_goes_through_its_whole_life() {
    let world = World::new().await;
    let disk = json!({ "meta": { "name": "d1" }, "spec": { "pool": "local", "size_bytes": GIB } });
    let pool = json!({ "meta": { "name": "fast" }, "spec": { "kind": "dir", "path": "/srv/fast" } });
    for (plural, object) in
        [("vms", vm("web1")), ("disks", disk), ("pools", pool), ("networks", network("n1", "10.30.0.0/24"))]
    {
        let name = object["meta"]["name"].as_str().unwrap();
        let (all, one) = (format!("/v1/{plural}"), format!("/v1/{plural}/{name}"));
        let made = world.post(&all, &object).await.expect(201);
        assert_eq!(made.header("content-type"), Some("application/json"));
        let body = made.json();
        assert_eq!(body["meta"]["generation"], 1, "{plural}");
        assert_eq!(made.etag(), format!("\"{}\"", body["meta"]["revision"]), "{plural}");
        assert!(body["meta"]["created_at"].is_string() && body["meta"]["uid"].as_str().unwrap().len() == 36);
        world.post(&all, &object).await.problem(409, "name_taken");

        // The placement controller has its say about a VM meanwhile.
        world.settled().await;
        let read = world.get(&one).await.expect(200);
        assert_eq!(read.json()["spec"], body["spec"], "{plural}");
        assert_eq!(read.etag(), format!("\"{}\"", read.json()["meta"]["revision"]), "{plural}");

        // Labels alone are no change of the spec: the generation stays, the revision moves.
        let labelled =
            world.patch(&one, &json!({ "meta": { "labels": { "env": "prod" } } })).await.expect(200);
        assert_eq!(labelled.json()["meta"]["labels"], json!({ "env": "prod" }));
        assert_eq!(labelled.json()["meta"]["generation"], 1);
        assert_ne!(labelled.etag(), made.etag());
        // The same once more changes nothing.
        let again = world.patch(&one, &json!({ "meta": { "labels": { "env": "prod" } } })).await.expect(200);
        assert_eq!(again.etag(), labelled.etag());

        // Replacing takes what is not mentioned away.
        let replaced = world.put(&one, &object).await.expect(200);
        assert_eq!(replaced.json()["meta"]["labels"], serde_json::Value::Null, "{plural}");
        assert_eq!(replaced.json()["meta"]["uid"], body["meta"]["uid"]);

        world.delete(&one).await.expect(204);
        world.get(&one).await.problem(404, "not_found");
        world.delete(&one).await.problem(404, "not_found");
        world.put(&one, &object).await.problem(404, "not_found");
        let reborn = world.post(&all, &object).await.expect(201).json();
        assert_ne!(reborn["meta"]["uid"], body["meta"]["uid"], "{plural}");
    }
}

#[tokio::test]
async fn a_stale_revision_overwrites_nobody() {
    let world = World::new().await;
    let made = world.post("/v1/vms", &vm("web1")).await.expect(201);
    let (stale, mut body) = (made.etag(), made.json());
    let fresh = world.patch("/v1/vms/web1", &json!({ "spec": { "cpus": 2 } })).await.expect(200);
    assert_eq!(fresh.json()["meta"]["generation"], 2);
    let before = world.settled().await;

    let with = [("If-Match", stale.as_str())];
    let patch = json!({ "spec": { "cpus": 3 } });
    world.send("PATCH", "/v1/vms/web1", &with, Some(&patch)).await.problem(412, "changed");
    world.send("PUT", "/v1/vms/web1", &with, Some(&vm("web1"))).await.problem(412, "changed");
    world.send("DELETE", "/v1/vms/web1", &with, None).await.problem(412, "changed");
    // What was read, changed and sent back counts as much as the header.
    body["spec"]["cpus"] = json!(4);
    world.put("/v1/vms/web1", &body).await.problem(412, "changed");
    for bad in ["1", "\"x\"", "W/\"1\"", "\"-1\""] {
        let problem = world
            .send("DELETE", "/v1/vms/web1", &[("If-Match", bad)], None)
            .await
            .problem(400, "invalid_object");
        assert_eq!(problem.field.as_deref(), Some("If-Match"));
    }
    assert_eq!(world.settled().await, before);
    assert_eq!(world.vm("web1").await.spec.cpus, 2);

    let with = [("If-Match", fresh.header("etag").unwrap())];
    let changed = world.send("PATCH", "/v1/vms/web1", &with, Some(&patch)).await.expect(200);
    assert_eq!(changed.json()["spec"]["cpus"], 3);
    let mut body = changed.json();
    body["spec"]["cpus"] = json!(4);
    assert_eq!(world.put("/v1/vms/web1", &body).await.expect(200).json()["spec"]["cpus"], 4);
    world.send("DELETE", "/v1/vms/web1", &[("If-Match", "*")], None).await.expect(204);
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let world = World::new().await;
    world.create_vm("web1").await;
    world.settled().await;
    let tag = world.get("/v1/vms/web1").await.expect(200).etag();
    let same = world.send("GET", "/v1/vms/web1", &[("If-None-Match", &tag)], None).await.expect(304);
    assert_eq!((same.body.len(), same.etag()), (0, tag.clone()));
    world.patch("/v1/vms/web1", &json!({ "spec": { "cpus": 2 } })).await.expect(200);
    let other = world.send("GET", "/v1/vms/web1", &[("If-None-Match", &tag)], None).await.expect(200);
    assert_eq!(other.json()["spec"]["cpus"], 2);
}

#[tokio::test]
async fn a_patch_removes_by_null_and_keeps_the_rest() {
    let world = World::new().await;
    let mut object = vm("web1");
    object["meta"]["labels"] = json!({ "a": "1", "b": "2" });
    object["spec"]["cpus_max"] = json!(4);
    world.post("/v1/vms", &object).await.expect(201);
    let patch = json!({ "meta": { "labels": { "a": null, "c": "3" } }, "spec": { "cpus_max": null } });
    let after = world.patch("/v1/vms/web1", &patch).await.expect(200).json();
    assert_eq!(after["meta"]["labels"], json!({ "b": "2", "c": "3" }));
    assert_eq!(after["spec"]["cpus_max"], serde_json::Value::Null);
    assert_eq!(after["spec"]["memory_bytes"], 256 * MIB);
}

#[tokio::test]
async fn changes_at_the_same_time_are_all_done() {
    let world = World::new().await;
    world.create_vm("web1").await;
    let patches = (0..8).map(|i| {
        let labels = json!({ "meta": { "labels": { format!("k{i}"): "v" } } });
        let world = &world;
        async move { world.patch("/v1/vms/web1", &labels).await.status }
    });
    assert_eq!(futures_util::future::join_all(patches).await, vec![200; 8]);
    assert_eq!(world.vm("web1").await.meta.labels.len(), 8);
}
