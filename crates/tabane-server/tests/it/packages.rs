//! Plans for packages are made by a host; the server asks one, and believes only what has the form of a plan.

use serde_json::json;
use tabane_model::{Class, Meta, PackageAnswer, PackagePlan, Problem, Resource, Vm, VmSpec, api::StreamKind};

use crate::{
    fake_host::{FakeHost, Options},
    world::{World, name},
};

const PLAN: &str = "/v1/packages/plan";

fn request() -> serde_json::Value {
    json!({
        "descriptor_name": "x.ovf", "descriptor": "<Envelope/>", "manifest": "",
        "files": [{ "name": "x.ovf", "size_bytes": 11 }], "choices": { "name": "copy", "start": true },
    })
}

fn plan() -> PackagePlan {
    PackagePlan {
        vm: Vm::new(Meta::new(name("copy")), VmSpec::new(1, 1 << 30)),
        os: Some("Debian".into()),
        disks: Vec::new(),
        nics: Vec::new(),
        configuration: None,
        configurations: Vec::new(),
        licences: vec!["Use it well.".into()],
        notes: Vec::new(),
        left_out: Vec::new(),
    }
}

#[tokio::test]
async fn a_host_makes_the_plan() {
    let world = World::new().await;
    world.post(PLAN, &request()).await.problem(409, "no_host");
    let answer = Some(PackageAnswer::Plan(Box::new(plan())));
    let host = FakeHost::join_with(&world, "h1", Options { plan: answer, ..Options::default() }).await;
    let before = world.settled().await;
    let made = world.post(PLAN, &request()).await.expect(200).json();
    assert_eq!(made["vm"]["meta"]["name"], "copy");
    assert_eq!(made["licences"], json!(["Use it well."]));
    assert_eq!(host.orders(), [StreamKind::PlanPackage]);
    assert_eq!(world.settled().await, before, "a plan writes nothing");
    let mut unknown = request();
    unknown["path"] = json!("/etc/passwd");
    world.post(PLAN, &unknown).await.problem(400, "invalid_body");
    let mut large = request();
    large["descriptor"] = json!("x".repeat(13 << 20));
    world.post(PLAN, &large).await.problem(413, "payload_too_large");
    assert_eq!(host.orders().len(), 1, "nobody is asked about what is refused here");
}

#[tokio::test]
async fn a_hosts_refusal_and_nonsense_reach_the_client_as_what_they_are() {
    let world = World::new().await;
    let problem = Problem::new(Class::Invalid, "package_refused", "too long a name")
        .with_field("choices.name")
        .with_hint("a shorter one");
    let refused = Some(PackageAnswer::Refused(Box::new(problem.clone())));
    let _host = FakeHost::join_with(&world, "h1", Options { plan: refused, ..Options::default() }).await;
    assert_eq!(world.post(PLAN, &request()).await.problem(400, "package_refused"), problem);
    // This one sends back what it was sent.
    let world = World::new().await;
    let _echo = FakeHost::join(&world, "h1").await;
    world.post(PLAN, &request()).await.problem(500, "internal");
}
