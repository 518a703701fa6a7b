//! Tests of networks: texts here, and real ones in `real.rs`.

mod bench;
mod guest;
mod real;

use std::collections::BTreeMap;

use tabane_model::{
    Mac, Meta, Name, Network, NetworkKind, NetworkSpec, Nic, NicLimits, Uid, Vm, VmSpec, api::Change,
};

use super::{
    here::{Guest, Here},
    names, rules,
};
use crate::objects::Objects;

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub fn here() -> Here {
    let mut here = Here {
        uid: Uid::from_u128(7),
        name: name("lab"),
        range: "10.30.0.0/24".parse().unwrap(),
        dns: Vec::new(),
        domain: Some(name("lab")),
        guests: Vec::new(),
    };
    for number in [2, 1] {
        here.add(Guest {
            vm: Uid::from_u128(100 + u128::from(number)),
            vm_name: name(&format!("web{number}")),
            nic: name("net0"),
            mac: Mac([0x52, 0x54, 0, 0, 0, number]),
            address: [10, 30, 0, 4 + number].into(),
            limits: Default::default(),
        });
    }
    here
}

pub fn network(text: &str, uid: u128, cidr: Option<&str>) -> Network {
    let mut meta = Meta::new(name(text));
    meta.uid = Uid::from_u128(uid);
    let cidr = cidr.map(|c| c.parse().unwrap());
    let kind = if cidr.is_some() { NetworkKind::Nat } else { NetworkKind::User };
    let spec = NetworkSpec { kind, cidr, domain: Some(name(text)), ..NetworkSpec::default() };
    Network { meta, spec, status: Default::default() }
}

/// A VM with one nic; its number makes its identity and MAC.
pub fn vm(text: &str, number: u8, network: &str, address: Option<&str>) -> Vm {
    let mut meta = Meta::new(name(text));
    meta.uid = Uid::from_u128(1000 + u128::from(number));
    let mut spec = VmSpec::new(1, 1 << 30);
    spec.nics.push(Nic {
        name: name("net0"),
        network: name(network),
        mac: Some(Mac([0x52, 0x54, 0, 0, 0, number])),
        address: address.map(|a| a.parse().unwrap()),
        forwards: Vec::new(),
        model: Default::default(),
        limits: Default::default(),
    });
    Vm { meta, spec, status: Default::default() }
}

pub fn put<T: tabane_model::Resource + serde::Serialize>(objects: &Objects, object: &T) {
    let change = Change::Put { kind: T::KIND, revision: 1, object: serde_json::to_value(object).unwrap() };
    objects.apply(change, &name("here")).unwrap();
}

pub fn gone<T: tabane_model::Resource>(objects: &Objects, text: &str) {
    objects.apply(Change::Gone { kind: T::KIND, revision: 1, name: name(text) }, &name("here")).unwrap();
}

pub fn synced(objects: &Objects) {
    objects.apply(Change::Synced { revision: 1 }, &name("here")).unwrap();
}

#[test]
fn the_rules_say_what_they_should() {
    let agent = Uid::from_u128(1);
    let mut other = here();
    other.uid = Uid::from_u128(8);
    other.range = "10.31.0.0/16".parse().unwrap();
    other.guests.clear();
    let networks = BTreeMap::from([(other.uid, other), (here().uid, here())]);
    assert_eq!(rules::text(agent, &networks), include_str!("rules.nft"));
}

#[test]
fn limits_stand_where_frames_pass() {
    let agent = Uid::from_u128(1);
    let mut here = here();
    here.guests[0].limits =
        NicLimits { receive_bytes_per_s: Some(50 << 20), send_bytes_per_s: Some(1 << 20) };
    let tap = names::tap(agent, here.guests[0].vm, &here.guests[0].nic);
    let text = rules::text(agent, &BTreeMap::from([(here.uid, here)]));
    let limits: Vec<&str> = text.lines().filter(|line| line.contains("limit rate")).map(str::trim).collect();
    // A large rate lets a tenth of a second through at once, a small one some whole pieces.
    let receive = format!("oifname \"{tap}\" limit rate over 52428800 bytes/second burst 5242880 bytes drop");
    assert_eq!(limits, [receive.as_str(), "limit rate over 1048576 bytes/second burst 262144 bytes drop"]);
}

#[test]
fn without_networks_only_the_deletion_remains() {
    let text = rules::text(Uid::from_u128(1), &BTreeMap::new());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(
        lines[0].starts_with("table inet tabane_") && lines[3].starts_with("delete table bridge tabane_")
    );
}

#[test]
fn nobody_loses_his_rules_while_the_server_is_away() {
    let network = network("lab", 7, Some("10.30.0.0/24"));
    let objects = Objects::default();
    put(&objects, &vm("db", 9, "lab", Some("10.30.0.9")));
    let before = here();
    let guests = |here: &Here| here.guests.iter().map(|g| g.vm_name.to_string()).collect::<Vec<_>>();
    let wanted = before.wanted(&network, &objects).unwrap();
    assert_eq!(guests(&wanted), ["web1", "web2", "db"]);
    synced(&objects);
    let wanted = wanted.wanted(&network, &objects).unwrap();
    assert_eq!(guests(&wanted), ["db"]);
}

#[test]
fn nics_that_would_harm_others_are_refused() {
    let here = here();
    let refused = |vm: &Vm| here.guest(vm, &vm.spec.nics[0]).unwrap_err().told();
    for address in ["10.30.0.1", "10.30.0.0", "10.30.0.255", "10.31.0.5", "fd00::5"] {
        assert!(
            refused(&vm("x", 3, "lab", Some(address))).contains("no address in 10.30.0.0/24"),
            "{address}"
        );
    }
    let mut gateway = vm("x", 3, "lab", Some("10.30.0.7"));
    gateway.spec.nics[0].mac = Some(super::names::bridge_mac(here.uid));
    assert!(refused(&gateway).contains("the MAC of its gateway"));
    let twin = vm("x", 1, "lab", Some("10.30.0.7"));
    let guest = here.guest(&twin, &twin.spec.nics[0]).unwrap();
    assert_eq!(here.rival(&guest).unwrap().vm_name, name("web1"));
}

#[test]
fn what_is_written_down_is_read_again() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("networks");
    assert!(super::here::load(&folder).unwrap().is_empty());
    here().save(&folder).unwrap();
    // Cut short before the file was written.
    let half = folder.join(Uid::from_u128(9).to_string());
    std::fs::create_dir(&half).unwrap();
    let read = super::here::load(&folder).unwrap();
    assert_eq!(read.into_values().collect::<Vec<_>>(), [here()]);
    assert!(!half.exists());
}
