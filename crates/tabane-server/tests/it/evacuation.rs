//! VMs that leave a host: who has to say what before they are another's.

use serde_json::json;
use tabane_client::Client;
use tabane_model::{
    Arrival, Disk, Image, ImageCopy, ImageStatus, Move, Uid, Vm, VmPhase, VmStatus,
    api::{LeavingPart, Part, StreamKind},
};

use crate::{
    fake_host::{FakeHost, Options},
    world::{World, name, vm},
};

/// A VM with a disk on h1, which is being drained; h2 only listens.
async fn moving() -> (World, [FakeHost; 2], Vm, Move) {
    let world = World::new().await;
    let idle = || Options { idle: true, ..Options::default() };
    let h1 = FakeHost::join_with(&world, "h1", idle()).await;
    let mut body = vm("web");
    body["spec"]["power"] = json!("on");
    body["spec"]["disks"] = json!([{ "name": "root", "size_bytes": 1 << 20 }]);
    world.post("/v1/vms", &body).await.expect(201);
    world.until("web", |vm: &Vm| vm.spec.host.is_some()).await;
    let h2 = FakeHost::join_with(&world, "h2", idle()).await;
    world.patch("/v1/hosts/h1", &json!({ "spec": { "drain": true } })).await.expect(200);
    let vm: Vm = world.until("web", |vm: &Vm| vm.spec.moving.is_some()).await;
    let moving = vm.spec.moving.clone().unwrap();
    assert_eq!((vm.spec.host.as_ref(), &moving.to), (Some(&name("h1")), &name("h2")));
    (world, [h1, h2], vm, moving)
}

fn released(id: Uid) -> VmStatus {
    VmStatus { phase: VmPhase::Moving, released: Some(id), ..VmStatus::default() }
}

fn arrived(id: Uid) -> VmStatus {
    let arrival = Arrival { id, complete: true, refused: false, progress: None, message: String::new() };
    VmStatus { phase: VmPhase::Running, arrival: Some(arrival), ..VmStatus::default() }
}

async fn still_on_h1(world: &World) {
    world.settled().await;
    let vm = world.vm("web").await;
    assert_eq!(vm.spec.host, Some(name("h1")), "given away too early");
}

#[tokio::test]
async fn a_vm_is_the_new_hosts_when_both_have_spoken_of_this_move() {
    let (world, [h1, h2], vm, moving) = moving().await;
    let disk: Disk = world.read("web-root").await;
    assert_eq!((disk.spec.host, disk.spec.moving), (Some(name("h1")), Some(moving.clone())));

    // Neither host speaks in the other's place, and what is said of another move does not count.
    h2.say(&vm, &released(moving.id)).await.unwrap();
    still_on_h1(&world).await;
    assert_eq!(
        world.vm("web").await.status.phase,
        VmPhase::Pending,
        "the new host says how far it is, no more"
    );
    h1.say(&vm, &released(Uid::now_v7())).await.unwrap();
    still_on_h1(&world).await;
    h1.say(&vm, &VmStatus { released: Some(moving.id), ..arrived(moving.id) }).await.unwrap();
    still_on_h1(&world).await;
    h2.say(&vm, &arrived(Uid::now_v7())).await.unwrap();
    still_on_h1(&world).await;

    h2.say(&vm, &arrived(moving.id)).await.unwrap();
    let vm: Vm = world.until("web", |vm: &Vm| vm.spec.host == Some(name("h2"))).await;
    assert_eq!((vm.spec.moving, vm.status.released, vm.status.arrival), (None, None, None));
    let disk: Disk = world.read("web-root").await;
    assert_eq!((disk.spec.host, disk.spec.moving), (Some(name("h2")), None));
    // The old host has no say in it any more.
    let before = world.vm("web").await;
    h1.say(&before, &released(moving.id)).await.unwrap();
    assert_eq!(world.vm("web").await, before);
}

#[tokio::test]
async fn a_move_is_called_off_when_its_reason_goes() {
    let (world, [h1, h2], vm, first) = moving().await;
    h1.say(&vm, &released(first.id)).await.unwrap();
    world.patch("/v1/hosts/h1", &json!({ "spec": { "drain": false } })).await.expect(200);
    let vm: Vm = world.until("web", |vm: &Vm| vm.spec.moving.is_none()).await;
    assert_eq!(vm.spec.host, Some(name("h1")));
    assert_eq!(world.read::<Disk>("web-root").await.spec.moving, None);
    // The next move is another one: what was said of the first does not count.
    world.patch("/v1/hosts/h1", &json!({ "spec": { "drain": true } })).await.expect(200);
    let vm: Vm = world.until("web", |vm: &Vm| vm.spec.moving.is_some()).await;
    assert_ne!(vm.spec.moving.as_ref().unwrap().id, first.id);
    h1.say(&vm, &released(first.id)).await.unwrap();
    h2.say(&vm, &arrived(first.id)).await.unwrap();
    still_on_h1(&world).await;
    // Nor is it enough that everything has arrived.
    let second = vm.spec.moving.as_ref().unwrap().id;
    h2.say(&vm, &arrived(second)).await.unwrap();
    still_on_h1(&world).await;
    h1.say(&vm, &released(second)).await.unwrap();
    world.until("web", |vm: &Vm| vm.spec.host == Some(name("h2"))).await;
}

#[tokio::test]
async fn while_it_moves_its_disks_stay_as_they_are_and_nobody_sets_the_move() {
    let (world, _hosts, vm, _) = moving().await;
    let more = json!({ "spec": { "disks": [] } });
    let told = world.patch("/v1/vms/web", &more).await.expect(409);
    let told = format!("{:?}", told.json());
    assert!(told.contains("moving to another host"), "{told}");
    let spec = json!({ "spec": { "moving": { "to": "h1", "id": Uid::now_v7() } } });
    world.patch("/v1/vms/web", &spec).await.expect(400);
    world.patch("/v1/disks/web-root", &spec).await.expect(400);
    // Other changes are fine, and leave the move alone.
    world.patch("/v1/vms/web", &json!({ "spec": { "cpus": 2 } })).await.expect(200);
    assert_eq!(world.vm("web").await.spec.moving, vm.spec.moving);
}

#[tokio::test]
async fn only_the_new_host_may_ask_for_what_leaves() {
    let (world, [h1, h2], _, moving) = moving().await;
    let part = |id| LeavingPart { id, part: Part::State };
    let denied = async |client: &Client, id| {
        let told = client.leaving("web", &part(id)).await.map(drop).unwrap_err();
        assert!(told.to_string().contains("may not"), "{told}");
    };
    denied(&h1.client, moving.id).await;
    denied(&h2.client, Uid::now_v7()).await;
    let admin = world.token("boss", tabane_model::Role::Admin).await;
    denied(&world.client(&admin).await, moving.id).await;
    assert!(h1.orders().is_empty());
    let asking = h2.client.clone();
    let asked = tokio::spawn(async move { asking.leaving("web", &part(moving.id)).await.map(drop) });
    let began = std::time::Instant::now();
    while h1.orders().is_empty() && began.elapsed().as_secs() < 5 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(matches!(&h1.orders()[..], [StreamKind::Leaving { .. }]), "{:?}", h1.orders());
    asked.abort();
}

#[tokio::test]
async fn an_image_leaves_before_its_host_may_go() {
    let world = World::new().await;
    let _h1 = FakeHost::join(&world, "h1").await;
    let image = json!({ "meta": { "name": "i" }, "spec": { "source": { "build": { "recipe": "tiny" } } } });
    world.post("/v1/images?wait=ready&timeout_s=5", &image).await.expect(201);
    let told = world.delete("/v1/hosts/h1").await.expect(409);
    let told = format!("{:?}", told.json());
    assert!(told.contains("keeps the image i"), "{told}");
    let h2 = FakeHost::join_with(&world, "h2", Options { idle: true, ..Options::default() }).await;
    world.patch("/v1/hosts/h1", &json!({ "spec": { "drain": true } })).await.expect(200);
    let image: Image = world.until("i", |i: &Image| i.spec.moving_to == Some(name("h2"))).await;
    assert_eq!(image.spec.host, Some(name("h1")));
    let hosts = [(name("h2"), ImageCopy { ready: true, progress: None })].into();
    h2.say(&image, &ImageStatus { hosts, ..ImageStatus::default() }).await.unwrap();
    let image: Image = world.until("i", |i: &Image| i.spec.host == Some(name("h2"))).await;
    assert_eq!((image.spec.moving_to, image.status.phase.as_str()), (None, "ready"));
    assert!(image.status.hosts.get("h1").is_some_and(|copy| copy.ready));
    world.delete("/v1/hosts/h1").await.expect(204);
}

#[tokio::test]
async fn a_vm_that_the_new_host_refuses_starts_where_it_was_and_is_not_sent_there_again() {
    let (world, [h1, h2], vm, moving) = moving().await;
    h1.say(&vm, &released(moving.id)).await.unwrap();
    let refuse = async |vm: &Vm, host: &FakeHost, id| {
        let message = "the host has no swtpm".to_owned();
        let arrival = Arrival { id, complete: false, refused: true, progress: None, message };
        host.say(vm, &VmStatus { arrival: Some(arrival), ..VmStatus::default() }).await.unwrap();
    };
    // Of another move: nothing happens.
    refuse(&vm, &h2, Uid::now_v7()).await;
    still_on_h1(&world).await;
    assert!(world.vm("web").await.spec.moving.is_some());
    refuse(&vm, &h2, moving.id).await;
    let told = |vm: &Vm| vm.status.conditions.iter().any(|c| c.message.contains("h2: the host has no swtpm"));
    let vm: Vm = world.until("web", |vm: &Vm| vm.spec.moving.is_none() && told(vm)).await;
    assert_eq!(vm.spec.host, Some(name("h1")));
    // A third host may take it.
    let _h3 = FakeHost::join_with(&world, "h3", Options { idle: true, ..Options::default() }).await;
    let vm: Vm = world.until("web", |vm: &Vm| vm.spec.moving.is_some()).await;
    assert_eq!(vm.spec.moving.unwrap().to, name("h3"));
}
