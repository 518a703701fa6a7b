//! Networks that nics of VMs are plugged into.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Faults, Kind, Name,
    resource::{resource, words},
};

/// The network that the first start makes.
pub const DEFAULT_NETWORK: &str = "default";

resource!(
    /// A network that nics of VMs are plugged into.
    Network, Kind::Network, NetworkSpec, NetworkStatus,
    validate: NetworkSpec::validate,
    phase: |network| if network.meta.deleted_at.is_some() { "deleting" }
        else if network.status.hosts.values().any(|h| !h.ready) { "failed" } else { "ready" },
);

words!(NetworkKind {
    /// Inside QEMU, without privileges: out to the world, in by forwarded ports.
    #[default]
    User = "user",
    /// A bridge on each host, with DHCP, DNS and masquerading.
    Nat = "nat",
});

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    #[serde(default)]
    pub kind: NetworkKind,
    /// IPv4 range, for kind `nat`; its first address is the gateway's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub cidr: Option<Ipv4Net>,
    /// Name servers to forward to; the host's own when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub dns: Vec<IpAddr>,
    /// Domain of the guests' names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Name>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NetworkStatus {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, NetworkOnHost>)]
    pub hosts: BTreeMap<Name, NetworkOnHost>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NetworkOnHost {
    pub ready: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
}

impl NetworkSpec {
    fn validate(&self, faults: &mut Faults) {
        match (self.kind, self.cidr) {
            (NetworkKind::Nat, None) => {
                faults.add("spec.cidr", "a nat network needs a range", "for example 10.30.0.0/24");
            }
            (NetworkKind::User, Some(_)) => {
                faults.add(
                    "spec.cidr",
                    "a user network has no range of its own",
                    "leave it out, or use kind nat",
                );
            }
            (NetworkKind::Nat, Some(net)) => {
                if !(16..=29).contains(&net.prefix_len()) {
                    faults.add(
                        "spec.cidr",
                        format!("/{} is too large or too small", net.prefix_len()),
                        "use /16 to /29",
                    );
                }
                if net.trunc() != net {
                    faults.add("spec.cidr", format!("{net} has host bits"), format!("write {}", net.trunc()));
                }
                if net.addr().is_loopback() || net.addr().is_multicast() || net.addr().is_unspecified() {
                    faults.add(
                        "spec.cidr",
                        format!("{net} cannot be used by guests"),
                        "use a private range (RFC 1918)",
                    );
                }
            }
            (NetworkKind::User, None) => {}
        }
        if self.dns.len() > 8 {
            faults.add("spec.dns", "more than 8 name servers", "use 8 at most");
        }
    }
}
