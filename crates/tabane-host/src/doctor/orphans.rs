//! What agents left behind that are gone with their data folders: processes whose folder does not exist any more, and
//! devices of the kernel that no name server of ours serves.

use std::path::{Path, PathBuf};

/// Something that nobody looks after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    pub told: String,
    pub mend: String,
}

/// Looks through `/proc` and `/sys/class/net`, which are parameters for the tests' sake.
pub fn find(proc: &Path, net: &Path) -> Vec<Orphan> {
    let mut orphans = Vec::new();
    let mut served: Vec<String> = Vec::new();
    for folder in entries(proc) {
        let Some(pid) = folder.file_name().and_then(|n| n.to_str()?.parse::<u32>().ok()) else { continue };
        let line = std::fs::read(folder.join("cmdline")).unwrap_or_default();
        let words: Vec<String> =
            line.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect();
        let program = words.first().and_then(|w| w.rsplit('/').next()).unwrap_or_default();
        if program == "dnsmasq"
            && let Some(config) = words.iter().find_map(|w| w.strip_prefix("--conf-file="))
            && config.contains("/networks/")
        {
            match std::fs::read_to_string(config) {
                Ok(text) => served
                    .extend(text.lines().filter_map(|l| l.strip_prefix("interface=")).map(str::to_owned)),
                Err(_) => orphans.push(Orphan {
                    told: format!("the name server {pid} serves a network whose folder is gone: {config}"),
                    mend: format!("kill {pid}"),
                }),
            }
        }
        let cwd = std::fs::read_link(folder.join("cwd")).unwrap_or_default();
        if program.starts_with("qemu-system-") && cwd.to_string_lossy().ends_with(" (deleted)") {
            let name = words.iter().find_map(|w| w.strip_prefix("guest=")).unwrap_or("?");
            let name = name.split(",debug-threads").next().unwrap_or(name);
            orphans.push(Orphan {
                told: format!("QEMU {pid} runs the VM {name}, whose folder is gone: {}", cwd.display()),
                mend: format!("look whether anybody needs it; then: kill {pid}"),
            });
        }
    }
    let mut links: Vec<String> =
        entries(net).iter().filter_map(|p| Some(p.file_name()?.to_str()?.to_owned())).collect();
    links.sort();
    for link in &links {
        let master = std::fs::read_link(net.join(link).join("master")).unwrap_or_default();
        let bridge = master.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let kind = match link {
            _ if is_ours(link, "tb", 10) && !served.contains(link) => "bridge",
            _ if is_ours(link, "tt", 13) && !served.iter().any(|s| s == bridge) => "tap",
            _ => continue,
        };
        orphans.push(Orphan {
            told: format!("the {kind} {link} is served by nobody"),
            mend: format!("if no agent here is just starting: ip link delete {link}"),
        });
    }
    orphans
}

/// As network/names.rs makes them.
fn is_ours(link: &str, prefix: &str, digits: usize) -> bool {
    link.strip_prefix(prefix)
        .is_some_and(|rest| rest.len() == digits && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_looks_after_is_found_and_the_rest_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let (proc, net) = (root.path().join("proc"), root.path().join("net"));
        let process = |pid: &str, words: &[&str], cwd: &str| {
            let folder = proc.join(pid);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("cmdline"), words.join("\0")).unwrap();
            std::os::unix::fs::symlink(cwd, folder.join("cwd")).unwrap();
        };
        let alive = root.path().join("networks/1");
        std::fs::create_dir_all(&alive).unwrap();
        std::fs::write(alive.join("dnsmasq.conf"), "bind-interfaces\ninterface=tb0123456789\n").unwrap();
        let config = format!("--conf-file={}", alive.join("dnsmasq.conf").display());
        process("10", &["/usr/sbin/dnsmasq", &config], "/");
        process("11", &["dnsmasq", "--conf-file=/gone/networks/2/dnsmasq.conf"], "/");
        process("12", &["dnsmasq", "--conf-file=/etc/dnsmasq.conf"], "/");
        process(
            "13",
            &["/usr/bin/qemu-system-x86_64", "-name", "guest=web,debug-threads=on"],
            "/x (deleted)",
        );
        process("14", &["/usr/bin/qemu-system-x86_64", "-name", "guest=db,debug-threads=on"], "/x");
        process("self", &["dnsmasq", "--conf-file=/gone/networks/2/dnsmasq.conf"], "/");
        for (link, master) in [
            ("tb0123456789", None),
            ("tb9999999999", None),
            ("tt0123456789abc", Some("tb0123456789")),
            ("tt999999999999f", Some("tb9999999999")),
            ("tbs-own-bridge", None),
            ("eth0", None),
        ] {
            std::fs::create_dir_all(net.join(link)).unwrap();
            if let Some(master) = master {
                std::os::unix::fs::symlink(format!("../{master}"), net.join(link).join("master")).unwrap();
            }
        }
        let mut mends: Vec<String> = find(&proc, &net).into_iter().map(|o| o.mend).collect();
        mends.sort();
        assert_eq!(
            mends,
            [
                "if no agent here is just starting: ip link delete tb9999999999",
                "if no agent here is just starting: ip link delete tt999999999999f",
                "kill 11",
                "look whether anybody needs it; then: kill 13",
            ]
        );
    }
}
