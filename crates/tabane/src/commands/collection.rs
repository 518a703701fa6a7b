//! Collections: what the server is told of them. Who measures is `tabane survey run --collection NAME`.

use anyhow::Result;
use serde_json::json;
use tabane_model::{
    Meta, Resource,
    planning::{Collection, CollectionSpec},
};
use tabane_survey::collect::Sources;

use super::objects;
use crate::{
    arguments::{CollectionCommand, CollectionCreate, NamedChange},
    context::Context,
};

pub async fn run(context: &Context, command: CollectionCommand) -> Result<()> {
    match command {
        CollectionCommand::Create(create) => make(context, create).await,
        CollectionCommand::List(list) => objects::list::<Collection>(context, &list).await,
        CollectionCommand::Get(named) => objects::get::<Collection>(context, &named.name).await,
        CollectionCommand::Survey(wish) => {
            let named = NamedChange { names: vec![wish.name], change: wish.change };
            objects::patch::<Collection>(context, &named, json!({ "spec": { "survey": wish.survey } })).await
        }
        CollectionCommand::End(named) => {
            objects::patch::<Collection>(context, &named, json!({ "spec": { "ended": true } })).await
        }
        CollectionCommand::Delete(named) => objects::delete::<Collection>(context, &named).await,
    }
}

async fn make(context: &Context, create: CollectionCreate) -> Result<()> {
    let mut sources = create.sources;
    if let Some(list) = &create.list {
        sources.extend(Sources::default().read_words(list)?);
    }
    let spec = CollectionSpec {
        sources,
        step_s: create.step,
        length_s: create.length.map(|length| length.as_secs().unsigned_abs()),
        survey: None,
        ended: false,
        note: create.note,
    };
    let collection = Collection::new(Meta::new(create.name.clone()), spec);
    objects::create(context, collection, &create.change).await?;
    if !create.change.dry_run {
        let name = create.name;
        eprintln!("now run this where the servers can be reached: tabane survey run --collection {name}");
    }
    Ok(())
}
