//! The one form of all objects, and the list of their kinds.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

use crate::{Faults, Meta};

/// The kinds of objects that the API serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Vm,
    Image,
    Disk,
    Pool,
    Network,
    Host,
    Event,
    Token,
    Snapshot,
    Flavor,
    Survey,
    Plan,
    Wave,
    Collection,
}

impl Kind {
    pub const ALL: [Self; 14] = [
        Self::Vm,
        Self::Image,
        Self::Disk,
        Self::Pool,
        Self::Network,
        Self::Host,
        Self::Event,
        Self::Token,
        Self::Snapshot,
        Self::Flavor,
        Self::Survey,
        Self::Plan,
        Self::Wave,
        Self::Collection,
    ];

    pub fn singular(self) -> &'static str {
        match self {
            Self::Vm => "vm",
            Self::Image => "image",
            Self::Disk => "disk",
            Self::Pool => "pool",
            Self::Network => "network",
            Self::Host => "host",
            Self::Event => "event",
            Self::Token => "token",
            Self::Snapshot => "snapshot",
            Self::Flavor => "flavor",
            Self::Survey => "survey",
            Self::Plan => "plan",
            Self::Wave => "wave",
            Self::Collection => "collection",
        }
    }

    /// As in `/v1/vms` and in the store's keys.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Vm => "vms",
            Self::Image => "images",
            Self::Disk => "disks",
            Self::Pool => "pools",
            Self::Network => "networks",
            Self::Host => "hosts",
            Self::Event => "events",
            Self::Token => "tokens",
            Self::Snapshot => "snapshots",
            Self::Flavor => "flavors",
            Self::Survey => "surveys",
            Self::Plan => "plans",
            Self::Wave => "waves",
            Self::Collection => "collections",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.singular())
    }
}

impl FromStr for Kind {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|k| k.singular() == text || k.plural() == text).ok_or(())
    }
}

/// An object of the API: `{meta, spec, status}`.
pub trait Resource:
    Clone + fmt::Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    const KIND: Kind;
    type Spec: Clone + fmt::Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync;
    type Status: Clone + fmt::Debug + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync;

    fn new(meta: Meta, spec: Self::Spec) -> Self;
    fn meta(&self) -> &Meta;
    fn meta_mut(&mut self) -> &mut Meta;
    fn spec(&self) -> &Self::Spec;
    fn spec_mut(&mut self) -> &mut Self::Spec;
    fn status(&self) -> &Self::Status;
    fn status_mut(&mut self) -> &mut Self::Status;
    /// Judges the spec by itself, without other objects.
    fn validate(&self, faults: &mut Faults);
    /// A word for the table view and for the field selector `phase=`.
    fn phase(&self) -> &'static str;
    /// The host that this object is bound to, if there is one: the field selector `host=`.
    fn host(&self) -> Option<&crate::Name> {
        None
    }
    /// The VM that this object belongs to, if there is one: the field selector `vm=`.
    fn vm(&self) -> Option<&crate::Name> {
        None
    }
}

/// Declares an object of the API from its spec and status types.
macro_rules! resource {
    ($(#[$doc:meta])* $object:ident, $kind:expr, $spec:ty, $status:ty, validate: $validate:expr, phase: $phase:expr
     $(, host: $host:expr)? $(, vm: $vm:expr)? $(,)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $object {
            pub meta: $crate::Meta,
            pub spec: $spec,
            #[serde(default)]
            pub status: $status,
        }

        impl $crate::Resource for $object {
            const KIND: $crate::Kind = $kind;
            type Spec = $spec;
            type Status = $status;
            fn new(meta: $crate::Meta, spec: $spec) -> Self {
                Self { meta, spec, status: Default::default() }
            }
            fn meta(&self) -> &$crate::Meta {
                &self.meta
            }
            fn meta_mut(&mut self) -> &mut $crate::Meta {
                &mut self.meta
            }
            fn spec(&self) -> &$spec {
                &self.spec
            }
            fn spec_mut(&mut self) -> &mut $spec {
                &mut self.spec
            }
            fn status(&self) -> &$status {
                &self.status
            }
            fn status_mut(&mut self) -> &mut $status {
                &mut self.status
            }
            fn validate(&self, faults: &mut $crate::Faults) {
                let judge: fn(&$spec, &mut $crate::Faults) = $validate;
                faults.labels(&self.meta.labels);
                judge(&self.spec, faults);
            }
            fn phase(&self) -> &'static str {
                let phase: fn(&Self) -> &'static str = $phase;
                phase(self)
            }
            $(fn host(&self) -> Option<&$crate::Name> {
                let host: fn(&Self) -> Option<&$crate::Name> = $host;
                host(self)
            })?
            $(fn vm(&self) -> Option<&$crate::Name> {
                let vm: fn(&Self) -> Option<&$crate::Name> = $vm;
                vm(self)
            })?
        }
    };
}
pub(crate) use resource;

/// Declares an enum of plain words, with the words as text.
/// The words are single tokens, not literals of a macro: other macros that read them would not see through those.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$wdoc:meta])* $word:ident = $text:tt),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize,
                 serde::Deserialize, utoipa::ToSchema)]
        pub enum $name {
            $($(#[$wdoc])* #[serde(rename = $text)] $word,)+
        }
        impl $name {
            pub const WORDS: &[&str] = &[$($text),+];
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$word => $text,)+ }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$word),)+
                    _ => Err(format!("expected one of: {}", Self::WORDS.join(", "))),
                }
            }
        }
    };
}
pub(crate) use words;
