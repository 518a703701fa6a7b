//! What is refused is refused with its field and a next step, all faults at once, and writes nothing.

use serde_json::json;

use crate::{
    raw,
    world::{MIB, World, vm},
};

#[tokio::test]
async fn unknown_fields_are_named() {
    let world = World::new().await;
    world.create_vm("web1").await;
    let before = world.settled().await;
    let mut top = vm("web2");
    top["specs"] = json!({});
    let mut meta = vm("web2");
    meta["meta"]["lables"] = json!({});
    let mut spec = vm("web2");
    spec["spec"]["memroy"] = json!(1);
    let mut deep = vm("web2");
    deep["spec"]["nics"] = json!([{ "name": "eth0", "network": "default", "mak": "x" }]);
    for (body, field) in [(top, "specs"), (meta, "lables"), (spec, "memroy"), (deep, "mak")] {
        let problem = world.post("/v1/vms", &body).await.problem(400, "invalid_body");
        assert!(problem.detail.contains(&format!("`{field}`")), "{}", problem.detail);
    }
    for patch in [json!({ "spec": { "memroy": 1 } }), json!({ "status": { "memroy": 1 } })] {
        world.patch("/v1/vms/web1", &patch).await.problem(400, "invalid_body");
    }
    let problem = world.get("/v1/vms?lables=a").await.problem(400, "invalid_query");
    assert!(problem.detail.contains("lables"), "{}", problem.detail);
    for (query, code) in [("limit=many", "invalid_query"), ("wait=forever", "invalid_object")] {
        world.get(&format!("/v1/vms/web1?{query}")).await.problem(400, code);
    }
    assert_eq!(world.settled().await, before);
}

#[tokio::test]
async fn names_that_could_be_paths_are_refused() {
    let world = World::new().await;
    let before = world.settled().await;
    let long = "x".repeat(64);
    for bad in ["a/b", "..", "../../etc/passwd", "Web1", &long, "", "-a", "a-", "a b", "ä", "a\u{0}b"] {
        let problem = world.post("/v1/vms", &vm(bad)).await.problem(400, "invalid_body");
        assert!(problem.detail.contains("name"), "{bad:?}: {}", problem.detail);
    }
    world.post("/v1/vms", &vm(&"x".repeat(63))).await.expect(201);
    let before = world.settled().await.max(before);
    for path in ["a%2Fb", "..%2F..%2Fetc", "Web1", &long, "%00", "%C3%A4"] {
        world.get(&format!("/v1/vms/{path}")).await.problem(404, "not_found");
        world.delete(&format!("/v1/vms/{path}")).await.problem(404, "not_found");
        world.post(&format!("/v1/vms/{path}/start"), &json!({})).await.problem(404, "not_found");
    }
    let problem = world.put("/v1/vms/other", &vm("web1")).await.problem(400, "invalid_object");
    assert_eq!(problem.field.as_deref(), Some("meta.name"));
    assert_eq!(world.settled().await, before);
}

#[tokio::test]
async fn absurd_objects_have_all_their_faults_listed() {
    let world = World::new().await;
    let before = world.settled().await;
    let body = json!({
        "meta": { "name": "web1", "labels": { "a b": "x" } },
        "spec": {
            "cpus": 100_000,
            "memory_bytes": 18_446_744_073_709_551_615_u64,
            "machine": "pc-q35-7.2,accel=kvm",
            "disks": [{ "name": "root" }, { "name": "root", "size_bytes": 1 }],
            "nics": [{ "name": "e", "network": "default", "forwards": [{ "host_port": 0, "guest_port": 1 }] }],
            "init": { "hostname": "a b", "user": "Root", "password_hash": "secret" },
            "shutdown": { "timeout_s": 4_000_000_000_u32 },
        },
    });
    let problem = world.post("/v1/vms", &body).await.problem(400, "invalid_object");
    let fields: Vec<&str> = problem.faults.iter().map(|f| f.field.as_str()).collect();
    let expected = [
        "meta.labels",
        "spec.cpus",
        "spec.memory_bytes",
        "spec.memory_bytes",
        "spec.machine",
        "spec.shutdown.timeout_s",
        "spec.disks[0]",
        "spec.disks[1].name",
        "spec.disks[1].size_bytes",
        "spec.disks[1].size_bytes",
        "spec.nics[0].forwards[0]",
        "spec.init.hostname",
        "spec.init.user",
        "spec.init.password_hash",
    ];
    assert_eq!(fields, expected);
    assert_eq!(problem.field.as_deref(), Some("meta.labels"));
    assert!(problem.faults.iter().all(|f| !f.hint.is_empty() && !f.message.is_empty()), "{problem:?}");
    assert!(problem.detail.ends_with("(and 13 more)"), "{}", problem.detail);
    assert!(!problem.detail.contains("secret") && !world.get("/v1/vms").await.text().contains("web1"));
    assert_eq!(world.settled().await, before);
}

#[tokio::test]
async fn one_fault_has_its_field_and_hint() {
    let world = World::new().await;
    let before = world.settled().await;
    let disk = |spec| json!({ "meta": { "name": "d" }, "spec": spec });
    for (path, body, field, hint) in [
        (
            "vms",
            json!({ "meta": { "name": "v" }, "spec": { "cpus": 0, "memory_bytes": 256 * MIB } }),
            "spec.cpus",
            "use 1 to 255",
        ),
        ("disks", disk(json!({ "pool": "local" })), "spec.size_bytes", "add `size_bytes`, or an `image`"),
        (
            "disks",
            disk(json!({ "pool": "local", "size_bytes": 1u64 << 60 })),
            "spec.size_bytes",
            "use 1 MiB to 64 TiB",
        ),
        (
            "disks",
            disk(json!({ "pool": "none", "size_bytes": MIB })),
            "spec.pool",
            "`tabane pool list` shows those that exist",
        ),
        (
            "disks",
            disk(json!({ "pool": "local", "image": "none" })),
            "spec.image",
            "`tabane image list` shows those that exist",
        ),
        ("pools", disk(json!({ "path": "/srv/../etc" })), "spec.path", "begin with '/' and leave out '..'"),
        ("networks", disk(json!({ "kind": "nat" })), "spec.cidr", "for example 10.30.0.0/24"),
        ("networks", disk(json!({ "kind": "nat", "cidr": "10.0.0.0/8" })), "spec.cidr", "use /16 to /29"),
        (
            "networks",
            disk(json!({ "kind": "nat", "cidr": "10.30.0.5/24" })),
            "spec.cidr",
            "write 10.30.0.0/24",
        ),
    ] {
        let problem = world.post(&format!("/v1/{path}"), &body).await.problem(400, "invalid_object");
        assert_eq!((problem.field.as_deref(), problem.hint.as_deref()), (Some(field), Some(hint)), "{body}");
    }
    assert_eq!(world.settled().await, before);
}

#[tokio::test]
async fn what_the_server_writes_cannot_be_submitted() {
    let world = World::new().await;
    let before = world.settled().await;
    let mut placed = vm("web1");
    placed["spec"]["host"] = json!("h1");
    let problem = world.post("/v1/vms", &placed).await.problem(400, "invalid_object");
    assert_eq!(problem.field.as_deref(), Some("spec.host"));
    for (field, value) in [("host", "h1"), ("vm", "web1")] {
        let mut disk = json!({ "meta": { "name": "d" }, "spec": { "pool": "local", "size_bytes": MIB } });
        disk["spec"][field] = json!(value);
        let problem = world.post("/v1/disks", &disk).await.problem(400, "invalid_object");
        assert_eq!(problem.field, Some(format!("spec.{field}")));
    }
    let host = json!({ "meta": { "name": "h1" }, "spec": {} });
    world.post("/v1/hosts", &host).await.problem(409, "hosts_join");
    let token = json!({ "meta": { "name": "t" }, "spec": { "role": "host", "host": "h1" } });
    let problem = world.post("/v1/tokens", &token).await.problem(400, "invalid_object");
    assert_eq!(problem.field.as_deref(), Some("spec.role"));
    assert_eq!(world.settled().await, before);

    // Identity and counters of a submitted object are the server's to give.
    let mut forged = vm("web1");
    forged["meta"]["uid"] = json!("01890000-0000-7000-8000-000000000000");
    forged["meta"]["generation"] = json!(99);
    forged["meta"]["deleted_at"] = json!("2020-01-01T00:00:00Z");
    forged["status"] = json!({ "phase": "running" });
    let made = world.post("/v1/vms", &forged).await.expect(201).json();
    assert_ne!(made["meta"]["uid"], forged["meta"]["uid"]);
    assert_eq!((&made["meta"]["generation"], &made["meta"]["deleted_at"]), (&json!(1), &json!(null)));
    assert_eq!(made["status"]["phase"], "pending");
}

#[tokio::test]
async fn every_refusal_is_a_problem_even_of_the_http_layer() {
    let world = World::new().await;
    world.create_vm("web1").await;
    let before = world.settled().await;
    world.get("/nothing/here").await.problem(404, "no_such_path");
    let large = vec![b' '; (1 << 20) + 1];
    for (method, path, body, status) in [
        ("DELETE", "/v1/vms", None, 405),
        ("POST", "/v1/events", None, 405),
        ("GET", "/v1/vms/%FF", None, 400),
        ("GET", "/v1/hosts/Bad%20Name/watch", None, 403),
        ("GET", "/v1/vms/web1/vnc", None, 400),
        ("GET", "/v1/vms/web1/vnc?ticket=x", None, 400),
        ("PUT", "/v1/images/i/content?offset_bytes=x", None, 400),
        ("POST", "/v1/vms", Some(large.as_slice()), 413),
        ("POST", "/v1/vms", Some(b"{".as_slice()), 400),
        ("POST", "/v1/vms", Some(b"\xff\xfe".as_slice()), 400),
        ("POST", "/v1/vms", None, 400),
    ] {
        let answer = raw::ask(&world.socket(), method, path, &[], body).await;
        let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
        if status == 403 {
            // The name is judged before the caller is; either refusal will do, as long as it is a problem.
            assert!((400..500).contains(&answer.status), "{path}");
        } else {
            answer.problem(status, &code);
        }
        assert!(!code.is_empty(), "{method} {path}: {}", answer.text());
    }
    assert_eq!(world.settled().await, before);
}
