//! Snapshots of VMs.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Result, bail};
use jiff::Timestamp;
use tabane_client::Call;
use tabane_model::{Meta, Name, Resource, Snapshot, SnapshotSpec, Vm, api::RevertRequest, format_bytes};

use super::objects;
use crate::{
    arguments::{Change, Form, SnapshotCommand, SnapshotCreate, SnapshotRevert, SnapshotSet, span},
    context::Context,
    output,
};

pub async fn run(context: &Context, command: SnapshotCommand) -> Result<()> {
    match command {
        SnapshotCommand::Create(create) => take(context, create).await,
        SnapshotCommand::List(list) => objects::list::<Snapshot>(context, &list).await,
        SnapshotCommand::Tree { vm } => tree(context, &vm).await,
        SnapshotCommand::Get(named) => objects::get::<Snapshot>(context, &named.name).await,
        SnapshotCommand::Revert(revert) => self::revert(context, revert).await,
        SnapshotCommand::Set(set) => self::set(context, set).await,
        SnapshotCommand::Delete(named) => objects::delete::<Snapshot>(context, &named).await,
    }
}

async fn take(context: &Context, create: SnapshotCreate) -> Result<()> {
    let now = Timestamp::now();
    let name = match create.name {
        Some(name) => name,
        None => Name::new(format!("{}-{}", create.vm, now.strftime("%Y%m%d-%H%M%S")))?,
    };
    let mut spec = SnapshotSpec::new(create.vm);
    spec.memory = create.memory;
    spec.quiesce = create.quiesce;
    spec.note = create.note;
    spec.expires_at = create.expires.map(|after| now + after);
    let wait = (!create.no_wait).then(|| "ready".to_owned());
    let change = Change { dry_run: create.dry_run, wait, timeout: 3600 };
    objects::create(context, Snapshot::new(Meta::new(name), spec), &change).await
}

async fn set(context: &Context, set: SnapshotSet) -> Result<()> {
    let mut spec = serde_json::Map::new();
    if let Some(note) = set.note {
        spec.insert("note".into(), note.into());
    }
    match set.expires.as_deref() {
        Some("never") => drop(spec.insert("expires_at".into(), serde_json::Value::Null)),
        Some(text) => {
            let after = span(text).map_err(anyhow::Error::msg)?;
            spec.insert("expires_at".into(), (Timestamp::now() + after).to_string().into());
        }
        None => {}
    }
    let patch = serde_json::json!({ "spec": spec });
    let client = context.client().await?;
    let snapshot: Snapshot = client.patch(set.name.as_str(), &patch, &Call::default()).await?;
    output::one(context.form()?, &snapshot)
}

async fn revert(context: &Context, revert: SnapshotRevert) -> Result<()> {
    let client = context.client().await?;
    let snapshot: Snapshot = client.get(revert.name.as_str(), &Call::default()).await?;
    let vm = snapshot.spec.vm.clone();
    if !revert.yes && !revert.change.dry_run {
        let taken = output::age(snapshot.status.taken_at);
        ask(
            &format!("{vm} goes back to {}, taken {taken} ago. What it did since is lost.", revert.name),
            &vm,
        )?;
    }
    let request = RevertRequest { snapshot: revert.name, disks_only: revert.disks_only };
    let vm: Vm = client.revert(vm.as_str(), &request, &objects::call(&revert.change)).await?;
    output::one(context.form()?, &vm)
}

/// Lets somebody type the name of what is at stake.
fn ask(what: &str, name: &Name) -> Result<()> {
    if !std::io::stdin().is_terminal() {
        bail!("{what} To do it without being asked, add --yes");
    }
    eprint!("{what}\nType the name of the VM to go on: ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if answer.trim() != name.as_str() {
        bail!("nothing was changed");
    }
    Ok(())
}

async fn tree(context: &Context, vm: &Name) -> Result<()> {
    let client = context.client().await?;
    let vm: Vm = client.get(vm.as_str(), &Call::default()).await?;
    let mut all: Vec<Snapshot> =
        client.list(&Call { fields: Some(format!("vm={}", vm.meta.name)), ..Call::default() }).await?;
    all.sort_by_key(|s| s.meta.uid);
    let form = context.form()?;
    if form != Form::Table {
        return output::value(form, &all);
    }
    if all.is_empty() {
        eprintln!(
            "the VM {} has no snapshots; `tabane snapshot create {}` takes one",
            vm.meta.name, vm.meta.name
        );
        return Ok(());
    }
    let mut lines = vec![vm.meta.name.to_string()];
    let known = |name: &Name| all.iter().any(|s| s.meta.name == *name);
    let root = |s: &Snapshot| s.status.parent.as_ref().filter(|p| known(p)).is_none();
    let here = vm.status.snapshot.as_ref();
    branch(&all, &root, here, "", &mut lines);
    output::lines(&lines)
}

/// The snapshots that `chosen` names with all that grew from them, and where the VM is.
fn branch(
    all: &[Snapshot],
    chosen: &dyn Fn(&Snapshot) -> bool,
    here: Option<&Name>,
    indent: &str,
    lines: &mut Vec<String>,
) {
    let mut left = all.iter().filter(|s| chosen(s)).peekable();
    while let Some(snapshot) = left.next() {
        let name = &snapshot.meta.name;
        let is_here = here == Some(name);
        let last = left.peek().is_none();
        let note =
            if snapshot.spec.note.is_empty() { String::new() } else { format!("  {}", snapshot.spec.note) };
        let told = format!(
            "{name}  {} ago, {}, {}{note}",
            output::age(snapshot.status.taken_at),
            if snapshot.phase() == "ready" { snapshot.status.consistency.as_str() } else { snapshot.phase() },
            format_bytes(snapshot.status.used_bytes),
        );
        lines.push(format!("{indent}{} {told}", if last { "└─" } else { "├─" }));
        let deeper = format!("{indent}{}  ", if last { " " } else { "│" });
        let children = |s: &Snapshot| s.status.parent.as_ref() == Some(name);
        if is_here {
            let more = all.iter().any(&children);
            lines.push(format!("{deeper}{} (the VM is here)", if more { "├─" } else { "└─" }));
        }
        branch(all, &children, here, &deeper, lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_shows_branches_and_where_the_vm_is() {
        let snapshot = |name: &str, parent: Option<&str>| {
            let mut s =
                Snapshot::new(Meta::new(name.parse().unwrap()), SnapshotSpec::new("web".parse().unwrap()));
            s.status.phase = tabane_model::SnapshotPhase::Ready;
            s.status.parent = parent.map(|p| p.parse().unwrap());
            s
        };
        let all = [
            snapshot("a", None),
            snapshot("b", Some("a")),
            snapshot("c", Some("b")),
            snapshot("d", Some("a")),
        ];
        let mut lines = Vec::new();
        let here: Name = "b".parse().unwrap();
        branch(&all, &|s| s.status.parent.is_none(), Some(&here), "", &mut lines);
        let shape: Vec<String> = lines.iter().map(|l| l.split("  -").next().unwrap().to_owned()).collect();
        assert_eq!(shape, ["└─ a", "   ├─ b", "   │  ├─ (the VM is here)", "   │  └─ c", "   └─ d"]);
    }
}
