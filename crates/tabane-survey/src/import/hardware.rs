//! What servers have: as a list of servers says, or their own files, or whoever imports them.

use std::{collections::HashMap, path::Path};

use tabane_model::Source;

use crate::{Result, servers};

/// What servers are taken for whose files do not say it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Assumed {
    pub cores: Option<u32>,
    /// Of one core.
    pub core_mhz: Option<u32>,
    pub memory_mib: Option<u32>,
}

#[derive(Debug, Default)]
pub(super) struct Hardware {
    pub assumed: Assumed,
    listed: Vec<Source>,
    places: HashMap<String, usize>,
    /// By names in small letters.
    places_small: HashMap<String, usize>,
}

impl Hardware {
    pub fn read(assumed: Assumed, list: Option<&Path>) -> Result<Self> {
        let listed = list.map_or_else(|| Ok(Vec::new()), servers::read)?;
        let named = listed.iter().enumerate();
        let places = named.clone().map(|(at, server)| (server.name.clone(), at)).collect();
        let places_small = named.map(|(at, server)| (server.name.to_lowercase(), at)).collect();
        Ok(Self { assumed, listed, places, places_small })
    }

    /// All that are in the list.
    pub fn listed(&self) -> &[Source] {
        &self.listed
    }

    /// By its name; Windows writes names in capitals whatever they are.
    pub fn find(&self, name: &str) -> Option<&Source> {
        let at = self.places.get(name).or_else(|| self.places_small.get(&name.to_lowercase()));
        at.map(|at| &self.listed[*at])
    }
}
