//! The audit log has every change that somebody asked for, in order, and shows when it was touched.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tabane_model::Role;
use tabane_server::{Config, Verdict, audit_head, verify_audit};

use crate::{
    fake_host::FakeHost,
    world::{MIB, World, network, vm},
};

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn until_written(world: &World, count: usize) -> Vec<Value> {
    let file = Config::audit_log(world.folder.path());
    for _ in 0..100 {
        let pending = world.store.list("audit/pending/", None, 1).await.unwrap().entries;
        if pending.is_empty() && lines(&file).len() >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    lines(&file)
}

#[tokio::test]
async fn every_change_is_there_in_order_with_who_did_it() {
    let world = World::new().await;
    let operator = world.client(&world.token("hand", Role::Operator).await).await;
    let mut expected = vec!["admin create token/hand".to_owned()];
    let mut body = vm("web1");
    body["spec"]["disks"] = json!([{ "name": "root", "size_bytes": MIB, "keep": true }]);
    world.post("/v1/vms", &body).await.expect(201);
    expected.extend(["root create disk/web1-root".into(), "root create vm/web1".into()]);
    operator.act::<tabane_model::Vm>("web1", "start", &Default::default()).await.unwrap();
    expected.push("hand start vm/web1".into());
    operator
        .patch::<tabane_model::Vm>("web1", &json!({ "spec": { "cpus": 2 } }), &Default::default())
        .await
        .unwrap();
    expected.push("hand update vm/web1".into());
    world.post("/v1/networks", &network("n1", "10.30.0.0/24")).await.expect(201);
    expected.push("root create network/n1".into());
    for (refused, status) in [(vm("web1"), 409), (vm("../x"), 400)] {
        world.post("/v1/vms", &refused).await.expect(status);
    }
    world.post("/v1/vms?dry_run=true", &vm("web2")).await.expect(200);
    world.delete("/v1/vms/web1").await.expect(204);
    expected.extend(["root detach disk/web1-root".into(), "root delete vm/web1".into()]);
    let host = FakeHost::join(&world, "h1").await;
    expected.extend(["admin create token/join-h1".into(), "join-h1 join host/h1".into()]);
    world.delete("/v1/hosts/h1").await.expect(204);
    expected.extend(["root delete token/host-h1".into(), "root delete host/h1".into()]);
    drop(host);

    let records = until_written(&world, expected.len()).await;
    let text = |r: &Value, key: &str| r[key].as_str().unwrap().to_owned();
    let said: Vec<String> = records
        .iter()
        .map(|r| {
            format!("{} {} {}/{}", text(r, "principal"), text(r, "verb"), text(r, "kind"), text(r, "name"))
        })
        .collect();
    assert_eq!(said, expected);
    for (i, pair) in records.windows(2).enumerate() {
        assert_eq!(pair[1]["sequence"], json!(i + 2));
        assert_eq!(pair[1]["previous"], pair[0]["hash"]);
        assert!(pair[1]["revision"].as_u64() >= pair[0]["revision"].as_u64());
    }
    for record in &records {
        let deleted = record["verb"] == "delete";
        assert_eq!(text(record, "digest").is_empty(), deleted, "{record}");
        let local = record["principal"] == "root";
        assert_eq!(text(record, "from").starts_with("local uid "), local, "{record}");
    }
}

#[tokio::test]
async fn who_enters_a_guest_is_written_down() {
    let world = World::new().await;
    let _host = FakeHost::join(&world, "h1").await;
    world.create_vm("web1").await;
    world.until("web1", |vm: &tabane_model::Vm| vm.spec.host.is_some()).await;
    let exec = tabane_model::api::ExecRequest { command: vec!["id".into()], ..Default::default() };
    drop(world.admin.exec("web1", &exec).await.unwrap());
    drop(world.admin.console("web1").await.unwrap());
    world.admin.vnc_ticket("web1").await.unwrap();
    let records = until_written(&world, 6).await;
    let verbs: Vec<&str> =
        records.iter().filter(|r| r["principal"] == "admin").map(|r| r["verb"].as_str().unwrap()).collect();
    assert_eq!(verbs, ["create", "exec", "console", "vnc"]);
}

#[tokio::test]
async fn a_log_is_sound_after_a_stop_and_broken_by_one_byte() {
    let world = World::new().await;
    let creates: Vec<Value> = (0..40).map(|i| vm(&format!("vm{i}"))).collect();
    futures_util::future::join_all(creates.iter().map(|b| world.post("/v1/vms", b))).await;
    until_written(&world, 40).await;
    let World { server, store, folder, .. } = world;
    server.stop().await;
    let file = Config::audit_log(folder.path());
    let head = audit_head(&*store).await.unwrap();
    assert_eq!(head.sequence, 40);
    let sound = Verdict::Sound { records: 40, head: head.hash.clone() };
    assert_eq!(verify_audit(&file, Some(&head)).unwrap(), sound);

    let whole = std::fs::read(&file).unwrap();
    let start_of =
        |line: usize| whole.split_inclusive(|b| *b == b'\n').take(line).map(<[u8]>::len).sum::<usize>();
    for line in [1, 17, 40] {
        // A digit of the time: still a record, only another one.
        let text = String::from_utf8_lossy(&whole[start_of(line - 1)..]).into_owned();
        let at = start_of(line - 1) + text.find("\"at\":\"").unwrap() + 8;
        let mut changed = whole.clone();
        changed[at] = if changed[at] == b'2' { b'3' } else { b'2' };
        std::fs::write(&file, &changed).unwrap();
        match verify_audit(&file, Some(&head)).unwrap() {
            Verdict::Broken { line: found, .. } => assert_eq!(found, line as u64),
            sound => panic!("{sound:?}"),
        }
    }
    std::fs::write(&file, &whole[..start_of(39)]).unwrap();
    assert!(matches!(verify_audit(&file, Some(&head)).unwrap(), Verdict::Broken { line: 39, .. }));
}

#[tokio::test]
async fn no_request_can_make_a_record_that_the_log_cannot_hold() {
    let world = World::new().await;
    world.create_vm("web1").await;
    let before = world.settled().await;
    let command = json!({ "command": ["id"] });
    for name in ["x".repeat(60_000), "%01".repeat(20_000), "..%2Fx".into()] {
        let answer = world.post(&format!("/v1/vms/{name}/exec"), &command).await;
        assert!([404, 414].contains(&answer.status), "{}", answer.status);
    }
    assert_eq!(world.settled().await, before, "nobody was entered, so nothing is written");
    let file = Config::audit_log(world.folder.path());
    let head = audit_head(&*world.store).await.unwrap();
    assert!(matches!(verify_audit(&file, Some(&head)).unwrap(), Verdict::Sound { records: 1, .. }));
}
