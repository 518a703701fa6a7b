//! The API's description is complete, and a change of it is seen in review.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::world::World;

/// Set it to write the snapshot anew.
const REFRESH: &str = "TABANE_UPDATE_OPENAPI";

/// Every route of `api/mod.rs` with its methods.
const ROUTES: &[(&str, &str)] = &[
    ("/v1/vms", "get post"),
    ("/v1/vms/{name}", "get put patch delete"),
    ("/v1/images", "get post"),
    ("/v1/images/{name}", "get put patch delete"),
    ("/v1/disks", "get post"),
    ("/v1/disks/{name}", "get put patch delete"),
    ("/v1/flavors", "get post"),
    ("/v1/flavors/{name}", "get put patch delete"),
    ("/v1/pools", "get post"),
    ("/v1/pools/{name}", "get put patch delete"),
    ("/v1/networks", "get post"),
    ("/v1/networks/{name}", "get put patch delete"),
    ("/v1/hosts", "get post"),
    ("/v1/hosts/{name}", "get put patch delete"),
    ("/v1/events", "get"),
    ("/v1/events/{name}", "get"),
    ("/v1/tokens", "get post"),
    ("/v1/tokens/{name}", "get delete"),
    ("/v1/snapshots", "get post"),
    ("/v1/snapshots/{name}", "get put patch delete"),
    ("/v1/surveys", "get post"),
    ("/v1/surveys/{name}", "get put patch delete"),
    ("/v1/surveys/{name}/files/{file}", "put"),
    ("/v1/plans", "get post"),
    ("/v1/plans/{name}", "get put patch delete"),
    ("/v1/plans/{name}/document", "get"),
    ("/v1/plans/{name}/report", "get"),
    ("/v1/collections", "get post"),
    ("/v1/collections/{name}", "get put patch delete"),
    ("/v1/collections/{name}/report", "post"),
    ("/v1/plans/{name}/try", "post"),
    ("/v1/plans/{name}/compare/{other}", "get"),
    ("/v1/waves", "get post"),
    ("/v1/waves/{name}", "get put patch delete"),
    ("/v1/vms/{name}/start", "post"),
    ("/v1/vms/{name}/shutdown", "post"),
    ("/v1/vms/{name}/force-off", "post"),
    ("/v1/vms/{name}/pause", "post"),
    ("/v1/vms/{name}/resume", "post"),
    ("/v1/vms/{name}/reset", "post"),
    ("/v1/vms/{name}/console", "get"),
    ("/v1/vms/{name}/exec", "post"),
    ("/v1/vms/{name}/screenshot", "get"),
    ("/v1/vms/{name}/vnc", "get"),
    ("/v1/vms/{name}/clone", "post"),
    ("/v1/vms/{name}/revert", "post"),
    ("/v1/vms/{name}/vnc-tickets", "post"),
    ("/v1/vms/{name}/console-socket", "get"),
    ("/v1/vms/{name}/console-tickets", "post"),
    ("/v1/snapshots/{name}/export", "get"),
    ("/v1/exports/{id}", "get"),
    ("/v1/images/{name}/content", "put"),
    ("/v1/images/{name}/files", "get"),
    ("/v1/packages/plan", "post"),
    ("/v1/hosts/{name}/watch", "get"),
    ("/v1/hosts/{name}/report", "post"),
    ("/v1/hosts/{name}/streams/{id}", "post"),
    ("/v1/hosts/{name}/streams/{id}/refusal", "post"),
    ("/v1/vms/{name}/metrics", "get"),
    ("/v1/hosts/{name}/metrics", "get"),
    ("/v1/metrics/vms", "get"),
    ("/v1/metrics/hosts", "get"),
    ("/metrics", "get"),
    ("/v1/session", "get post delete"),
    ("/v1/watch", "get"),
    ("/v1/audit", "get"),
    ("/v1/join", "post"),
    ("/v1/ca.pem", "get"),
    ("/v1/health", "get"),
    ("/v1/openapi.json", "get"),
];

fn described(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let methods = |path: &String, item: &Value| {
        let keys = item.as_object().unwrap().keys().filter(|k| *k != "parameters");
        keys.map(|method| (path.clone(), method.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(|(path, item)| methods(path, item)).collect()
}

#[tokio::test]
async fn every_route_is_described_and_every_description_is_a_route() {
    let world = World::new().await;
    let answer = world.get("/v1/openapi.json").await.expect(200);
    let document = answer.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "{}", document["openapi"]);
    let routes: BTreeSet<(String, String)> = ROUTES
        .iter()
        .flat_map(|(path, methods)| methods.split(' ').map(|m| ((*path).to_owned(), m.to_owned())))
        .collect();
    assert_eq!(described(&document), routes);
    // The list above is no invention: the server knows each route and answers no other method on it.
    for (path, methods) in ROUTES {
        let path = path
            .replace("{name}", "none")
            .replace("{file}", "servers.csv")
            .replace("{other}", "none")
            .replace("{id}", "01890000-0000-7000-8000-000000000000");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let known = methods.split(' ').any(|m| m.eq_ignore_ascii_case(method));
            let answer = world.send(method, &format!("{path}?dry_run=true"), &[], None).await;
            assert_eq!(answer.status != 405, known, "{method} {path}: {}", answer.status);
            assert!(!answer.text().contains("no_such_path") || path.contains("streams"), "{method} {path}");
        }
    }
}

#[test]
fn operations_are_whole() {
    let document = serde_json::to_value(tabane_server::openapi()).unwrap();
    let mut ids = BTreeSet::new();
    for (path, method) in described(&document) {
        let operation = &document["paths"][&path][&method];
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no id"));
        assert!(ids.insert(id.to_owned()), "{id} is there twice");
        let named: BTreeSet<&str> = operation["parameters"]
            .as_array()
            .map(|p| p.iter().filter(|p| p["in"] == "path").map(|p| p["name"].as_str().unwrap()).collect())
            .unwrap_or_default();
        let wanted: BTreeSet<&str> = path.split(['{', '}']).skip(1).step_by(2).collect();
        assert_eq!(named, wanted, "{method} {path}");
    }
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is named and not described");
    }
}

#[test]
fn the_snapshot_is_up_to_date() {
    let path = std::env::var("CARGO_MANIFEST_DIR").unwrap() + "/openapi.json";
    let mut text = serde_json::to_string_pretty(&tabane_server::openapi()).unwrap();
    text.push('\n');
    if std::env::var_os(REFRESH).is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let differs = kept.lines().zip(text.lines()).position(|(a, b)| a != b);
    assert!(
        kept == text,
        "the API's description has changed, first at line {:?}; if that is meant, run\n    \
         {REFRESH}=1 cargo nextest run -p tabane-server the_snapshot_is_up_to_date\nand check in openapi.json",
        differs.map(|n| n + 1)
    );
}
