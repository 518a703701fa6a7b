//! Power actions are changes of the spec under names that people know.

use serde_json::json;
use tabane_model::{Power, VmStatus};

use crate::{
    fake_host::{FakeHost, Options},
    world::World,
};

#[tokio::test]
async fn each_action_changes_the_spec_as_documented() {
    let world = World::new().await;
    let host = FakeHost::join_with(&world, "h1", Options { idle: true, ..Options::default() }).await;
    world.create_vm("web1").await;
    world.until("web1", |vm: &tabane_model::Vm| vm.spec.host.is_some()).await;
    let act = |verb: &'static str| {
        let world = &world;
        async move {
            world.post(&format!("/v1/vms/web1/{verb}"), &json!({})).await.expect(200);
            let spec = world.vm("web1").await.spec;
            (spec.power, spec.starts, spec.resets)
        }
    };
    let say = |phase| {
        let (world, host) = (&world, &host);
        async move {
            let vm = world.vm("web1").await;
            let status = VmStatus { phase, observed_generation: vm.meta.generation, ..VmStatus::default() };
            host.say(&vm, &status).await.unwrap();
        }
    };
    assert_eq!(act("start").await, (Power::On, 0, 0));
    say(tabane_model::VmPhase::Running).await;
    let generation = world.vm("web1").await.meta.generation;
    assert_eq!(act("start").await, (Power::On, 0, 0), "it runs: there is nothing to start");
    assert_eq!(world.vm("web1").await.meta.generation, generation);
    assert_eq!(act("pause").await, (Power::Paused, 0, 0));
    assert_eq!(act("resume").await, (Power::On, 0, 0));
    assert_eq!(act("reset").await, (Power::On, 0, 1));
    assert_eq!(act("reset").await, (Power::On, 0, 2));
    say(tabane_model::VmPhase::Crashed).await;
    assert_eq!(act("start").await, (Power::On, 1, 2), "on, and held: asks for one start");
    assert_eq!(act("shutdown").await, (Power::Off, 1, 2));
    assert_eq!(act("force-off").await, (Power::ForcedOff, 1, 2));
    assert_eq!(act("start").await, (Power::On, 1, 2));
    world.post("/v1/vms/none/start", &json!({})).await.problem(404, "not_found");
}
