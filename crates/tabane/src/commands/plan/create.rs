//! Plans that the server makes.

use std::io::Write;

use anyhow::{Context as _, Result};
use tabane_client::Call;
use tabane_model::{
    Meta, Name, Resource,
    planning::{Plan, PlanAfter, PlanSpec},
};

use super::{Basis, read_basis};
use crate::{
    arguments::{Change, PlanContinue, PlanCreate, PlanDocument},
    commands::objects,
    context::Context,
    output, progress,
};

pub async fn run(context: &Context, create: PlanCreate) -> Result<()> {
    let Basis { hosts, policy, costs, products, support } = read_basis(&create.basis)?;
    // Of the catalogues only what the policy asks for has to travel.
    let needed = |product: &str| policy.licence.iter().any(|need| need.product == product);
    let products = products.into_iter().filter(|product| needed(&product.product.name)).collect();
    let spec = PlanSpec {
        survey: create.survey,
        after: None,
        hosts: hosts.host_type,
        policy,
        costs,
        products,
        support,
        note: create.note,
    };
    made(context, create.name, spec, &create.change).await
}

/// A plan of what one had in mind with the plan before, but for what has moved already.
pub async fn go_on(context: &Context, arguments: PlanContinue) -> Result<()> {
    let client = context.client().await?;
    let before = client.get::<Plan>(arguments.plan.as_str(), &Call::default()).await?;
    let spec = PlanSpec {
        survey: arguments.survey.unwrap_or_else(|| before.spec.survey.clone()),
        after: Some(PlanAfter { plan: arguments.plan, done: arguments.done.unwrap_or_default() }),
        note: arguments.note,
        ..before.spec
    };
    made(context, arguments.name, spec, &arguments.change).await
}

async fn made(context: &Context, name: Name, spec: PlanSpec, change: &Change) -> Result<()> {
    let client = context.client().await?;
    let call = objects::call(change);
    let first = Call { wait: None, timeout_s: None, ..call.clone() };
    let key = uuid::Uuid::now_v7().to_string();
    let mut plan = client.create_once(&Plan::new(Meta::new(name.clone()), spec), &first, &key).await?;
    if call.wait.is_some() && !call.dry_run {
        let done = client.get::<Plan>(name.as_str(), &call);
        plan = progress::follow::<Plan, _>(&client, name.as_str(), done).await?;
    }
    output::one(context.form()?, &plan)
}

pub async fn document(context: &Context, document: &PlanDocument) -> Result<()> {
    let client = context.client().await?;
    let bytes = client.plan_document(document.name.as_str()).await?;
    match &document.out {
        Some(path) => tabane_survey::replace(path, &String::from_utf8_lossy(&bytes))?,
        None => std::io::stdout().write_all(&bytes).context("cannot write the document")?,
    }
    Ok(())
}
