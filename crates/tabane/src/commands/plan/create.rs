//! Plans that the server makes.

use std::io::Write;

use anyhow::{Context as _, Result};
use tabane_client::Call;
use tabane_model::{
    Meta, Resource,
    planning::{Plan, PlanSpec},
};

use super::{Basis, read_basis};
use crate::{
    arguments::{PlanCreate, PlanDocument},
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
        hosts: hosts.host_type,
        policy,
        costs,
        products,
        support,
        note: create.note,
    };
    let client = context.client().await?;
    let name = create.name.clone();
    let call = objects::call(&create.change);
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
