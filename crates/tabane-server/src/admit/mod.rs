//! Admission: what has to hold between objects, and what the server fills in, before anything is written.

mod chain;
mod clone;
mod collection;
mod devices;
mod disk;
mod image;
mod network;
mod others;
mod planning;
pub mod snapshot;
mod vm;
mod wave;

pub use vm::{DEFAULT_POOL, release_addresses};

use std::sync::Arc;

use tabane_model::{Faults, Meta};

use crate::{Error, Result, app::App, cache::Cached, commit::Change};

/// How a deletion goes on.
pub enum Removal {
    /// Nothing is left anywhere: the object goes now.
    Now,
    /// A host has something to clean up first: the object is marked, and goes when the host is done.
    AfterHost,
}

pub trait Admit: Cached {
    /// Judges a new (`old` is `None`) or changed object against the others and completes it. What else has to be
    /// written with it goes into `change`.
    fn admit(app: &Arc<App>, old: Option<&Self>, new: &mut Self, change: &mut Change<'_>) -> Result<()>;

    /// Judges what a client may not say of a new object, though the server may.
    fn check_submitted(_: &Self::Spec) -> Result<()> {
        Ok(())
    }

    /// Whether something is judged that others judge as well, and that no single key can guard.
    fn must_be_alone(_old: Option<&Self>, _new: &Self::Spec) -> bool {
        false
    }

    /// Judges a deletion. What else has to be written with it goes into `change`.
    fn remove(app: &Arc<App>, object: &Self, change: &mut Change<'_>) -> Result<Removal>;
}

/// Completes a new object.
pub fn create<R: Admit>(app: &Arc<App>, meta: Meta, spec: R::Spec, change: &mut Change<'_>) -> Result<R> {
    let mut object = R::new(meta, spec);
    let meta = object.meta_mut();
    meta.uid = uuid::Uuid::now_v7();
    meta.generation = 1;
    meta.revision = 0;
    meta.created_at = Some(app.now());
    meta.deleted_at = None;
    if app.cache.get::<R>(object.meta().name.as_str()).is_some() {
        return Err(Error::NameTaken { kind: R::KIND, name: object.meta().name.to_string() });
    }
    judge(&object)?;
    R::admit(app, None, &mut object, change)?;
    change.create(&object);
    Ok(object)
}

/// Completes a changed object; `None` if nothing differs.
pub fn update<R: Admit>(
    app: &Arc<App>,
    old: &R,
    labels: std::collections::BTreeMap<String, String>,
    spec: R::Spec,
    verb: &'static str,
    change: &mut Change<'_>,
) -> Result<Option<R>> {
    if old.meta().deleted_at.is_some() {
        return Err(Error::Refused {
            code: "being_deleted",
            detail: format!("the {} {} is being deleted", R::KIND, old.meta().name),
            hint: "wait until it is gone, then create it anew".into(),
        });
    }
    let mut new = old.clone();
    new.meta_mut().labels = labels;
    *new.spec_mut() = spec;
    judge(&new)?;
    R::admit(app, Some(old), &mut new, change)?;
    if new.spec() != old.spec() {
        new.meta_mut().generation += 1;
    } else if new == *old {
        return Ok(None);
    }
    change.update(verb, &new);
    Ok(Some(new))
}

fn judge<R: Admit>(object: &R) -> Result<()> {
    let mut faults = Faults::default();
    object.validate(&mut faults);
    if faults.is_empty() { Ok(()) } else { Err(Error::Faults(faults.0)) }
}

/// The object that a field names, which must exist and stay.
fn referred<R: Cached>(
    app: &App,
    field: &str,
    name: &tabane_model::Name,
    change: &mut Change<'_>,
) -> Result<Arc<R>> {
    match app.cache.get::<R>(name.as_str()) {
        Some(object) if object.meta().deleted_at.is_none() => {
            change.requires(R::KIND, name);
            Ok(object)
        }
        _ => Err(Error::fault(
            field,
            format!("there is no {} {name}", R::KIND),
            format!("`tabane {} list` shows those that exist", R::KIND),
        )),
    }
}
