//! Bridges, their addresses and their ports, through netlink (rtnetlink(7)).

use std::net::{IpAddr, Ipv4Addr};

use futures_util::TryStreamExt;
use ipnet::Ipv4Net;
use rtnetlink::{
    Handle, LinkBridge, LinkUnspec,
    packet_route::{
        address::AddressAttribute,
        link::{BridgeStpState, LinkAttribute, LinkFlags, LinkMessage},
    },
};
use tabane_model::Mac;

use super::tool;
use crate::{Error, Result};

/// A connection to the kernel. It ends when this is dropped.
pub struct Links(Handle);

/// A bridge that is to be.
pub struct Bridge<'a> {
    pub name: &'a str,
    pub mac: Mac,
    pub gateway: Ipv4Addr,
    pub range: Ipv4Net,
    /// For people who list the devices of the host.
    pub alias: String,
}

impl Links {
    pub fn open() -> Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()
            .map_err(|e| Error::Tool { tool: "netlink".into(), detail: e.to_string() })?;
        tokio::spawn(connection);
        Ok(Self(handle))
    }

    async fn get(&self, name: &str) -> Result<Option<LinkMessage>> {
        match self.0.link().get().match_name(name).execute().try_next().await {
            Ok(link) => Ok(link),
            Err(error) if errno(&error) == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(failed(format!("cannot look for the device {name}"), error)),
        }
    }

    /// Makes a bridge, or mends what is missing of it.
    pub async fn ensure_bridge(&self, bridge: &Bridge<'_>) -> Result<()> {
        let name = bridge.name;
        let found = match self.get(name).await? {
            Some(found) => found,
            None => self.add_bridge(bridge).await?,
        };
        let index = found.header.index;
        let net = Ipv4Net::new_assert(bridge.gateway, bridge.range.prefix_len());
        let addresses = self.addresses().await?;
        if !addresses.iter().any(|(at, address)| *at == index && *address == net) {
            self.check_overlap(bridge, index, &addresses).await?;
            let add = self.0.address().add(index, IpAddr::V4(bridge.gateway), bridge.range.prefix_len());
            add.execute().await.map_err(|e| failed(format!("cannot give {net} to {name}"), e))?;
        }
        // Guests speak IPv4 only; without this the host would listen to them on a link-local address of IPv6.
        sysctl(&format!("ipv6/conf/{name}/disable_ipv6"), "1", true)?;
        if !found.header.flags.contains(LinkFlags::Up) {
            let up = LinkUnspec::new_with_index(index).up().build();
            let set = self.0.link().set(up).execute().await;
            set.map_err(|e| failed(format!("cannot switch {name} on"), e))?;
        }
        Ok(())
    }

    async fn add_bridge(&self, bridge: &Bridge<'_>) -> Result<LinkMessage> {
        let name = bridge.name;
        let message = LinkBridge::new(name)
            .down()
            .address(bridge.mac.0.to_vec())
            // There is one bridge and no loop: ports carry traffic at once.
            .stp_state(BridgeStpState::Disabled)
            .forward_delay(0)
            // Frames to 01:80:c2:00:00:0x pass by all rules: their sender is whoever they say.
            .no_linklocal_learn(true)
            .build();
        self.0.link().add(message).execute().await.map_err(|error| match errno(&error) {
            Some(libc::EOPNOTSUPP) => Error::unfit(
                "the kernel makes no bridges",
                "load its module: `modprobe bridge`, or use a network of kind user",
            ),
            _ => failed(format!("cannot make the bridge {name}"), error),
        })?;
        let made = self.get(name).await?.ok_or_else(|| Error::Tool {
            tool: "netlink".into(),
            detail: format!("the bridge {name} vanished as soon as it was made"),
        })?;
        let alias = LinkUnspec::new_with_index(made.header.index).alias(bridge.alias.clone()).build();
        let set = self.0.link().set(alias).execute().await;
        set.map_err(|e| failed(format!("cannot name the bridge {name}"), e))?;
        Ok(made)
    }

    async fn addresses(&self) -> Result<Vec<(u32, Ipv4Net)>> {
        let told = |error| failed("cannot list the addresses of the host".into(), error);
        let messages: Vec<_> = self.0.address().get().execute().try_collect().await.map_err(told)?;
        let nets = messages.iter().filter_map(|message| {
            let local = message.attributes.iter().find_map(|a| match a {
                AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
                _ => None,
            })?;
            Some((message.header.index, Ipv4Net::new(local, message.header.prefix_len).ok()?))
        });
        Ok(nets.collect())
    }

    /// A range that the host already lives in would cut the host off from its neighbours.
    async fn check_overlap(&self, bridge: &Bridge<'_>, own: u32, addresses: &[(u32, Ipv4Net)]) -> Result<()> {
        let range = bridge.range;
        let overlaps = |net: &Ipv4Net| net.contains(&range.network()) || range.contains(&net.network());
        let Some((index, net)) = addresses.iter().find(|(at, net)| *at != own && overlaps(&net.trunc()))
        else {
            return Ok(());
        };
        let found = self.0.link().get().match_index(*index).execute().try_next().await.ok().flatten();
        let device = found.and_then(|link| name_of(&link)).unwrap_or_else(|| format!("device {index}"));
        Err(Error::unfit(
            format!("the range {range} overlaps with {net}, which {device} of this host has"),
            "make a network with another range, for example out of 10.0.0.0/8",
        ))
    }

    /// Puts a tap on a bridge and switches it on.
    pub async fn attach(&self, tap: &str, bridge: &str) -> Result<()> {
        let missing = |name: &str| Error::NotYet(format!("the device {name} has vanished"));
        let port = self.get(tap).await?.ok_or_else(|| missing(tap))?;
        let to = self.get(bridge).await?.ok_or_else(|| missing(bridge))?;
        sysctl(&format!("ipv6/conf/{tap}/disable_ipv6"), "1", true)?;
        let message = LinkUnspec::new_with_index(port.header.index).controller(to.header.index).up().build();
        let set = self.0.link().set(message).execute().await;
        set.map_err(|e| failed(format!("cannot put {tap} on the bridge {bridge}"), e))
    }

    /// Removes a device; one that is not there is no error.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let Some(link) = self.get(name).await? else { return Ok(()) };
        match self.0.link().del(link.header.index).execute().await {
            Err(error) if errno(&error) != Some(libc::ENODEV) => {
                Err(failed(format!("cannot remove {name}"), error))
            }
            _ => Ok(()),
        }
    }
}

fn name_of(link: &LinkMessage) -> Option<String> {
    link.attributes.iter().find_map(|a| match a {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })
}

fn errno(error: &rtnetlink::Error) -> Option<i32> {
    match error {
        rtnetlink::Error::NetlinkError(message) => Some(message.raw_code().abs()),
        _ => None,
    }
}

fn failed(what: String, error: rtnetlink::Error) -> Error {
    match errno(&error) {
        Some(libc::EPERM | libc::EACCES) => tool::no_rights(format!("{what}: it is not permitted")),
        Some(code) => {
            let detail = format!("{what}: {}", std::io::Error::from_raw_os_error(code));
            Error::Tool { tool: "netlink".into(), detail }
        }
        None => Error::Tool { tool: "netlink".into(), detail: format!("{what}: {error}") },
    }
}

/// Sets a value below `/proc/sys/net` unless it is set. `optional`: kernels that lack it need it for nothing.
pub fn sysctl(name: &str, value: &str, optional: bool) -> Result<()> {
    let path = std::path::Path::new("/proc/sys/net").join(name);
    match std::fs::read_to_string(&path) {
        Ok(now) if now.trim() == value => return Ok(()),
        Err(error) if optional && error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        _ => {}
    }
    std::fs::write(&path, value).map_err(|error| match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES | libc::EROFS) => {
            tool::no_rights(format!("cannot set {}: {error}", path.display()))
        }
        _ => Error::file("set", path)(error),
    })
}
