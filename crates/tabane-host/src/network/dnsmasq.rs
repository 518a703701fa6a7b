//! DHCP and DNS of a network: one dnsmasq(8) each, which outlives us.
//!
//! ```text
//!   networks/<uid>/dnsmasq.conf   what it starts with; another text is another process
//!                  dhcp-hosts     who gets which address  ┐ read again
//!                  dns-hosts      who is called what      ┘ when told to
//!                  leases, dnsmasq.pid                    its own
//!                  process.json   which process runs, and with what
//! ```
//!
//! Invariant: it knows the guests of its own network and no others, gives out addresses that the server reserved and no
//! others, and takes a guest for its MAC alone, which the rules (rules.rs) keep true.

use std::{ffi::OsString, fmt::Write, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use rustix::process::{Pid, PidfdFlags, Signal as RawSignal};
use serde::{Deserialize, Serialize};
use tabane_model::Uid;
use tabane_qemu::process::{ProcessId, Signal, boot_id};

use super::{here::Here, names, tool};
use crate::{Error, Result, files};

const PROGRAM: &str = "dnsmasq";
const PROCESS: &str = "process.json";
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// What runs, and what it has read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Running {
    process: ProcessId,
    boot: Uid,
    config: String,
    hosts: String,
}

/// Makes the network's name server run with what is written down. Returns its process.
pub async fn ensure(folder: &Path, here: &Here, bridge: &str) -> Result<ProcessId> {
    let config = config(here, bridge, user());
    let (dhcp, dns) = (dhcp_hosts(here), dns_hosts(here));
    let wanted = (names::digest(&[&config]), names::digest(&[&dhcp, &dns]));
    let running = find(folder)?;
    if let Some(running) = running.as_ref().filter(|r| (&r.config, &r.hosts) == (&wanted.0, &wanted.1)) {
        return Ok(running.process);
    }
    // Read by a user without rights, who has to come by.
    files::write_mode(&folder.join("dhcp-hosts"), dhcp.as_bytes(), 0o644)?;
    files::write_mode(&folder.join("dns-hosts"), dns.as_bytes(), 0o644)?;
    if let Some(mut running) = running {
        if running.config == wanted.0 && !leased_to_others(folder, here) {
            hang_up(running.process)?;
            running.hosts = wanted.1;
            files::write_json(&folder.join(PROCESS), &running)?;
            return Ok(running.process);
        }
        end(running.process).await?;
    }
    check_readable(folder)?;
    files::write(&folder.join("dnsmasq.conf"), config.as_bytes())?;
    for file in [PROCESS, "leases", "dnsmasq.pid"] {
        files::remove(&folder.join(file))?;
    }
    let process = start(folder, here).await?;
    let running = Running { process, boot: boot_id()?, config: wanted.0, hosts: wanted.1 };
    files::write_json(&folder.join(PROCESS), &running)?;
    Ok(process)
}

/// Ends the name server of this folder, if there is one.
pub async fn stop(folder: &Path) -> Result<()> {
    match find(folder)? {
        Some(running) => end(running.process).await,
        None => Ok(()),
    }
}

/// The process of this folder that runs, also if we were cut short before it was written down.
fn find(folder: &Path) -> Result<Option<Running>> {
    let boot = boot_id()?;
    let known: Option<Running> = files::read_json(&folder.join(PROCESS))?;
    if let Some(known) = known.filter(|r| r.boot == boot && r.process.is_alive()) {
        return Ok(Some(known));
    }
    let process = from_pid_file(folder);
    Ok(process.map(|process| Running { process, boot, config: String::new(), hosts: String::new() }))
}

/// The number in the file may be another's by now: what counts is that it runs with our file.
fn from_pid_file(folder: &Path) -> Option<ProcessId> {
    let pid: u32 = std::fs::read_to_string(folder.join("dnsmasq.pid")).ok()?.trim().parse().ok()?;
    let process = ProcessId::of(pid).ok()?;
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let own = arguments(folder).remove(0);
    command.split(|byte| *byte == 0).any(|word| word == own.as_encoded_bytes()).then_some(process)
}

fn arguments(folder: &Path) -> Vec<OsString> {
    let argument = |option: &str, file: &str| {
        let mut argument = OsString::from(option);
        argument.push(folder.join(file));
        argument
    };
    vec![
        argument("--conf-file=", "dnsmasq.conf"),
        argument("--pid-file=", "dnsmasq.pid"),
        argument("--dhcp-leasefile=", "leases"),
        argument("--dhcp-hostsfile=", "dhcp-hosts"),
        argument("--addn-hosts=", "dns-hosts"),
    ]
}

/// It goes into the background by itself, in a session of its own, once it listens; until then its failure is ours.
async fn start(folder: &Path, here: &Here) -> Result<ProcessId> {
    let started = tool::run(PROGRAM, "dnsmasq-base", &arguments(folder), "").await;
    if let Err(Error::Tool { detail, .. }) = &started
        && detail.contains("ddress already in use")
    {
        return Err(Error::unfit(
            format!("another name server has {} of the network {}: {detail}", here.gateway(), here.name),
            "let it listen on its own addresses only, not on all",
        ));
    }
    started?;
    from_pid_file(folder).ok_or_else(|| Error::Tool {
        tool: PROGRAM.into(),
        detail: format!("it ended as soon as it had started for the network {}", here.name),
    })
}

async fn end(process: ProcessId) -> Result<()> {
    match process.kill(Signal::Terminate) {
        Ok(()) => {}
        Err(tabane_qemu::Error::ProcessGone { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    if tokio::time::timeout(END_TIMEOUT, process.wait()).await.is_err() {
        match process.kill(Signal::Kill) {
            Ok(()) | Err(tabane_qemu::Error::ProcessGone { .. }) => drop(process.wait().await),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Lets it read its hosts again.
fn hang_up(process: ProcessId) -> Result<()> {
    let told = |e: rustix::io::Errno| Error::Tool { tool: PROGRAM.into(), detail: format!("no signal: {e}") };
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
    let handle = rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(told)?;
    // Looked at after opening: from here on the handle means this very process.
    if !process.is_alive() {
        return Err(Error::NotYet("the name server has just ended".into()));
    }
    rustix::process::pidfd_send_signal(&handle, RawSignal::HUP).map_err(told)
}

/// The user that it becomes. It takes names only.
fn user() -> &'static str {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    if users.lines().any(|line| line.starts_with("dnsmasq:")) { "dnsmasq" } else { "nobody" }
}

/// It would say nothing to anybody if it could not read who is to get what.
fn check_readable(folder: &Path) -> Result<()> {
    let closed = folder
        .ancestors()
        .find(|f| std::fs::metadata(f).is_ok_and(|m| m.permissions().mode() & 0o001 == 0))
        .map(Path::display);
    match closed {
        None => Ok(()),
        Some(closed) => Err(Error::unfit(
            format!("the name server, which is another user, cannot pass through {closed}"),
            format!("let it pass: `chmod o+x {closed}`, or use another data folder"),
        )),
    }
}

/// Whether an address is still leased to a MAC that it is no longer reserved for. It would keep it from the new one.
fn leased_to_others(folder: &Path, here: &Here) -> bool {
    let leases = std::fs::read_to_string(folder.join("leases")).unwrap_or_default();
    leases.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (Some(mac), Some(address)) = (words.next(), words.next()) else { return false };
        here.guests.iter().any(|g| g.address.to_string() == address && g.mac.to_string() != mac)
    })
}

fn config(here: &Here, bridge: &str, user: &str) -> String {
    let (gateway, range) = (here.gateway(), here.range);
    let mut text = format!(
        "# The network {}. Written anew at every change.
user={user}
interface={bridge}
except-interface=lo
bind-interfaces
no-hosts
domain-needed
dhcp-authoritative
dhcp-ignore-clid
no-ping
quiet-dhcp
dhcp-lease-max=65536
dhcp-range={},static,{},12h
dhcp-option=option:router,{gateway}
dhcp-option=option:dns-server,{gateway}
",
        here.name,
        range.network(),
        range.netmask()
    );
    if let Some(domain) = &here.domain {
        // Names of the own domain are ours to know, and nobody else is asked for them.
        let _ = write!(text, "domain={domain}\nlocal=/{domain}/\n");
    }
    if here.dns.is_empty() {
        // Name servers out in the world know nothing of private addresses; those that the user names may.
        text += "bogus-priv\n";
    } else {
        text += "no-resolv\n";
        for server in &here.dns {
            let _ = writeln!(text, "server={server}");
        }
    }
    text
}

fn dhcp_hosts(here: &Here) -> String {
    here.guests.iter().map(|g| format!("{},{},{}\n", g.mac, g.address, g.vm_name)).collect()
}

/// The first name is the one that an address resolves to.
fn dns_hosts(here: &Here) -> String {
    let line = |g: &super::here::Guest| match &here.domain {
        Some(domain) => format!("{} {}.{domain} {}\n", g.address, g.vm_name, g.vm_name),
        None => format!("{} {}\n", g.address, g.vm_name),
    };
    here.guests.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::here, *};

    #[test]
    fn the_config_says_what_it_should() {
        let mut here = here();
        assert_eq!(config(&here, "tb0123456789", "dnsmasq"), include_str!("tests/dnsmasq.conf"));
        here.dns = vec!["9.9.9.9".parse().unwrap(), "2620:fe::fe".parse().unwrap()];
        here.domain = None;
        let text = config(&here, "tb0123456789", "nobody");
        assert!(text.ends_with("no-resolv\nserver=9.9.9.9\nserver=2620:fe::fe\n"), "{text}");
        assert!(!text.contains("domain=") && !text.contains("bogus-priv"), "{text}");
    }

    #[test]
    fn guests_are_named_once_for_each_nic() {
        let here = here();
        assert_eq!(dhcp_hosts(&here), "52:54:00:00:00:01,10.30.0.5,web1\n52:54:00:00:00:02,10.30.0.6,web2\n");
        assert_eq!(dns_hosts(&here), "10.30.0.5 web1.lab web1\n10.30.0.6 web2.lab web2\n");
    }

    #[test]
    fn a_lease_of_an_earlier_owner_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let here = here();
        let lease = |mac: &str| {
            let line = format!("1700000000 {mac} 10.30.0.5 web1 *\n");
            std::fs::write(root.path().join("leases"), line).unwrap();
            leased_to_others(root.path(), &here)
        };
        assert!(!lease("52:54:00:00:00:01"));
        assert!(lease("52:54:00:00:00:09"));
        std::fs::write(root.path().join("leases"), "duid x\n\n1\n").unwrap();
        assert!(!leased_to_others(root.path(), &here));
    }
}
