//! Flavors, pools, hosts, tokens and events.

use std::sync::Arc;

use tabane_model::{Disk, Event, Flavor, Host, Image, ImagePhase, Pool, Token, Vm};

use super::{Admit, Removal, vm::DEFAULT_POOL};
use crate::{Error, Result, app::App, commit::Change, keys};

impl Admit for Flavor {
    fn admit(_: &Arc<App>, _: Option<&Self>, _: &mut Self, _: &mut Change<'_>) -> Result<()> {
        Ok(())
    }

    fn remove(_: &Arc<App>, _: &Self, _: &mut Change<'_>) -> Result<Removal> {
        Ok(Removal::Now)
    }
}

impl Admit for Pool {
    fn admit(_: &Arc<App>, old: Option<&Self>, new: &mut Self, _: &mut Change<'_>) -> Result<()> {
        match old {
            Some(old) if old.spec != new.spec => Err(Error::fault(
                "spec",
                "a pool cannot be moved",
                "create another pool and move the disks there",
            )),
            _ => Ok(()),
        }
    }

    fn remove(app: &Arc<App>, pool: &Self, _: &mut Change<'_>) -> Result<Removal> {
        let name = &pool.meta.name;
        if name.as_str() == DEFAULT_POOL {
            return Err(Error::InUse {
                detail: format!("the pool {name} is the one of disks that name none"),
                hint: "it stays".into(),
            });
        }
        match app.cache.all::<Disk>().into_iter().find(|disk| disk.spec.pool == *name) {
            Some(disk) => Err(Error::InUse {
                detail: format!("the disk {} is in the pool {name}", disk.meta.name),
                hint: "delete its disks first".into(),
            }),
            None => Ok(Removal::Now),
        }
    }
}

impl Admit for Host {
    fn admit(_: &Arc<App>, old: Option<&Self>, _: &mut Self, _: &mut Change<'_>) -> Result<()> {
        match old {
            Some(_) => Ok(()),
            None => Err(Error::Refused {
                code: "hosts_join",
                detail: "a host is added by its own agent".into(),
                hint: "make a token with `tabane token create NAME --role join` and run `tabane host join` there".into(),
            }),
        }
    }

    fn remove(app: &Arc<App>, host: &Self, change: &mut Change<'_>) -> Result<Removal> {
        let name = &host.meta.name;
        let vms = app.cache.all::<Vm>().into_iter().filter(|vm| vm.spec.host.as_ref() == Some(name)).count();
        let disks =
            app.cache.all::<Disk>().into_iter().filter(|d| d.spec.host.as_ref() == Some(name)).count();
        let last =
            app.cache.all::<Image>().into_iter().find(|image| {
                image.spec.host.as_ref() == Some(name) && image.status.phase == ImagePhase::Ready
            });
        if let Some(image) = last.filter(|_| vms + disks == 0) {
            return Err(Error::InUse {
                detail: format!("the host {name} is the one that keeps the image {}", image.meta.name),
                hint: format!(
                    "drain it (`tabane host drain {name}`) and wait until another has it, or delete the image"
                ),
            });
        }
        if vms + disks > 0 {
            return Err(Error::InUse {
                detail: format!("the host {name} still has {vms} VMs and {disks} disks"),
                hint: format!("drain it first (`tabane host drain {name}`), and delete what cannot leave"),
            });
        }
        if let Some(token) = app.cache.all::<Token>().into_iter().find(|t| t.spec.host.as_ref() == Some(name))
        {
            change.delete(&*token);
            change.delete_private(keys::token_secret(&token.meta.name));
        }
        change.delete_private(keys::agent(name));
        Ok(Removal::Now)
    }
}

impl Admit for Token {
    fn admit(_: &Arc<App>, old: Option<&Self>, new: &mut Self, _: &mut Change<'_>) -> Result<()> {
        match old {
            Some(old) if old.spec.role != new.spec.role || old.spec.host != new.spec.host => {
                Err(Error::fault(
                    "spec.role",
                    "of a token only description and expiry can be changed",
                    "make another token and delete this one",
                ))
            }
            _ => Ok(()),
        }
    }

    fn remove(app: &Arc<App>, token: &Self, change: &mut Change<'_>) -> Result<Removal> {
        if let Some(host) = &token.spec.host
            && app.cache.get::<Host>(host.as_str()).is_some()
        {
            return Err(Error::InUse {
                detail: format!("the host {host} uses this token"),
                hint: format!("remove the host: `tabane host remove {host}`"),
            });
        }
        change.delete_private(keys::token_secret(&token.meta.name));
        Ok(Removal::Now)
    }
}

impl Admit for Event {
    fn admit(_: &Arc<App>, _: Option<&Self>, _: &mut Self, _: &mut Change<'_>) -> Result<()> {
        Ok(())
    }

    fn remove(_: &Arc<App>, _: &Self, _: &mut Change<'_>) -> Result<Removal> {
        Ok(Removal::Now)
    }
}
