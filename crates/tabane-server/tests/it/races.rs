//! What holds between objects holds also when they change at the same time.

use serde_json::json;

use tabane_model::{Snapshot, SnapshotPhase, SnapshotStatus, Vm, VmPhase, VmStatus, api::HostReport};

use crate::{
    fake_host::{FakeHost, Options, status_report},
    world::{MIB, World, network, vm, vm_in},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_networks_made_at_once_are_one_network() {
    for round in 0..5 {
        let world = World::new().await;
        let bodies: Vec<_> = (0..8).map(|i| network(&format!("n{i}"), "10.30.0.0/24")).collect();
        let answers =
            futures_util::future::join_all(bodies.iter().map(|b| world.post("/v1/networks", b))).await;
        let made = answers.iter().filter(|a| a.status == 201).count();
        assert_eq!(made, 1, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_referred_to_is_not_deleted_meanwhile() {
    let world = World::new().await;
    for round in 0..12 {
        let pool = format!("p{round}");
        let body = json!({ "meta": { "name": pool }, "spec": { "path": "/srv/p" } });
        world.post("/v1/pools", &body).await.expect(201);
        world.post("/v1/networks", &network("n1", "10.30.0.0/24")).await.expect(201);
        let disk = json!({ "meta": { "name": pool }, "spec": { "pool": pool, "size_bytes": MIB } });
        let vm = vm_in(&pool, "n1");
        let pool_path = format!("/v1/pools/{pool}");
        let (disk, _, vm, _) = tokio::join!(
            world.post("/v1/disks", &disk),
            world.delete(&pool_path),
            world.post("/v1/vms", &vm),
            world.delete("/v1/networks/n1"),
        );
        let there = |path: String| {
            let world = &world;
            async move { world.get(&path).await.status == 200 }
        };
        assert_eq!(disk.status == 201, there(pool_path).await, "{}", disk.text());
        assert_eq!(vm.status == 201, there("/v1/networks/n1".into()).await, "{}", vm.text());
        if vm.status == 201 {
            world.delete(&format!("/v1/vms/{pool}")).await.expect(204);
            world.delete("/v1/networks/n1").await.expect(204);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vm_and_its_snapshots_go_with_one_report() {
    let world = World::new().await;
    let idle = Options { idle: true, ..Options::default() };
    let host = FakeHost::join_with(&world, "h1", idle).await;
    for round in 0..20 {
        world.post("/v1/vms", &vm("web1")).await.expect(201);
        let _: Vm = world.until("web1", |vm: &Vm| vm.spec.host.is_some()).await;
        let names: Vec<String> = (0..4).map(|i| format!("s{i}")).collect();
        for snapshot in &names {
            let body = json!({ "meta": { "name": snapshot }, "spec": { "vm": "web1" } });
            world.post("/v1/snapshots", &body).await.expect(201);
            world.delete(&format!("/v1/snapshots/{snapshot}")).await.expect(202);
        }
        // It is known as deleted already, so that its end meets the snapshots' statuses as they are written.
        let gone: Vm = world.vm("web1").await;
        let status = VmStatus { phase: VmPhase::Deleted, ..gone.status.clone() };
        host.say(&gone, &status).await.unwrap();
        world.delete("/v1/vms/web1").await.expect(202);
        let mut report = HostReport::default();
        for snapshot in &names {
            let snapshot: Snapshot = world.read(snapshot).await;
            let status = SnapshotStatus { phase: SnapshotPhase::Deleted, ..SnapshotStatus::default() };
            report.statuses.extend(status_report(&snapshot, &status).statuses);
        }
        let at = round % (names.len() + 1);
        report.statuses.splice(at..at, status_report(&gone, &status).statuses);
        host.client.report("h1", &report).await.unwrap();
        world.get("/v1/vms/web1").await.problem(404, "not_found");
        assert_eq!(world.get("/v1/snapshots").await.json()["items"], json!([]));
    }
}
