//! Ports of the host that lead into a guest. QEMU opens them itself, and says little when it cannot.

use std::{
    collections::BTreeSet,
    fmt,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
};

use tabane_model::{Forward, Name, Nic, Protocol, Uid, Vm};

use crate::{Error, Result, objects::Objects};

/// Checks that QEMU will be able to open the ports of a nic. Errors: [`Error::Unfit`] that names the port and, where
/// that can be known, who has it.
pub fn check(objects: &Objects, vm: &Vm, nic: &Nic) -> Result<()> {
    let others: Vec<&Forward> =
        vm.spec.nics.iter().filter(|n| n.name != nic.name).flat_map(|n| &n.forwards).collect();
    for (i, forward) in nic.forwards.iter().enumerate() {
        if nic.forwards[..i].iter().chain(others.iter().copied()).any(|f| clash(f, forward)) {
            return Err(Error::unfit(
                format!("the VM forwards {} twice", told(forward)),
                "give each forward a port of its own",
            ));
        }
        if forward.host_port < first_free_port() {
            return Err(Error::unfit(
                format!("{} is for programs with rights, which QEMU has not", told(forward)),
                "forward a port of 1024 or above",
            ));
        }
        try_port(forward).map_err(|error| explain(objects, vm.meta.uid, forward, &error))?;
    }
    Ok(())
}

fn address(forward: &Forward) -> IpAddr {
    forward.host_address.unwrap_or(Ipv4Addr::LOCALHOST.into())
}

fn told(forward: &Forward) -> impl fmt::Display {
    format!("{} port {} of {}", forward.protocol, forward.host_port, address(forward))
}

fn clash(one: &Forward, two: &Forward) -> bool {
    let (a, b) = (address(one), address(two));
    let same_place = a == b || a.is_unspecified() || b.is_unspecified();
    (one.protocol, one.host_port) == (two.protocol, two.host_port) && same_place
}

fn first_free_port() -> u16 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024)
}

fn try_port(forward: &Forward) -> std::io::Result<()> {
    let at = SocketAddr::new(address(forward), forward.host_port);
    match forward.protocol {
        Protocol::Tcp => TcpListener::bind(at).map(drop),
        Protocol::Udp => UdpSocket::bind(at).map(drop),
    }
}

fn explain(objects: &Objects, vm: Uid, forward: &Forward, error: &std::io::Error) -> Error {
    let port = told(forward);
    match error.kind() {
        ErrorKind::AddrInUse => {
            let holder = other_vm(objects, vm, forward)
                .map(|name| format!(", perhaps by the VM {name}, which forwards it too"))
                .or_else(|| process(forward).map(|process| format!(" by {process}")))
                .unwrap_or_default();
            Error::unfit(format!("{port} is in use{holder}"), "forward another port, or free this one")
        }
        ErrorKind::AddrNotAvailable => Error::unfit(
            format!("this host does not have the address {}", address(forward)),
            "leave `host_address` out for loopback, or use 0.0.0.0 for all addresses",
        ),
        _ => Error::unfit(format!("{port} cannot be opened: {error}"), "forward another port"),
    }
}

fn other_vm(objects: &Objects, vm: Uid, forward: &Forward) -> Option<Name> {
    let forwards = |other: &Vm| other.spec.nics.iter().flat_map(|n| &n.forwards).any(|f| clash(f, forward));
    let mut names: Vec<Name> = objects
        .vms()
        .into_iter()
        .filter(|other| other.meta.uid != vm && forwards(other))
        .map(|other| other.meta.name.clone())
        .collect();
    names.sort();
    names.into_iter().next()
}

/// The process with a socket on the port, as far as we may see.
fn process(forward: &Forward) -> Option<String> {
    let tables = match forward.protocol {
        Protocol::Tcp => ["tcp", "tcp6"],
        Protocol::Udp => ["udp", "udp6"],
    };
    let listening = matches!(forward.protocol, Protocol::Tcp);
    let sockets: BTreeSet<String> = tables
        .iter()
        .filter_map(|table| std::fs::read_to_string(format!("/proc/thread-self/net/{table}")).ok())
        .flat_map(|text| sockets(&text, forward.host_port, listening))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if sockets.is_empty() {
        return None;
    }
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let handles = std::fs::read_dir(entry.path().join("fd")).ok()?;
        let has = |path: std::path::PathBuf| {
            std::fs::read_link(path).is_ok_and(|to| to.to_str().is_some_and(|to| sockets.contains(to)))
        };
        if !handles.flatten().any(|handle| has(handle.path())) {
            return None;
        }
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
        Some(format!("process {pid} ({name})"))
    })
}

/// Inodes of the sockets on a port in a table such as `/proc/net/tcp`, see proc(5).
fn sockets(table: &str, port: u16, listening: bool) -> Vec<u64> {
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local) = fields.get(1)?.rsplit_once(':')?;
        let matches = u16::from_str_radix(local, 16) == Ok(port) && (!listening || *fields.get(3)? == "0A");
        matches.then(|| fields.get(9)?.parse().ok()).flatten()
    };
    table.lines().skip(1).filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::vm, *};

    fn forward(protocol: Protocol, host_port: u16) -> Forward {
        Forward { protocol, host_address: None, host_port, guest_port: 22 }
    }

    fn refusal(objects: &Objects, vm: &Vm) -> String {
        check(objects, vm, &vm.spec.nics[0]).unwrap_err().told()
    }

    #[test]
    fn a_port_in_use_is_named_with_its_holder() {
        let objects = Objects::default();
        let mut vm = vm("web1", 1, "default", None);
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let (tcp, udp);
            let port = if protocol == Protocol::Tcp {
                tcp = TcpListener::bind("127.0.0.1:0").unwrap();
                tcp.local_addr().unwrap().port()
            } else {
                udp = UdpSocket::bind("127.0.0.1:0").unwrap();
                udp.local_addr().unwrap().port()
            };
            vm.spec.nics[0].forwards = vec![forward(protocol, port)];
            let told = refusal(&objects, &vm);
            assert!(
                told.contains(&format!("{protocol} port {port} of 127.0.0.1 is in use by process ")),
                "{told}"
            );
            assert!(told.contains(&format!("process {} (", std::process::id())), "{told}");
        }
    }

    #[test]
    fn free_ports_pass_and_impossible_ones_are_explained() {
        let objects = Objects::default();
        let mut vm = vm("web1", 1, "default", None);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        vm.spec.nics[0].forwards = vec![forward(Protocol::Tcp, port), forward(Protocol::Udp, port)];
        check(&objects, &vm, &vm.spec.nics[0]).unwrap();
        vm.spec.nics[0].forwards.push(forward(Protocol::Tcp, port));
        assert!(refusal(&objects, &vm).contains("twice"));
        vm.spec.nics[0].forwards = vec![forward(Protocol::Tcp, 80)];
        assert!(refusal(&objects, &vm).contains("with rights"));
        vm.spec.nics[0].forwards = vec![Forward {
            host_address: Some("198.51.100.7".parse().unwrap()),
            ..forward(Protocol::Tcp, port)
        }];
        assert!(refusal(&objects, &vm).contains("does not have the address 198.51.100.7"));
    }
}
