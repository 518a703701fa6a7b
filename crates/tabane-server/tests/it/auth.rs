//! Who gets in, and how far each role reaches.

use serde_json::json;
use tabane_model::{Kind, Role, Token, TokenSpec, api::JoinRequest};

use crate::{
    fake_host::FakeHost,
    world::{World, name, vm},
};

const PATHS: [&str; 8] = ["vms", "images", "disks", "pools", "networks", "hosts", "events", "tokens"];

#[tokio::test]
async fn without_a_valid_token_nothing_is_told() {
    let world = World::new().await;
    let nobody = tabane_client::Client::connect(crate::world::target(&world.server), None).await.unwrap();
    let error = nobody.page::<tabane_model::Vm>(&Default::default()).await.unwrap_err();
    assert_eq!(error.code(), Some("unauthenticated"));

    let right = world.server.admin_token.clone().unwrap();
    let mut wrong = right.clone();
    let last = if wrong.pop() == Some('A') { 'B' } else { 'A' };
    wrong.push(last);
    // Base64 leaves unused bits in the last character: a change in the middle is one for certain.
    let middle = right.replacen("tbn_admin_", "tbn_admin_x", 1);
    let mut details = Vec::new();
    for token in [wrong.as_str(), &middle, "tbn_nobody_AAAA", "tbn_admin_", "tbn_admin", "x", "", "tbn__x"] {
        let answer =
            world.send("GET", "/v1/vms", &[("Authorization", &format!("Bearer {token}"))], None).await;
        let problem = answer.problem(401, "unauthenticated");
        details.push((problem.detail, problem.hint));
    }
    details.dedup();
    assert_eq!(details.len(), 1, "the answer tells which part was wrong: {details:?}");
    let answer = world.send("GET", "/v1/vms", &[("Authorization", &format!("Basic {right}"))], None).await;
    answer.problem(401, "unauthenticated");
    // A correct one over the same road, so that the refusals above mean something.
    world.send("GET", "/v1/vms", &[("Authorization", &format!("Bearer {right}"))], None).await.expect(200);
}

#[tokio::test]
async fn an_expired_token_opens_nothing() {
    let world = World::new().await;
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(700);
    let spec = TokenSpec { role: Role::Viewer, expires_at: Some(at), ..TokenSpec::default() };
    let secret = world.admin.create_token("short", &spec).await.unwrap().secret;
    let header = format!("Bearer {secret}");
    world.send("GET", "/v1/vms", &[("Authorization", &header)], None).await.expect(200);
    tokio::time::sleep(std::time::Duration::from_millis(750)).await;
    world.send("GET", "/v1/vms", &[("Authorization", &header)], None).await.problem(401, "unauthenticated");

    let past = TokenSpec { expires_at: Some(at), ..spec };
    let error = world.admin.create_token("past", &past).await.err().unwrap();
    assert_eq!(error.code(), Some("invalid_object"));
}

#[tokio::test]
async fn a_deleted_token_opens_nothing() {
    let world = World::new().await;
    let header = format!("Bearer {}", world.token("leaver", Role::Operator).await);
    world.send("GET", "/v1/vms", &[("Authorization", &header)], None).await.expect(200);
    world.delete("/v1/tokens/leaver").await.expect(204);
    world.send("GET", "/v1/vms", &[("Authorization", &header)], None).await.problem(401, "unauthenticated");
    // The same name later is another token.
    world.token("leaver", Role::Operator).await;
    world.send("GET", "/v1/vms", &[("Authorization", &header)], None).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn root_on_the_local_socket_needs_no_token() {
    let world = World::new().await;
    world.create_vm("web1").await;
    world.get("/v1/tokens").await.expect(200);
    let mode = std::fs::metadata(world.socket()).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    // Who sends a token is its bearer, even there.
    let viewer = format!("Bearer {}", world.token("eye", Role::Viewer).await);
    world.send("DELETE", "/v1/vms/web1", &[("Authorization", &viewer)], None).await.problem(403, "denied");
}

#[tokio::test]
async fn roles_reach_as_far_as_documented() {
    let world = World::new().await;
    let host = FakeHost::join(&world, "h1").await;
    world.create_vm("web1").await;
    world.until::<tabane_model::Vm>("web1", |vm| vm.spec.host.is_some()).await;
    let bearer = |secret: &str| format!("Bearer {secret}");
    let viewer = bearer(&world.token("eye", Role::Viewer).await);
    let operator = bearer(&world.token("hand", Role::Operator).await);
    let join = bearer(&world.token("door", Role::Join).await);
    let agent = bearer(&host.token);
    let before = world.settled().await;

    for path in PATHS {
        let path = format!("/v1/{path}");
        let secret = path.ends_with("tokens");
        for (who, may) in [(&viewer, !secret), (&operator, !secret), (&join, false), (&agent, false)] {
            for path in [path.clone(), format!("{path}?watch=true&resume=99999999"), format!("{path}/none")] {
                let answer = world.send("GET", &path, &[("Authorization", who)], None).await;
                if !may {
                    answer.problem(403, "denied");
                } else {
                    assert_ne!(answer.status, 403, "{path}");
                }
            }
        }
    }
    let changes = [
        ("POST", "/v1/vms", Some(vm("web2"))),
        ("PUT", "/v1/vms/web1", Some(vm("web1"))),
        ("PATCH", "/v1/vms/web1", Some(json!({ "spec": { "cpus": 2 } }))),
        ("DELETE", "/v1/vms/web1", None),
        ("POST", "/v1/vms/web1/start", None),
        ("POST", "/v1/vms/web1/exec", Some(json!({ "command": ["id"] }))),
        ("POST", "/v1/packages/plan", Some(json!({}))),
        ("GET", "/v1/vms/web1/console", None),
        ("GET", "/v1/vms/web1/screenshot", None),
        ("POST", "/v1/vms/web1/vnc-tickets", None),
        ("PUT", "/v1/images/none/content", None),
        ("DELETE", "/v1/pools/local", None),
        ("DELETE", "/v1/networks/default", None),
        ("POST", "/v1/tokens", Some(json!({ "meta": { "name": "t" }, "spec": { "role": "admin" } }))),
        ("DELETE", "/v1/tokens/admin", None),
        ("PATCH", "/v1/hosts/h1", Some(json!({ "spec": { "cordoned": true } }))),
        ("DELETE", "/v1/hosts/h1", None),
    ];
    for who in [&viewer, &join, &agent] {
        for (method, path, body) in &changes {
            let answer = world.send(method, path, &[("Authorization", who)], body.as_ref()).await;
            assert_eq!((answer.status, *method, *path), (403, *method, *path), "{}", answer.text());
            answer.problem(403, "denied");
        }
    }
    for (method, path, body) in changes
        .iter()
        .filter(|(_, path, _)| path.contains("tokens") && !path.contains("vnc") || path.contains("hosts"))
    {
        world.send(method, path, &[("Authorization", &operator)], body.as_ref()).await.problem(403, "denied");
    }
    let request = json!({ "name": "h9", "agent": tabane_model::Uid::now_v7() });
    for who in [&viewer, &operator, &agent] {
        world
            .send("POST", "/v1/join", &[("Authorization", who)], Some(&request))
            .await
            .problem(403, "denied");
    }
    assert_eq!(world.settled().await, before, "a refused request wrote something");
    world.send("POST", "/v1/vms", &[("Authorization", &operator)], Some(&vm("web2"))).await.expect(201);
}

#[tokio::test]
async fn a_host_speaks_for_itself_only() {
    let world = World::new().await;
    let h1 = FakeHost::join(&world, "h1").await;
    FakeHost::join(&world, "h2").await;
    let before = world.settled().await;
    let report = tabane_model::api::HostReport::default();
    assert_eq!(h1.client.report("h2", &report).await.unwrap_err().code(), Some("denied"));
    assert_eq!(h1.client.watch_host("h2").await.err().unwrap().code(), Some("denied"));
    let id = tabane_model::Uid::now_v7();
    assert_eq!(h1.client.answer_stream("h2", id).await.err().unwrap().code(), Some("denied"));
    assert_eq!(h1.client.answer_stream("h1", id).await.err().unwrap().code(), Some("no_such_path"));
    // Nor does the administrator: a host's words come from the host.
    assert_eq!(world.admin.report("h1", &report).await.unwrap_err().code(), Some("denied"));
    assert_eq!(world.settled().await, before);
}

#[tokio::test]
async fn joining_again_is_for_the_same_agent_only() {
    let world = World::new().await;
    let host = FakeHost::join(&world, "h1").await;
    let uid = crate::fake_host::known(&world, "h1").await.meta.uid;
    let join = world.client(&world.token("door", Role::Join).await).await;
    let other = JoinRequest { name: name("h1"), agent: tabane_model::Uid::now_v7() };
    assert_eq!(join.join(&other).await.err().unwrap().code(), Some("host_name_taken"));
    let same = JoinRequest { name: name("h1"), agent: host.agent };
    let answer = join.join(&same).await.unwrap();
    assert_ne!(answer.token, host.token);
    assert_eq!(crate::fake_host::known(&world, "h1").await.meta.uid, uid);
    let report = tabane_model::api::HostReport::default();
    assert_eq!(host.client.report("h1", &report).await.unwrap_err().code(), Some("unauthenticated"));
    world.client(&answer.token).await.report("h1", &report).await.unwrap();
}

#[tokio::test]
async fn hosts_of_long_names_do_not_share_a_token() {
    let world = World::new().await;
    let long = "x".repeat(60);
    let join = world.client(&world.token("door", Role::Join).await).await;
    for end in ["-a1", "-b2"] {
        let request = JoinRequest { name: name(&format!("{long}{end}")), agent: tabane_model::Uid::now_v7() };
        join.join(&request).await.unwrap();
    }
}

#[tokio::test]
async fn secrets_are_shown_once_and_kept_as_hashes() {
    let world = World::new().await;
    let host = FakeHost::join(&world, "h1").await;
    let made = world.admin.create_token("eye", &TokenSpec::default()).await.unwrap();
    let admin = world.server.admin_token.clone().unwrap();
    let secrets: Vec<String> =
        [&admin, &made.secret, &host.token].map(|text| text.splitn(3, '_').nth(2).unwrap().to_owned()).into();
    assert!(secrets.iter().all(|s| s.len() == 43), "32 random bytes each");

    let mut texts = vec![world.get("/v1/tokens").await.text(), world.get("/v1/tokens/eye").await.text()];
    texts.push(serde_json::to_string(&made.token).unwrap());
    for page in PATHS {
        texts.push(world.get(&format!("/v1/{page}")).await.text());
    }
    world.settled().await;
    texts.push(std::fs::read_to_string(tabane_server::Config::audit_log(world.folder.path())).unwrap());
    let all = world.store.list("", None, 10_000).await.unwrap().entries;
    assert!(all.iter().any(|entry| entry.key == "secrets/tokens/eye"));
    texts.extend(all.iter().map(|entry| format!("{} {}", entry.key, String::from_utf8_lossy(&entry.value))));
    for text in texts {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{text}");
        }
    }
    let tokens: Vec<Token> = world.admin.list(&Default::default()).await.unwrap();
    assert!(tokens.iter().any(|t| t.meta.name.as_str() == "eye"), "{:?}", Kind::Token);
}
