//! Waves of plans.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use tabane_model::{
    Meta, Resource,
    planning::{Wave, WaveReview, WaveSpec, WaveState},
};

use super::objects;
use crate::{
    arguments::{NamedChange, WaveCommand, WaveReviewed},
    context::Context,
    output,
};

const FACTS_BYTES_MAX: u64 = 1 << 20;

pub async fn run(context: &Context, command: WaveCommand) -> Result<()> {
    match command {
        WaveCommand::Create(create) => {
            let spec = WaveSpec {
                plan: create.plan,
                wave: create.wave,
                state: WaveState::Planned,
                review: None,
                note: String::new(),
            };
            objects::create(context, Wave::new(Meta::new(create.name), spec), &create.change).await
        }
        WaveCommand::List(list) => objects::list::<Wave>(context, &list).await,
        WaveCommand::Get(named) => objects::get::<Wave>(context, &named.name).await,
        WaveCommand::Run(named) => become_state(context, &named, WaveState::Running).await,
        WaveCommand::Review(review) => set_review(context, &review).await,
        WaveCommand::Done(named) => become_state(context, &named, WaveState::Done).await,
        WaveCommand::Stop(named) => become_state(context, &named, WaveState::Stopped).await,
        WaveCommand::RollBack(named) => become_state(context, &named, WaveState::RolledBack).await,
        WaveCommand::Replan(named) => become_state(context, &named, WaveState::Planned).await,
        WaveCommand::Delete(named) => objects::delete::<Wave>(context, &named).await,
    }
}

async fn become_state(context: &Context, named: &NamedChange, state: WaveState) -> Result<()> {
    objects::patch::<Wave>(context, named, serde_json::json!({ "spec": { "state": state } })).await
}

async fn set_review(context: &Context, reviewed: &WaveReviewed) -> Result<()> {
    let facts: BTreeMap<String, f64> = match &reviewed.facts {
        None => BTreeMap::new(),
        Some(path) => toml::from_str(&tabane_survey::read_text(path, FACTS_BYTES_MAX)?)
            .with_context(|| format!("{} is not as it should be", path.display()))?,
    };
    let review = WaveReview { measured: reviewed.measured.clone(), facts };
    // What was stated before and is not now is taken back: a merge alone would keep it.
    let clear = serde_json::json!({ "spec": { "review": null } });
    let client = context.client().await?;
    let name = reviewed.name.as_str();
    if !reviewed.change.dry_run {
        client.patch::<Wave>(name, &clear, &tabane_client::Call::default()).await?;
    }
    let patch = serde_json::json!({ "spec": { "review": review } });
    let wave: Wave = client.patch(name, &patch, &objects::call(&reviewed.change)).await?;
    output::one(context.form()?, &wave)
}
