//! What is the same for all kinds of objects.

use anyhow::Result;
use tabane_client::Call;
use tabane_model::{Name, api::Change as Changed};

use crate::{
    arguments::{Change, Form, List, NamedChange},
    context::Context,
    output::{self, Row},
};

pub fn call(change: &Change) -> Call {
    Call {
        dry_run: change.dry_run,
        wait: change.wait.clone(),
        timeout_s: change.wait.as_ref().map(|_| change.timeout),
        ..Call::default()
    }
}

pub async fn list<R: Row>(context: &Context, list: &List) -> Result<()> {
    let client = context.client().await?;
    let call = Call { labels: list.labels.clone(), fields: list.fields.clone(), ..Call::default() };
    if !list.watch {
        return output::list(context.form()?, &client.list::<R>(&call).await?);
    }
    let form = context.form()?;
    let mut events = client.watch::<R>(&call).await?;
    if form == Form::Table {
        println!("{}", R::HEADERS.join("  "));
    }
    while let Some(change) = events.next().await? {
        match change {
            Changed::Put { object, .. } => output::line(form, &serde_json::from_value::<R>(object)?)?,
            Changed::Gone { name, .. } if form == Form::Table => println!("{name}  gone"),
            Changed::Gone { .. } => println!("{}", serde_json::to_string(&change)?),
            Changed::Synced { .. } => {}
        }
    }
    Ok(())
}

pub async fn get<R: Row>(context: &Context, name: &Name) -> Result<()> {
    let object: R = context.client().await?.get(name.as_str(), &Call::default()).await?;
    // One object in full: a table would leave most of it out.
    match context.form()? {
        Form::Table => output::value(Form::Yaml, &object),
        form => output::value(form, &object),
    }
}

pub async fn create<R: Row>(context: &Context, object: R, change: &Change) -> Result<()> {
    let client = context.client().await?;
    let key = uuid::Uuid::now_v7().to_string();
    let created = client.create_once(&object, &call(change), &key).await?;
    output::one(context.form()?, &created)
}

pub async fn patch<R: Row>(context: &Context, named: &NamedChange, patch: serde_json::Value) -> Result<()> {
    let client = context.client().await?;
    let mut changed = Vec::new();
    for name in &named.names {
        changed.push(client.patch::<R>(name.as_str(), &patch, &call(&named.change)).await?);
    }
    output::list(context.form()?, &changed)
}

pub async fn delete<R: Row>(context: &Context, named: &NamedChange) -> Result<()> {
    let client = context.client().await?;
    for name in &named.names {
        let left = client.delete::<R>(name.as_str(), &call(&named.change)).await?;
        match (named.change.dry_run, left) {
            (true, _) => eprintln!("{} {name} would be deleted", R::KIND),
            (false, None) => eprintln!("{} {name} deleted", R::KIND),
            (false, Some(_)) => eprintln!("{} {name} is being deleted", R::KIND),
        }
    }
    Ok(())
}
