//! What browsers get: the console's page, strict headers, and no page where the API is meant.

use crate::world::World;

#[tokio::test]
async fn browsers_get_the_first_page_and_programs_get_problems() {
    let world = World::new().await;
    let page = world.send("GET", "/", &[("Accept", "text/html")], None).await.expect(200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let policy = page.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert!(page.text().contains("Tabane"), "{}", page.text());
    // The console's own paths are its first page; everything else stays what it was.
    let deep = world.send("GET", "/vms/web1", &[("Accept", "text/html")], None).await.expect(200);
    assert_eq!(deep.body, page.body);
    world.get("/vms/web1").await.problem(404, "no_such_path");
    for path in ["/v1", "/v1/nothing", "/assets/none.js", "/../../../etc/passwd"] {
        let answer = world.send("GET", path, &[("Accept", "text/html")], None).await;
        assert!(answer.status == 404 || answer.body == page.body, "{path}: {}", answer.text());
    }
    world.send("POST", "/vms", &[("Accept", "text/html")], None).await.problem(404, "no_such_path");
}
