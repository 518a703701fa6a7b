//! Collections: whom a collector may ask is settled when they are made.

use std::sync::Arc;

use tabane_model::{
    Survey,
    planning::{Collection, CollectionSpec},
};
use tabane_survey::collect::Sources;

use super::{Admit, Removal};
use crate::{Error, Result, app::App, commit::Change};

impl Admit for Collection {
    fn admit(app: &Arc<App>, old: Option<&Self>, new: &mut Self, _: &mut Change<'_>) -> Result<()> {
        let name = &new.meta.name;
        if new.spec.survey.as_ref() == Some(name) {
            let told = "is the name of the survey that is made when the collection ends";
            return Err(Error::fault("spec.survey", told, "use another name"));
        }
        let Some(old) = old else {
            let there = app.cache.get::<Survey>(name.as_str()).is_some();
            return match there {
                true => Err(Error::fault(
                    "meta.name",
                    "there is a survey of this name, as one that is made of the collection would have",
                    "use another name",
                )),
                false => are_sources(&new.spec),
            };
        };
        if (&old.spec.sources, old.spec.step_s, old.spec.length_s)
            != (&new.spec.sources, new.spec.step_s, new.spec.length_s)
        {
            let told = "of a collection neither sources, step nor length change";
            return Err(Error::fault("spec", told, "make another collection"));
        }
        if old.spec.ended && !new.spec.ended {
            let told = "what has ended does not go on";
            return Err(Error::fault("spec.ended", told, "make another collection"));
        }
        Ok(())
    }

    /// A collector that asks for it is told that it is gone, and keeps what it has.
    fn remove(_: &Arc<App>, _: &Self, _: &mut Change<'_>) -> Result<Removal> {
        Ok(Removal::Now)
    }
}

/// As a collector will read them.
fn are_sources(spec: &CollectionSpec) -> Result<()> {
    let mut sources = Sources::default();
    for (at, source) in spec.sources.iter().enumerate() {
        let added = source.parse().and_then(|range| sources.add(range));
        added.map_err(|error| {
            let hint = "name a server such as root@web1, or a subnet such as root@10.1.2.0/28";
            Error::fault(format!("spec.sources[{at}]"), error.to_string(), hint)
        })?;
    }
    match sources.sorted().named_twice() {
        None => Ok(()),
        Some(name) => Err(Error::fault(
            "spec.sources",
            format!("{name} is named twice with different users"),
            "name each server once",
        )),
    }
}
