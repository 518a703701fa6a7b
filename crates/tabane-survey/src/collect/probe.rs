//! Which addresses of subnets have somebody who listens on the port of SSH. Most of a subnet is nobody's, and a connection by
//! `ssh` to each of them, again and again, would be for nothing.
//!
//! Who is reached by way of another host is not asked: `ssh -G` says whether that is so, and on which port one listens.

use std::{path::Path, process::Stdio, sync::Arc, time::Duration};

use tokio::{net::TcpStream, process::Command, sync::Semaphore, task::JoinSet, time::timeout};

use super::Target;

const AT_ONCE: usize = 64;
const PATIENCE: Duration = Duration::from_secs(3);
const PORT: u16 = 22;

/// Who answers, and of the others why not; each in the order of the targets.
pub async fn probe(targets: Vec<Target>, ssh_config: Option<&Path>) -> (Vec<Target>, Vec<(Target, String)>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for (at, target) in targets.into_iter().enumerate() {
        let (places, ssh_config) = (places.clone(), ssh_config.map(Path::to_owned));
        tasks.spawn(async move {
            let _place = places.acquire_owned().await;
            let answer = answers(&target, ssh_config.as_deref()).await;
            (at, target, answer)
        });
    }
    let mut all = tasks.join_all().await;
    all.sort_by_key(|(at, ..)| *at);
    let (mut there, mut silent) = (Vec::new(), Vec::new());
    for (_, target, answer) in all {
        match answer {
            Ok(()) => there.push(target),
            Err(why) => silent.push((target, why)),
        }
    }
    (there, silent)
}

async fn answers(target: &Target, ssh_config: Option<&Path>) -> Result<(), String> {
    let way = Way::of(target, ssh_config).await;
    if way.by_another {
        return Ok(());
    }
    match timeout(PATIENCE, TcpStream::connect((way.host.as_str(), way.port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("port {}: {error}", way.port)),
        Err(_) => Err(format!("port {}: no answer in {} s", way.port, PATIENCE.as_secs())),
    }
}

/// How `ssh` reaches a target.
#[derive(Debug, PartialEq, Eq)]
struct Way {
    host: String,
    port: u16,
    by_another: bool,
}

impl Way {
    async fn of(target: &Target, ssh_config: Option<&Path>) -> Self {
        let mut command = Command::new("ssh");
        command.arg("-G");
        if let Some(path) = ssh_config {
            command.arg("-F").arg(path);
        }
        if let Some(port) = target.port {
            command.args(["-p", &port.to_string()]);
        }
        if let Some(user) = &target.user {
            command.args(["-l", user]);
        }
        command.args(["--", &target.host]).stdin(Stdio::null()).kill_on_drop(true);
        let said = timeout(PATIENCE, command.output()).await.ok().and_then(Result::ok);
        let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        Self::read(&said.unwrap_or_default(), target)
    }

    /// Of what `ssh -G` says (OpenSSH, ssh(1)): a key and a value on each line.
    fn read(said: &str, target: &Target) -> Self {
        let value = |key: &str| {
            let found = said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
            found.map(str::trim).filter(|value| !value.is_empty() && *value != "none")
        };
        Self {
            host: value("hostname").unwrap_or(&target.host).to_owned(),
            port: value("port").and_then(|port| port.parse().ok()).or(target.port).unwrap_or(PORT),
            by_another: value("proxyjump").or_else(|| value("proxycommand")).is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_of_its_way_is_understood() {
        let target: Target = "10.0.0.1".parse().unwrap();
        let way = |said: &str| Way::read(said, &target);
        let plain = "user root\nhostname 10.0.0.1\nport 2022\nproxyusefdpass no\n";
        assert_eq!(way(plain), Way { host: "10.0.0.1".into(), port: 2022, by_another: false });
        assert!(way("hostname 10.0.0.1\nproxyjump bastion\n").by_another);
        assert!(way("proxycommand nc -X 5 %h %p\n").by_another);
        assert!(!way("proxycommand none\n").by_another);
        assert_eq!(way(""), Way { host: "10.0.0.1".into(), port: 22, by_another: false });
    }

    #[tokio::test]
    async fn who_listens_is_told_from_who_does_not() {
        let listener = tokio::net::TcpListener::bind("127.0.0.3:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config");
        std::fs::write(&config, "Host 127.0.0.6\n  ProxyCommand true\n").unwrap();
        let targets = (1..=6).map(|last| format!("127.0.0.{last}:{port}").parse().unwrap()).collect();
        let (there, silent) = probe(targets, Some(&config)).await;
        let there: Vec<&str> = there.iter().map(|target| target.host.as_str()).collect();
        // The last one is reached by way of another, if there is an ssh to say so.
        let has_ssh = std::process::Command::new("ssh").arg("-V").output().is_ok();
        assert_eq!(there, if has_ssh { vec!["127.0.0.3", "127.0.0.6"] } else { vec!["127.0.0.3"] });
        assert!(silent.iter().all(|(_, why)| why.starts_with(&format!("port {port}: "))), "{silent:?}");
    }
}
