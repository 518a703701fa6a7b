//! With `dry_run` every verb answers what would be, and writes nothing.

use serde_json::json;

use crate::world::{MIB, World, network, vm};

#[tokio::test]
async fn no_verb_writes_anything() {
    let world = World::new().await;
    world.create_vm("web1").await;
    let disk = json!({ "meta": { "name": "d1" }, "spec": { "pool": "local", "size_bytes": MIB } });
    world.post("/v1/disks", &disk).await.expect(201);
    world.post("/v1/networks", &network("n1", "10.30.0.0/29")).await.expect(201);
    let before = world.settled().await;

    let mut new = vm("web2");
    new["spec"]["disks"] = json!([{ "name": "root", "size_bytes": MIB }]);
    new["spec"]["nics"] = json!([{ "name": "eth0", "network": "n1" }]);
    let would = world.post("/v1/vms?dry_run=true", &new).await.expect(200).json();
    assert_eq!(would["spec"]["disks"][0]["disk"], "web2-root");
    assert!(would["spec"]["nics"][0]["address"].as_str().unwrap().starts_with("10.30.0."));
    let patched =
        world.patch("/v1/vms/web1?dry_run=true", &json!({ "spec": { "cpus": 7 } })).await.expect(200);
    assert_eq!(
        (&patched.json()["spec"]["cpus"], &patched.json()["meta"]["generation"]),
        (&json!(7), &json!(2))
    );
    let mut put = vm("web1");
    put["spec"]["cpus"] = json!(6);
    assert_eq!(world.put("/v1/vms/web1?dry_run=true", &put).await.expect(200).json()["spec"]["cpus"], 6);
    for verb in ["start", "shutdown", "force-off", "pause", "resume", "reset"] {
        world.post(&format!("/v1/vms/web1/{verb}?dry_run=true"), &json!({})).await.expect(200);
    }
    for path in ["vms/web1", "disks/d1", "networks/n1"] {
        world.delete(&format!("/v1/{path}?dry_run=true")).await.expect(204);
    }
    let token = json!({ "meta": { "name": "t" }, "spec": { "role": "viewer" } });
    let answer = world.post("/v1/tokens?dry_run=true", &token).await.expect(200);
    assert_eq!(answer.json()["spec"]["role"], "viewer");
    assert!(!answer.text().contains("tbn_"), "a token that is not made has no secret");
    for (method, path, body) in
        [("POST", "/v1/disks?dry_run=true", &disk), ("POST", "/v1/vms?dry_run=true", &vm("web1"))]
    {
        world.send(method, path, &[], Some(body)).await.problem(409, "name_taken");
    }
    assert_eq!(world.settled().await, before);
    world.get("/v1/vms/web2").await.problem(404, "not_found");
}
