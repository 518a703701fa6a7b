//! Networks: ranges do not overlap, and nobody's network is taken away.

use std::sync::Arc;

use tabane_model::{Network, NetworkSpec, Vm};

use super::{Admit, Removal};
use crate::{Error, Result, app::App, commit::Change};

impl Admit for Network {
    /// Two new networks must not overlap.
    fn must_be_alone(old: Option<&Self>, _: &NetworkSpec) -> bool {
        old.is_none()
    }

    fn admit(app: &Arc<App>, old: Option<&Self>, new: &mut Self, _: &mut Change<'_>) -> Result<()> {
        if let Some(old) = old
            && (old.spec.kind, old.spec.cidr) != (new.spec.kind, new.spec.cidr)
        {
            return Err(Error::fault(
                "spec.cidr",
                "kind and range of a network cannot be changed",
                "create another network and move the nics there",
            ));
        }
        let Some(range) = new.spec.cidr else { return Ok(()) };
        for other in app.cache.all::<Network>() {
            let Some(theirs) = other.spec.cidr.filter(|_| other.meta.name != new.meta.name) else { continue };
            if theirs.contains(&range.network()) || range.contains(&theirs.network()) {
                return Err(Error::fault(
                    "spec.cidr",
                    format!("{range} overlaps with {theirs} of the network {}", other.meta.name),
                    "choose a range of its own",
                ));
            }
        }
        Ok(())
    }

    fn remove(app: &Arc<App>, network: &Self, _: &mut Change<'_>) -> Result<Removal> {
        let name = &network.meta.name;
        let user =
            app.cache.all::<Vm>().into_iter().find(|vm| vm.spec.nics.iter().any(|n| n.network == *name));
        match user {
            Some(vm) => Err(Error::InUse {
                detail: format!("the VM {} has a nic in the network {name}", vm.meta.name),
                hint: "take the nics out of the network first".into(),
            }),
            // Hosts take down bridges of networks that are gone.
            None => Ok(Removal::Now),
        }
    }
}
