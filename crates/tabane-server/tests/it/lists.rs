//! Lists come in pages without gaps, and by selectors.

use std::collections::BTreeSet;

use serde_json::json;
use tabane_client::Call;
use tabane_model::{Vm, api::List};

use crate::world::{World, vm};

async fn many(world: &World, count: usize) {
    let names: Vec<usize> = (0..count).collect();
    for chunk in names.chunks(50) {
        let created = chunk.iter().map(|i| {
            let mut object = vm(&format!("vm{i:03}"));
            let tier = if i % 5 == 0 { "db" } else { "web" };
            object["meta"]["labels"] = json!({ "tier": tier });
            async move { world.post("/v1/vms", &object).await.expect(201) }
        });
        futures_util::future::join_all(created).await;
    }
}

#[tokio::test]
async fn pages_have_no_gaps_and_no_repeats() {
    let world = World::new().await;
    many(&world, 250).await;
    for limit in [7, 100, 125, 250, 1000] {
        let (mut seen, mut call) = (Vec::new(), Call { limit: Some(limit), ..Call::default() });
        loop {
            let page: List<Vm> = world.admin.page(&call).await.unwrap();
            assert!(page.items.len() <= limit);
            let newest = page.items.iter().map(|vm| vm.meta.revision).max().unwrap();
            assert!(page.revision >= newest);
            seen.extend(page.items.iter().map(|vm| vm.meta.name.to_string()));
            match page.cursor {
                Some(cursor) => {
                    assert_eq!(page.items.len(), limit, "only the last page may be short");
                    call.cursor = Some(cursor);
                }
                None => break,
            }
        }
        assert_eq!(seen, (0..250).map(|i| format!("vm{i:03}")).collect::<Vec<_>>(), "{limit}");
    }
    let page = world.get("/v1/vms").await.expect(200).json();
    assert_eq!(page["items"].as_array().unwrap().len(), 100);
    // The cursor's own object may be gone by the next page.
    world.delete("/v1/vms/vm099").await.expect(204);
    let next = world.get("/v1/vms?limit=1&cursor=vm099").await.expect(200).json();
    assert_eq!(next["items"][0]["meta"]["name"], "vm100");
    let problem = world.get("/v1/vms?cursor=../x").await.problem(400, "invalid_object");
    assert_eq!(problem.field.as_deref(), Some("cursor"));
}

#[tokio::test]
async fn selectors_choose() {
    let world = World::new().await;
    many(&world, 20).await;
    let names = |query: &str| {
        let path = format!("/v1/vms?{query}");
        let world = &world;
        async move {
            let page = world.get(&path).await.expect(200).json();
            let items = page["items"].as_array().unwrap().clone();
            items.iter().map(|v| v["meta"]["name"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
        }
    };
    let db: BTreeSet<String> = [0, 5, 10, 15].map(|i| format!("vm{i:03}")).into();
    assert_eq!(names("labels=tier%3Ddb").await, db);
    assert_eq!(names("labels=tier!%3Dweb").await, db);
    assert_eq!(names("labels=!tier").await.len(), 0);
    assert_eq!(names("labels=tier").await.len(), 20);
    assert_eq!(names("labels=tier%3Ddb,other").await.len(), 0);
    assert_eq!(names("fields=name%3Dvm003").await, ["vm003".to_owned()].into());
    assert_eq!(names("fields=phase%3Dpending").await.len(), 20);
    assert_eq!(names("fields=phase%3Drunning").await.len(), 0);
    assert_eq!(names("fields=!host&labels=tier%3Ddb").await, db);
    // Pages count what was selected.
    let page = world.get("/v1/vms?labels=tier%3Ddb&limit=3").await.json();
    assert_eq!((page["items"].as_array().unwrap().len(), &page["cursor"]), (3, &json!("vm010")));
    for (query, field) in [("fields=colour%3Dred", "fields"), ("labels=a%20b%3Dc", "labels")] {
        let problem = world.get(&format!("/v1/vms?{query}")).await.problem(400, "invalid_object");
        assert_eq!(problem.field.as_deref(), Some(field));
    }
}
