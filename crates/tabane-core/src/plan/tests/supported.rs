//! Who has no support may be told, or left out, and neither can be hidden.

use tabane_model::{
    PlanNote,
    support::{SupportMatrix, SupportRule, SupportStatus},
};

use super::*;

pub(super) const MATRIX: &str = r#"
as_of = "2026-01-01"
[[support]]
vendor = "debian"
product = "debian"
hypervisor = "any"
status = "supported"
match = ["os=debian*"]
source = [{ title = "t", publisher = "p", standing = "knowledge" }]
[[support]]
vendor = "mail"
product = "mail"
hypervisor = "qemu-kvm"
status = "unsupported"
match = ["application=mail*"]
source = [{ title = "t", publisher = "p", standing = "knowledge" }]
"#;

fn plan(traces: &Traces, rule: SupportRule) -> Result<Plan, PlanError> {
    let matrix: SupportMatrix = toml::from_str(MATRIX).unwrap();
    assert!(matrix.faults().is_empty());
    let (hosts, policy) = (hosts(), PlanPolicy { support: rule, ..policy() });
    let request =
        Request { hosts: &hosts, policy: &policy, costs: None, products: &[], support: &matrix.support };
    make(traces, request, Timestamp::UNIX_EPOCH, 1, &|turns, _| turns > 200)
}

fn labelled() -> Traces {
    let mut traces = traces(8);
    for (at, server) in traces.servers.iter_mut().enumerate() {
        server.labels = match at {
            0 => vec![("os".into(), "Debian 12".into()), ("application".into(), "mail 3".into())],
            1 => Vec::new(),
            _ => vec![("os".into(), "Debian 12".into())],
        };
    }
    traces
}

#[test]
fn support_is_told_or_asked_for() {
    let traces = labelled();
    let warned = plan(&traces, SupportRule::Warn).unwrap();
    assert_eq!(verify(&warned, &traces).len(), 0);
    // On Tabane by analogy, so conditional at best.
    let told = PlanNote::Supported { supported: 0, conditional: 10, unknown: 1, unsupported: 1 };
    assert_eq!(warned.assumptions.notes[0], told);
    assert_eq!(warned.support[0].status, SupportStatus::Unsupported);

    let asked = plan(&traces, SupportRule::RequireConditional).unwrap();
    assert_eq!(verify(&asked, &traces).len(), 0);
    let left: Vec<&str> = asked.unplaced.iter().map(|server| server.server.as_str()).collect();
    assert_eq!(left, ["s0", "s1"]);
    assert!(
        asked.unplaced[0].reason.contains(": mail on qemu-kvm is unsupported"),
        "{}",
        asked.unplaced[0].reason
    );
    assert!(matches!(plan(&traces, SupportRule::Require), Err(PlanError::NobodyLeft(12))));
}

#[test]
fn support_cannot_be_made_up() {
    let traces = labelled();
    let asked = plan(&traces, SupportRule::RequireConditional).unwrap();
    let rejected = |change: &dyn Fn(&mut Plan)| {
        let mut changed = asked.clone();
        change(&mut changed);
        verify(&changed, &traces).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let told = "support is not what the matrix says";
    assert!(rejected(&|plan| plan.support[0].status = SupportStatus::Supported).contains(told));
    assert!(rejected(&|plan| plan.support.clear()).contains(told));
    assert!(
        rejected(&|plan| {
            plan.unplaced.remove(0);
            plan.hosts[0].servers.push("s0".into());
        })
        .contains("not to be planned for")
    );
    assert!(rejected(&|plan| plan.assumptions.support.clear()).contains("no matrix of it"));
}
