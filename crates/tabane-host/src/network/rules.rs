//! What guests may do on the wire, as rules of nftables.
//!
//! ```text
//!   guest ─► tap ─► bridge prerouting ─► other guests of the network
//!                        │ own MAC and address only, no DHCP server, no IPv6, no more than its limit
//!                        ├─► input:   the gateway's DHCP, DNS and ping; nothing else of the host
//!                        └─► forward ─► postrouting (masquerade) ─► the world
//!                              └─ not into other networks, not from the world unless it is an answer
//! ```
//!
//! What is on its way to a guest and beyond its limit is dropped where it would leave the bridge, as what the guest sends
//! is where it enters: senders slow down.
//!
//! A frame that passes by the bridge, which the standards ask for, goes nowhere (`past_the_bridge`).
//!
//! Invariant: the tables of an agent are replaced as a whole, in one transaction, by a text that follows from what is
//! written down (here.rs). A tap without rules is mute: what is not allowed is dropped. Every value in the text comes
//! from a type that cannot hold a word of the language.

use std::{collections::BTreeMap, fmt::Write};

use tabane_model::{Mac, Uid};

use super::{
    here::{Guest, Here},
    names, tool,
};
use crate::Result;

/// Of a piece that is cut into frames later, by the card or the receiver.
const LARGEST_BYTES: u64 = 64 << 10;

/// Makes this text the agent's rules.
pub async fn apply(text: &str) -> Result<()> {
    tool::run("nft", "nftables", &["-f".into(), "-".into()], text).await.map(drop)
}

/// Whether the agent's tables are there; somebody else may have flushed everything.
pub async fn are_there(agent: Uid) -> Result<bool> {
    let listed = tool::run("nft", "nftables", &["list".into(), "tables".into()], "").await?;
    let table = names::table(agent);
    let has = |family: &str| listed.lines().any(|line| line.trim() == format!("table {family} {table}"));
    Ok(has("inet") && has("bridge"))
}

/// All rules of an agent. Without networks there are none, and no tables.
pub fn text(agent: Uid, networks: &BTreeMap<Uid, Here>) -> String {
    let table = names::table(agent);
    let mut text = String::new();
    for family in ["inet", "bridge"] {
        // Only what exists can be deleted: hence it is made first.
        text += &format!("table {family} {table}\ndelete table {family} {table}\n");
    }
    if networks.is_empty() {
        return text;
    }
    let all: Vec<(String, &Here)> =
        networks.values().map(|here| (names::bridge(agent, here.uid), here)).collect();
    text += &format!("table inet {table} {{\n{}}}\n", routed(agent, &all));
    text += &format!("table bridge {table} {{\n{}}}\n", bridged(agent, &all));
    text
}

/// Traffic that leaves the bridge: to the host itself, or through it.
fn routed(agent: Uid, all: &[(String, &Here)]) -> String {
    // Frames to 01:80:c2:00:00:0x pass by the bridge and its rules, and arrive as if from the tap itself.
    let prefix = names::tap_prefix(agent);
    let bridges = list(all.iter().map(|(bridge, _)| format!("\"{bridge}\"")));
    let gateways = list(all.iter().map(|(bridge, here)| format!("\"{bridge}\" . {}", here.gateway())));
    let per_network = |rule: &dyn Fn(&str, &Here) -> String| -> String {
        all.iter().map(|(bridge, here)| format!("\t\t{}\n", rule(bridge, here))).collect()
    };
    // A host that filters bridged traffic as if it were routed must let neighbours talk.
    let neighbours = per_network(&|bridge, _| format!("iifname \"{bridge}\" oifname \"{bridge}\" accept"));
    let sources =
        per_network(&|bridge, here| format!("iifname \"{bridge}\" ip saddr != {} drop", here.range));
    let masquerades = per_network(&|bridge, here| {
        format!("oifname != \"{bridge}\" ip saddr {} ip daddr != 224.0.0.0/4 masquerade", here.range)
    });
    // 169.254.0.0/16 is never routed (RFC 3927), and in clouds hands out the credentials of the host.
    format!(
        "\tset bridges {{
		type ifname
		elements = {{ {bridges} }}
	}}
	set gateways {{
		type ifname . ipv4_addr
		elements = {{ {gateways} }}
	}}
	chain past_the_bridge {{
		type filter hook prerouting priority raw; policy accept;
		iifname \"{prefix}*\" drop
	}}
	chain input {{
		type filter hook input priority filter; policy accept;
		iifname @bridges jump to_host
	}}
	chain to_host {{
		meta nfproto != ipv4 drop
		ct state established,related accept
		ip daddr 255.255.255.255 udp dport 67 accept
		iifname . ip daddr @gateways udp dport {{ 53, 67 }} accept
		iifname . ip daddr @gateways tcp dport 53 accept
		iifname . ip daddr @gateways icmp type echo-request accept
		drop
	}}
	chain forward {{
		type filter hook forward priority filter; policy accept;
		iifname @bridges meta nfproto != ipv4 drop
{neighbours}{sources}		iifname @bridges ip daddr 169.254.0.0/16 drop
		oifname @bridges ct state established,related accept
		oifname @bridges drop
	}}
	chain postrouting {{
		type nat hook postrouting priority srcnat; policy accept;
{masquerades}	}}
"
    )
}

/// Traffic that enters the bridge from a tap, before the bridge learns from it.
fn bridged(agent: Uid, all: &[(String, &Here)]) -> String {
    let prefix = names::tap_prefix(agent);
    let guests: Vec<(String, &Guest)> = all
        .iter()
        .flat_map(|(_, here)| here.guests.iter().map(|g| (names::tap(agent, g.vm, &g.nic), g)))
        .collect();
    let choice = if guests.is_empty() {
        String::new()
    } else {
        let choices = list(guests.iter().map(|(tap, _)| format!("\"{tap}\" : goto nic_{tap}")));
        format!("\t\tiifname vmap {{ {choices} }}\n")
    };
    let mut text = format!(
        "\tchain prerouting {{
		type filter hook prerouting priority -300; policy accept;
		iifname \"{prefix}*\" jump from_guests
	}}
	chain from_guests {{
		ether type != {{ ip, arp }} drop
{choice}		drop
	}}
"
    );
    text += &to_guests(&guests);
    for (tap, guest) in guests {
        nic(&mut text, &tap, guest);
    }
    text
}

/// Limits of what guests get; nothing where there are none.
fn to_guests(guests: &[(String, &Guest)]) -> String {
    let limited = guests.iter().filter_map(|(tap, guest)| Some((tap, guest.limits.receive_bytes_per_s?)));
    let rules: String =
        limited.map(|(tap, rate)| format!("\t\toifname \"{tap}\" {}\n", beyond(rate))).collect();
    if rules.is_empty() {
        return rules;
    }
    format!(
        "\tchain to_guests {{\n\t\ttype filter hook postrouting priority 300; policy accept;\n{rules}\t}}\n"
    )
}

/// Drops what is beyond a rate. A tenth of a second may come at once; and no less than four of the largest pieces that
/// virtio hands over in one, which would never pass otherwise.
fn beyond(bytes_per_s: u64) -> String {
    let burst = (bytes_per_s / 10).clamp(4 * LARGEST_BYTES, u64::from(u32::MAX));
    format!("limit rate over {bytes_per_s} bytes/second burst {burst} bytes drop")
}

/// What one nic may send. DHCP names the sender once more inside of the message (RFC 2131, `chaddr`), where it must be
/// true as well; a fragment could hide it.
fn nic(text: &mut String, tap: &str, guest: &Guest) {
    let Guest { mac, address, .. } = guest;
    let limit =
        guest.limits.send_bytes_per_s.map(|rate| format!("\t\t{}\n", beyond(rate))).unwrap_or_default();
    let request = format!("udp dport 67 ip frag-off & 0x3fff == 0 @th,288,48 {}", number(*mac));
    let _ = write!(
        text,
        "\tchain nic_{tap} {{
		ether saddr != {mac} drop
{limit}		arp htype 1 arp ptype ip arp hlen 6 arp plen 4 arp saddr ether {mac} arp saddr ip {{ 0.0.0.0, {address} }} accept
		udp sport 67 drop
		udp dport 68 drop
		{request} ip saddr 0.0.0.0 ip daddr 255.255.255.255 accept
		{request} ip saddr {address} accept
		udp dport 67 drop
		ip saddr {address} accept
		drop
	}}
"
    );
}

fn number(mac: Mac) -> String {
    mac.0.iter().fold("0x".into(), |text, byte| format!("{text}{byte:02x}"))
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
