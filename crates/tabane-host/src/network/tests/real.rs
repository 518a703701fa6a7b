//! Networks as they are: with bridges, taps, rules, name servers and guests.

use std::time::{Duration, Instant};

use tabane_model::{Mac, Network, Vm};
use tabane_qemu::process::ProcessId;

use super::{
    super::tool,
    bench::{Bench, on_a_host, sh},
    gone,
    guest::Place,
    name, network, put, vm,
};

const SOON: Duration = Duration::from_secs(5);
/// Long enough for what should not come.
const NEVER: Duration = Duration::from_millis(500);

fn lab() -> Network {
    network("lab", 70, Some("10.30.0.0/24"))
}

fn web(number: u8) -> Vm {
    vm(&format!("web{number}"), number, "lab", Some(&format!("10.30.0.{}", 4 + number)))
}

async fn until(what: &str, is_true: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn has_link(name: &str) -> bool {
    sh("ip -br link").contains(name)
}

#[test]
fn a_network_is_made_once_and_adopted() {
    on_a_host(async |mut bench: Bench| {
        let lab = lab();
        bench.learns(&[&lab]);
        let bridge = bench.bridge(&lab);
        let start = Instant::now();
        bench.ensure("lab").await.unwrap();
        let first = start.elapsed();
        let server = bench.server(&lab).expect("it serves");
        let told = sh(&format!("ip -d addr show {bridge}"));
        assert!(told.contains("inet 10.30.0.1/24") && told.contains("stp_state 0"), "{told}");
        assert!(told.contains("link/ether 02:") && !told.contains("inet6"), "{told}");
        assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap().trim(), "1");
        let rules = sh("nft list ruleset");
        let start = Instant::now();
        bench.ensure("lab").await.unwrap();
        eprintln!("made in {first:?}, found ready in {:?}", start.elapsed());
        bench.restart();
        bench.ensure("lab").await.unwrap();
        bench.sync().await;
        assert_eq!(bench.server(&lab), Some(server), "adopted");
        assert_eq!(sh("nft list ruleset"), rules);
        // Somebody has reloaded the host's own firewall.
        sh("nft flush ruleset");
        bench.sync().await;
        assert_eq!(sh("nft list ruleset"), rules);
        // Somebody has taken the bridge away.
        sh(&format!("ip link del {bridge}"));
        bench.sync().await;
        assert!(sh(&format!("ip addr show {bridge}")).contains("10.30.0.1/24"));
    });
}

#[test]
fn guests_get_addresses_names_and_the_world() {
    on_a_host(async |bench: Bench| {
        bench.learns(&[&lab()]);
        let (one, two) = (bench.guest(&web(1)).await, bench.guest(&web(2)).await);
        let lease = one.dhcp(&bench.script()).expect("an address");
        assert!(lease.contains("ip=10.30.0.5 mask=24 router=10.30.0.1 dns=10.30.0.1 domain=lab"), "{lease}");
        assert!(lease.contains("hostname=web1"), "{lease}");
        assert!(two.dhcp(&bench.script()).expect("an address").contains("ip=10.30.0.6 "));
        for asked in ["web2", "web2.lab"] {
            assert!(
                one.place.sh(&format!("busybox nslookup {asked} 10.30.0.1")).contains("10.30.0.6"),
                "{asked}"
            );
        }
        assert!(one.place.sh("busybox nslookup 10.30.0.6 10.30.0.1").contains("web2.lab"));
        let (known, said) = one.place.try_sh("busybox nslookup nobody.lab 10.30.0.1");
        assert!(!known && said.contains("NXDOMAIN"), "{said}");
        one.place.sh("busybox ping -c1 -W5 10.30.0.6");
        one.place.sh("busybox ping -c1 -W5 10.30.0.1");

        // A machine out in the world, which knows no way back to the guests: answers prove the masquerade.
        let world = Place::new();
        sh(
            "ip link add out type veth peer name in && ip addr add 203.0.113.1/24 dev out && ip link set out up",
        );
        sh(&format!("ip link set in netns {}", world.tid));
        world.sh("ip addr add 203.0.113.2/24 dev in && ip link set in up");
        one.place.sh("busybox ping -c1 -W5 203.0.113.2");
        // It cannot begin a talk with a guest, even if it knows the way; neighbours of the host are hostile too.
        world.sh("ip route add 10.30.0.0/24 via 203.0.113.1");
        assert!(!world.try_sh("busybox ping -c1 -W1 10.30.0.5").0);
        // Nor does a guest reach what else the host serves, on whatever address.
        let service = std::net::TcpListener::bind("0.0.0.0:8080").unwrap();
        for address in ["10.30.0.1", "203.0.113.1"] {
            let (open, said) =
                one.place.try_sh(&format!("busybox timeout 5 busybox nc -w 1 {address} 8080 </dev/null"));
            assert!(!open, "{address}: {said}");
        }
        std::net::TcpStream::connect("127.0.0.1:8080").expect("the port is open");
        drop(service);
        assert!(!one.place.try_sh("busybox ping -c1 -W1 203.0.113.1").0);
    });
}

#[test]
fn an_unknown_or_borrowed_mac_gets_nothing() {
    on_a_host(async |bench: Bench| {
        bench.learns(&[&lab()]);
        let (one, two) = (bench.guest(&web(1)).await, bench.guest(&web(2)).await);
        for wrong in ["52:54:00:00:00:99", "52:54:00:00:00:02"] {
            one.place.sh(&format!("ip link set eth0 down; ip link set eth0 address {wrong} up"));
            assert_eq!(one.dhcp(&bench.script()), None, "{wrong}");
        }
        assert!(two.dhcp(&bench.script()).is_some());
    });
}

fn ip(from: Mac, source: [u8; 4], to: [u8; 4], ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(from.0);
    frame.extend([8, 0, 0x45, 0]);
    frame.extend(u16::try_from(28 + payload.len()).unwrap().to_be_bytes());
    frame.extend([0, 1, 0, 0, 64, 17, 0, 0]);
    frame.extend(source);
    frame.extend(to);
    let sum = frame[14..34].chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum::<u32>();
    let sum = !(((sum >> 16) + (sum & 0xffff)) as u16);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.extend(ports.0.to_be_bytes());
    frame.extend(ports.1.to_be_bytes());
    frame.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}

fn arp(from: Mac, inside: Mac, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(from.0);
    frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
    frame.extend(inside.0);
    frame.extend(sender);
    frame.extend([0; 6]);
    frame.extend(target);
    frame
}

/// The start of a DHCP message with this MAC inside.
fn bootp(mac: Mac) -> Vec<u8> {
    let mut bytes = vec![0; 240];
    bytes[..3].copy_from_slice(&[1, 1, 6]);
    bytes[28..34].copy_from_slice(&mac.0);
    bytes.extend(b"@dhcp-request@");
    bytes
}

#[test]
fn a_hostile_guest_cannot_pass_for_another() {
    on_a_host(async |bench: Bench| {
        let lab = lab();
        bench.learns(&[&lab]);
        let (evil, other) = (bench.guest(&web(1)).await, bench.guest(&web(2)).await);
        let (own, foreign) = (Mac([0x52, 0x54, 0, 0, 0, 1]), Mac([0x52, 0x54, 0, 0, 0, 2]));
        let (at, to, gateway) = ([10, 30, 0, 5], [10, 30, 0, 255], [10, 30, 0, 1]);
        let vlan = |mut frame: Vec<u8>| {
            frame.splice(12..12, [0x81, 0, 0, 1]);
            frame
        };
        let fragment = |mut frame: Vec<u8>| {
            // "More fragments", and the checksum follows.
            frame[20] |= 0x20;
            let sum = u16::from_be_bytes([frame[24], frame[25]]);
            frame[24..26].copy_from_slice(&(sum - 0x2000).to_be_bytes());
            frame
        };
        let mut six = vec![0xff; 6];
        six.extend(own.0);
        six.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 59, 64]);
        six.extend([0xfe; 32]);
        six.extend(b"@ipv6@");
        let broadcast = [255; 4];
        let spoofs: Vec<(&str, Vec<u8>)> = vec![
            ("@mac@", ip(foreign, at, to, (9, 9), b"@mac@")),
            ("@gateway@", ip(own, gateway, to, (9, 9), b"@gateway@")),
            ("@neighbour@", ip(own, [10, 30, 0, 6], to, (9, 9), b"@neighbour@")),
            ("@nobody@", ip(own, [0; 4], to, (9, 9), b"@nobody@")),
            ("@vlan@", vlan(ip(own, [10, 30, 0, 6], to, (9, 9), b"@vlan@"))),
            ("@own-vlan@", vlan(ip(own, at, to, (9, 9), b"@own-vlan@"))),
            ("@server@", ip(own, at, broadcast, (67, 68), b"@server@")),
            ("@odd-server@", ip(own, at, broadcast, (4000, 68), b"@odd-server@")),
            ("@ipv6@", six),
            ("@dhcp-request@", ip(own, [0; 4], broadcast, (68, 67), &bootp(foreign))),
            ("@dhcp-request@", fragment(ip(own, at, broadcast, (68, 67), &bootp(own)))),
        ];
        for (marker, frame) in &spoofs {
            evil.inject(frame);
            assert!(!other.sees(marker.as_bytes(), NEVER), "{marker} came through");
        }
        for (inside, sender) in
            [(foreign, at), (own, gateway), (own, [10, 30, 0, 6]), (foreign, [10, 30, 0, 6])]
        {
            evil.inject(&arp(own, inside, sender, [10, 30, 0, 250]));
        }
        assert!(!other.sees(&[10, 30, 0, 250], NEVER), "a false ARP answer came through");
        // Frames for the bridge itself pass by its rules: they must not teach it where others are, nor reach the host.
        let service = std::net::UdpSocket::bind("0.0.0.0:8081").unwrap();
        service.set_read_timeout(Some(NEVER)).unwrap();
        for last in [0, 3, 0x0e] {
            for from in [own, foreign] {
                let mut frame = ip(from, at, gateway, (9, 8081), b"@stp@");
                frame[..6].copy_from_slice(&[1, 0x80, 0xc2, 0, 0, last]);
                evil.inject(&frame);
            }
            assert!(service.recv(&mut [0; 99]).is_err(), "the host was reached by 01:80:c2:00:00:{last:02x}");
            let learnt = sh(&format!("bridge fdb show dev {}", bench.tap(&web(1))));
            assert!(!learnt.contains(&foreign.to_string()), "{last}: {learnt}");
        }

        // And the same ways are open to what is true.
        evil.inject(&ip(own, at, to, (9, 9), b"@true@"));
        assert!(other.sees(b"@true@", SOON));
        evil.inject(&ip(own, [0; 4], broadcast, (68, 67), &bootp(own)));
        assert!(other.sees(b"@dhcp-request@", SOON));
        evil.inject(&arp(own, own, at, [10, 30, 0, 251]));
        assert!(other.sees(&[10, 30, 0, 251], SOON));
    });
}

#[test]
fn networks_are_apart() {
    on_a_host(async |bench: Bench| {
        let far = network("far", 71, Some("10.31.0.0/24"));
        bench.learns(&[&lab(), &far]);
        let one = bench.addressed(&web(1)).await;
        let two = bench.addressed(&vm("db", 9, "far", Some("10.31.0.9"))).await;
        for (guest, own, other) in [(&one, "10.30.0.1", "10.31.0"), (&two, "10.31.0.1", "10.30.0")] {
            guest.place.sh(&format!("busybox ping -c1 -W5 {own}"));
            let there = if other == "10.31.0" { 9 } else { 5 };
            for last in [1, there] {
                assert!(
                    !guest.place.try_sh(&format!("busybox ping -c1 -W1 {other}.{last}")).0,
                    "{other}.{last}"
                );
            }
        }
        let (known, said) = one.place.try_sh("busybox nslookup db 10.30.0.1");
        assert!(!known, "{said}");
        // A third that wants the range of the first is refused, and says why.
        put(&bench.objects, &network("near", 72, Some("10.30.0.0/16")));
        let told = bench.ensure("near").await.unwrap_err().told();
        assert!(told.contains("10.30.0.0/16 overlaps with 10.30.0.1/24"), "{told}");
    });
}

#[test]
fn a_dead_name_server_comes_back() {
    on_a_host(async |bench: Bench| {
        let lab = lab();
        bench.learns(&[&lab]);
        let one = bench.guest(&web(1)).await;
        let kill = || {
            let server = bench.server(&lab).expect("it serves");
            sh(&format!("kill -9 {server}"));
            server
        };
        let first = kill();
        // Its memory, and with it its command line, goes before the process does.
        let has_ended = |pid: i32| ProcessId::of(pid.cast_unsigned()).is_err();
        until("the end", || has_ended(first)).await;
        bench.sync().await;
        let second = bench.server(&lab).expect("started again by sync");
        assert_ne!(first, second);
        assert!(one.dhcp(&bench.script()).is_some());
        kill();
        until("one that nobody asked for", || bench.server(&lab).is_some_and(|s| s != second)).await;
        assert!(one.dhcp(&bench.script()).is_some());
    });
}

#[test]
fn reservations_follow_the_vms() {
    on_a_host(async |bench: Bench| {
        let lab = lab();
        bench.learns(&[&lab]);
        let one = bench.guest(&web(1)).await;
        assert!(one.dhcp(&bench.script()).is_some());
        let server = bench.server(&lab);
        put(&bench.objects, &web(2));
        bench.sync().await;
        assert_eq!(bench.server(&lab), server, "a new guest is no reason to stop serving");
        until("the name", || one.place.try_sh("busybox nslookup web2 10.30.0.1").0).await;
        // The VM goes, and its address to another, while the lease still runs.
        bench.networks.unplug(web(1).meta.uid, &name("net0")).await.unwrap();
        assert!(!has_link(&bench.tap(&web(1))));
        gone::<Vm>(&bench.objects, "web1");
        let heir = vm("heir", 3, "lab", Some("10.30.0.5"));
        let three = bench.guest(&heir).await;
        let lease = three.dhcp(&bench.script()).expect("the address is free again");
        assert!(lease.contains("ip=10.30.0.5 ") && lease.contains("hostname=heir"), "{lease}");
        let rules = sh("nft list ruleset");
        assert!(rules.contains(&bench.tap(&heir)) && !rules.contains(&bench.tap(&web(1))));
        let twin = vm("twin", 3, "lab", Some("10.30.0.77"));
        let mut twin = Vm { meta: twin.meta, ..twin };
        twin.meta.uid = tabane_model::Uid::from_u128(5);
        let told =
            bench.networks.plug(&bench.objects, &twin, &twin.spec.nics[0], 10).await.unwrap_err().told();
        assert!(told.contains("has the MAC or address of one of the VM heir"), "{told}");
    });
}

#[test]
fn a_network_that_is_gone_leaves_nothing() {
    on_a_host(async |mut bench: Bench| {
        let lab = lab();
        bench.learns(&[&lab]);
        let handle = bench.plug(&web(1)).await;
        let tap = bench.tap(&web(1));
        assert!(has_link(&tap));
        drop(handle);
        assert!(!has_link(&tap), "it goes with its QEMU");
        let _handle = bench.plug(&web(1)).await;
        let _again = bench.plug(&web(1)).await;
        assert!(has_link(&tap), "plugged again over what was there");

        // The server is lost: nothing is taken away.
        bench.restart();
        bench.objects = crate::objects::Objects::default();
        bench.sync().await;
        assert!(has_link(&tap) && bench.server(&lab).is_some());
        assert!(sh("nft list ruleset").contains(&tap));

        let server = bench.server(&lab).unwrap();
        super::synced(&bench.objects);
        bench.sync().await;
        let links = sh("ip -br link");
        assert_eq!(links.lines().filter(|l| !l.starts_with("lo ")).count(), 0, "{links}");
        assert_eq!(sh("nft list ruleset"), "");
        assert!(!bench.folder(&lab).exists());
        let command = std::fs::read(format!("/proc/{server}/cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&command).contains("dnsmasq"));
    });
}

#[test]
fn without_rights_the_error_says_what_to_do() {
    on_a_host(async |bench: Bench| {
        bench.learns(&[&lab()]);
        // This thread alone loses its rights; what it starts has none either.
        drop_capabilities();
        let told = bench.ensure("lab").await.unwrap_err().told();
        assert!(told.contains("run the agent as root"), "{told}");
        put(&bench.objects, &network("plain", 1, None));
        bench.ensure("plain").await.unwrap();
        assert!(tool::find("no-such-program").is_none());
    });
}

fn drop_capabilities() {
    // SAFETY: system calls without memory, and one on memory of this stack.
    unsafe {
        for capability in 0..64 {
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
        let header: [u32; 2] = [0x2008_0522, 0];
        let none = [0_u32; 6];
        assert_eq!(libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()), 0);
    }
}
