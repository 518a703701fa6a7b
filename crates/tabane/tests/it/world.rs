//! A server and an agent in a folder of their own, for one test.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use sha2::{Digest, Sha256};

pub const BINARY: &str = env!("CARGO_BIN_EXE_tabane");
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Guests under TCG on a busy machine are slow.
pub const GUEST_TIMEOUT_S: &str = "240";

pub struct World {
    folder: tempfile::TempDir,
    /// Where the server listens from its next start on.
    pub listen: String,
    up: Option<Child>,
    /// Further agents, each with its own folder.
    agents: Vec<Child>,
}

impl World {
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// Lets the data folder be prepared first.
    pub fn start_with(prepare: impl FnOnce(&Path)) -> Self {
        // QEMUs run as users of their own and must be able to pass.
        let folder = tempfile::Builder::new().prefix("tabane-e2e-").tempdir_in("/var/tmp").unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        prepare(folder.path());
        let mut world = Self { folder, listen: "127.0.0.1:0".into(), up: None, agents: Vec::new() };
        world.up();
        world
    }

    /// With the image `tiny`.
    pub fn with_tiny() -> Self {
        let world = Self::start();
        world.ok(&["image", "build", "tiny"]);
        world
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Starts server and agent, and waits until the host is ready.
    pub fn up(&mut self) {
        self.up_as(|_| {});
    }

    /// As [`World::up`], with something said to the process.
    pub fn up_as(&mut self, prepare: impl FnOnce(&mut Command)) {
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.path().join("up.log")).unwrap();
        let before = self.addresses();
        let mut command = self.command(&["up", "--name", "h1", "--listen", &self.listen]);
        command
            .env("TABANE_LOG", "info,tabane_host=debug,tabane_server=debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        prepare(&mut command);
        self.up = Some(command.spawn().unwrap());
        let started = Instant::now();
        let ready = || self.run(&["host", "get", "h1", "-o", "json"]).stdout_text().contains("\"ready\"");
        // What is stored of the host says that it is ready before this server has said where it listens.
        while self.addresses() == before || !ready() {
            assert!(started.elapsed() < READY_TIMEOUT, "not ready: {}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// How often a server has said where it listens.
    fn addresses(&self) -> usize {
        self.log().lines().filter(|l| l.trim().starts_with("API ")).count()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("up.log")).unwrap_or_default()
    }

    /// Where another agent finds the server.
    pub fn url(&self) -> String {
        let log = self.log();
        let line =
            log.lines().rev().find_map(|l| l.trim().strip_prefix("API ")).expect("it prints its address");
        line.trim().to_owned()
    }

    /// Kills server and agent as a crash would.
    pub fn kill_up(&mut self) {
        if let Some(mut up) = self.up.take() {
            up.kill().unwrap();
            up.wait().unwrap();
        }
    }

    /// Another agent on this machine.
    pub fn join(&mut self, name: &str, token: &str) {
        let folder = self.path().join(name);
        let log = std::fs::File::create(self.path().join(format!("{name}.log"))).unwrap();
        let mut command = self.command(&["host", "join", &self.url(), "--name", name]);
        command.env("TABANE_DATA_DIR", &folder).env("TABANE_TOKEN", token);
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o711)).unwrap();
        self.agents.push(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        self.ok(&["vm", "list"]);
        self.eventually("the host joins", || {
            self.run(&["host", "get", name, "-o", "json"]).stdout_text().contains("\"ready\"")
        });
    }

    /// Kills another agent as a crash would.
    pub fn kill_agent(&mut self, number: usize) {
        let mut agent = self.agents.remove(number);
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    /// Starts an agent again that has joined before.
    pub fn rejoin(&mut self, name: &str) {
        let log =
            std::fs::OpenOptions::new().append(true).open(self.path().join(format!("{name}.log"))).unwrap();
        let mut command = self.command(&["host", "join", &self.url(), "--name", name]);
        command.env("TABANE_DATA_DIR", self.path().join(name));
        self.agents.push(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(arguments).env("TABANE_DATA_DIR", self.path());
        for name in ["TABANE_URL", "TABANE_TOKEN", "TABANE_LISTEN", "TABANE_LOG"] {
            command.env_remove(name);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Standard output of a command that has to succeed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}\n{}", output.all_text(), self.log_tail());
        output.stdout_text()
    }

    /// What a command says that has to fail.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} succeeded: {}", output.all_text());
        output.all_text()
    }

    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    pub fn get(&self, kind: &str, name: &str) -> Value {
        serde_json::from_str(&self.ok(&[kind, "get", name, "-o", "json"])).unwrap()
    }

    pub fn vm_pid(&self, name: &str) -> u64 {
        self.get("vm", name)["status"]["pid"].as_u64().expect("it runs")
    }

    /// Creates a VM from `tiny` and waits for its agent.
    pub fn tiny_vm(&self, name: &str, more: &[&str]) {
        let create = ["vm", "create", name, "--image", "tiny", "--memory", "192MiB", "--start"];
        let wait = ["--wait", "agent", "--timeout", GUEST_TIMEOUT_S];
        self.ok(&[&create[..], more, &wait[..]].concat());
    }

    pub fn exec(&self, vm: &str, script: &str) -> String {
        self.ok(&["vm", "exec", vm, "--", "/bin/sh", "-c", script])
    }

    /// Waits until a guest takes commands.
    pub fn answers(&self, vm: &str) {
        self.eventually("the guest answers", || {
            self.run(&["vm", "exec", vm, "--", "/bin/true"]).status.success()
        });
    }

    pub fn eventually(&self, what: &str, mut reached: impl FnMut() -> bool) {
        let started = Instant::now();
        while !reached() {
            assert!(started.elapsed() < Duration::from_secs(120), "{what}: not reached\n{}", self.log_tail());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until the doctor finds every disk whole, and nothing that was left over.
    pub fn healthy(&self) {
        let ours = self.path().to_str().unwrap();
        let started = Instant::now();
        loop {
            let found: Value =
                serde_json::from_str(&self.run(&["doctor", "-o", "json"]).stdout_text()).unwrap();
            // Other tests' worlds are none of ours.
            let bad = |f: &&Value| {
                f["severity"] != "fine"
                    && (f["about"] == "disks" || f["told"].as_str().unwrap().contains(ours))
            };
            let bad: Vec<&Value> = found.as_array().unwrap().iter().filter(bad).collect();
            if bad.is_empty() {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "the doctor is not content: {bad:#?}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    pub fn events(&self) -> String {
        self.ok(&["event", "list"])
    }

    /// Processes that an agent of this world has written down.
    fn qemus(&self) -> Vec<u32> {
        let mut folders: Vec<PathBuf> = vec![self.path().join("host/vms")];
        let more = std::fs::read_dir(self.path()).into_iter().flatten().flatten();
        folders.extend(more.map(|e| e.path().join("host/vms")));
        let files = folders.iter().flat_map(std::fs::read_dir).flatten().flatten().map(|e| e.path());
        let states = files.filter(|p| p.extension().is_some_and(|e| e == "json"));
        let parsed = states.filter_map(|p| serde_json::from_slice::<Value>(&std::fs::read(p).ok()?).ok());
        parsed.filter_map(|state| state["process"]["process"]["pid"].as_u64()).map(|pid| pid as u32).collect()
    }
}

/// Output of a program; empty if it cannot be run.
fn output(program: &str, arguments: &[&str]) -> String {
    Command::new(program).args(arguments).output().map(|o| o.stdout_text()).unwrap_or_default()
}

/// The table of an agent's rules. It outlives the bridges for a moment, and so perhaps an agent that is killed then.
fn table(agent: &str) -> Option<String> {
    let agent: uuid::Uuid = agent.parse().ok()?;
    let mut hasher = Sha256::new();
    for part in [b"table".as_slice(), agent.as_bytes()] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digits: String = hasher.finalize().iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    Some(format!("tabane_{digits}"))
}

impl World {
    /// What a test that failed leaves of its networks would be in the way of all that come after it.
    fn take_down_networks(&self) {
        let servers = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).into_owned();
            let ours = line.contains("dnsmasq") && line.contains(self.path().to_str()?);
            entry.file_name().into_string().ok().filter(|_| ours)
        });
        for pid in servers {
            let _ = Command::new("kill").args(["-9", &pid]).status();
        }
        let folders = std::fs::read_dir(self.path()).into_iter().flatten().flatten().map(|e| e.path());
        let agents = folders.flat_map(|f| [f.join("identity.json"), f.join("host/identity.json")]);
        let agents =
            agents.filter_map(|file| serde_json::from_slice::<Value>(&std::fs::read(file).ok()?).ok());
        let agents: Vec<String> = agents.filter_map(|v| Some(v["agent"].as_str()?.to_owned())).collect();
        for table in agents.iter().filter_map(|agent| table(agent)) {
            for family in ["inet", "bridge"] {
                output("nft", &["delete", "table", family, &table]);
            }
        }
        let links: Value = serde_json::from_str(&output("ip", &["-j", "link"])).unwrap_or_default();
        for link in links.as_array().into_iter().flatten() {
            let (name, alias) = (link["ifname"].as_str(), link["ifalias"].as_str().unwrap_or_default());
            let Some(name) = name.filter(|_| agents.iter().any(|agent| alias.ends_with(agent.as_str())))
            else {
                continue;
            };
            output("ip", &["link", "del", name]);
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for mut child in self.up.take().into_iter().chain(self.agents.drain(..)) {
            let _ = child.kill();
            let _ = child.wait();
        }
        for pid in self.qemus() {
            // Only what is a QEMU of this world: its number may be another's by now.
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let folder = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            if line.starts_with(b"/usr/bin/qemu-system") && folder.starts_with(self.path()) {
                let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
            }
        }
        self.take_down_networks();
        if std::thread::panicking() {
            eprintln!("the log ends with:\n{}", self.log_tail());
            let entries = std::fs::read_dir(self.path()).into_iter().flatten().flatten();
            let logs = entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "log"));
            for log in logs.filter(|p| !p.ends_with("up.log")) {
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                eprintln!("{}:\n{}", log.display(), lines[lines.len().saturating_sub(15)..].join("\n"));
            }
        }
    }
}

pub trait Texts {
    fn stdout_text(&self) -> String;
    fn all_text(&self) -> String;
}

impl Texts for Output {
    fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    fn all_text(&self) -> String {
        format!("{}{}", self.stdout_text(), String::from_utf8_lossy(&self.stderr))
    }
}
