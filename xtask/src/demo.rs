//! From a clone to a running guest, with every step told.

use std::{
    fs::File,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{console, run, setup};

const VM: &str = "demo";
const RECIPE: &str = "debian-12";
const START_TIMEOUT: Duration = Duration::from_secs(60);
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(30);

struct Demo {
    tabane: PathBuf,
    folder: PathBuf,
    step: u32,
    /// Of `tabane up`, if we started it.
    pid: Option<u32>,
}

pub fn run(arguments: &[String]) -> Result<()> {
    let recipe = arguments.first().map_or(RECIPE, String::as_str);
    setup::run()?;
    if console::has_node() {
        console::build()?;
    } else {
        eprintln!("Without Node 20 or later the web console is left out; everything else works.");
    }
    run::cargo(&["build", "--package", "tabane"])?;
    let mut demo = Demo { tabane: run::target().join("debug/tabane"), folder: folder(), step: 0, pid: None };
    demo.up()?;
    demo.image(recipe)?;
    demo.vm(recipe)?;
    demo.look()
}

/// Not in the clone: QEMUs run as users of their own, and a clone is often in a home that is closed to others.
fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("TABANE_DATA_DIR") {
        return folder.into();
    }
    let root = run::is_root();
    let home = std::env::var_os("HOME").map_or_else(|| "/tmp".into(), PathBuf::from);
    if root { "/var/lib/tabane-demo".into() } else { home.join(".local/share/tabane-demo") }
}

impl Demo {
    fn tell(&mut self, what: &str) {
        self.step += 1;
        eprintln!("\n[{}/5] {what}", self.step);
    }

    fn tabane(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.tabane);
        command
            .args(arguments)
            .env("TABANE_DATA_DIR", &self.folder)
            .env_remove("TABANE_URL")
            .env_remove("TABANE_TOKEN");
        command
    }

    fn answers(&self) -> bool {
        self.said(&["host", "list", "--output", "json"]).is_some_and(|list| list.contains("\"ready\""))
    }

    /// What a command says, if it succeeds.
    fn said(&self, arguments: &[&str]) -> Option<String> {
        let output = self.tabane(arguments).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn up(&mut self) -> Result<()> {
        self.tell("server and host agent");
        if self.answers() {
            eprintln!("they run already");
            return Ok(());
        }
        std::fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot make {}", self.folder.display()))?;
        let log = self.folder.join("up.log");
        let written = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut up = self.tabane(&["up"]);
        // In a session of its own, so that Ctrl-C here does not end it.
        let mut child =
            up.stdin(Stdio::null()).stdout(Stdio::null()).stderr(written).process_group(0).spawn()?;
        let started = Instant::now();
        while !self.answers() {
            if let Some(status) = child.try_wait()? {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("`tabane up` ended ({status}):\n{said}");
            }
            if started.elapsed() > START_TIMEOUT {
                bail!("`tabane up` is not ready after {} s; see {}", START_TIMEOUT.as_secs(), log.display());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        self.pid = Some(child.id());
        eprintln!("`tabane up` runs as process {}; its log is {}", child.id(), log.display());
        Ok(())
    }

    fn image(&mut self, recipe: &str) -> Result<()> {
        self.tell(&format!("the image {recipe}: built here, which takes some minutes the first time"));
        match self.said(&["image", "get", recipe, "--output", "json"]) {
            // What was missing then may be there now.
            Some(image) if image.contains("\"failed\"") => {
                run::say_and_run(&mut self.tabane(&["image", "delete", recipe]))?;
            }
            Some(_) => {
                eprintln!("it is there already");
                return Ok(());
            }
            None => {}
        }
        run::say_and_run(&mut self.tabane(&["image", "build", recipe]))
    }

    fn vm(&mut self, recipe: &str) -> Result<()> {
        self.tell("a VM from the image, until its guest agent answers");
        if self.said(&["vm", "get", VM]).is_some() {
            return run::say_and_run(&mut self.tabane(&["vm", "start", VM, "--wait", "agent"]));
        }
        let create =
            ["vm", "create", VM, "--image", recipe, "--cpus", "2", "--memory", "1GiB", "--disk", "10GiB"];
        let rest = ["--start", "--wait", "agent"];
        run::say_and_run(&mut self.tabane(&[&create[..], &rest[..]].concat()))
    }

    /// The agent answers before the guest has its lease.
    fn has_address(&self) -> bool {
        let vm = self.said(&["vm", "get", VM, "--output", "json"]).unwrap_or_default();
        let vm: serde_json::Value = serde_json::from_str(&vm).unwrap_or_default();
        vm["status"]["guest"]["addresses"].as_array().is_some_and(|addresses| !addresses.is_empty())
    }

    /// A token to sign in to the web console with, good for a day.
    fn token(&self) -> Option<String> {
        let name = format!("demo-{}", std::process::id());
        let words = ["token", "create", &name, "--role", "admin", "--expires-in", "24"];
        let said = self.said(&[&words[..], &["--description", "made by the demo"]].concat())?;
        said.split_whitespace().find(|word| word.starts_with("tbn_")).map(String::from)
    }

    fn look(&mut self) -> Result<()> {
        self.tell("a command in the guest");
        let shown = ["vm", "exec", VM, "--", "/bin/sh", "-c", "hostname; uname -sr; uptime"];
        run::say_and_run(&mut self.tabane(&shown))?;
        self.tell("what there is now");
        let began = Instant::now();
        while !self.has_address() && began.elapsed() < ADDRESS_TIMEOUT {
            std::thread::sleep(Duration::from_millis(300));
        }
        run::say_and_run(&mut self.tabane(&["vm", "list"]))?;
        let log = std::fs::read_to_string(self.folder.join("up.log")).unwrap_or_default();
        let url = log
            .lines()
            .find_map(|line| line.trim().strip_prefix("API "))
            .unwrap_or("see up.log")
            .trim()
            .to_owned();
        let tabane = self.tabane.display();
        eprintln!("\nAPI:     {url}");
        eprintln!("\nGo on:");
        eprintln!("  export TABANE_DATA_DIR={}", self.folder.display());
        eprintln!("  {tabane} vm console {VM}             the serial console; Ctrl-] three times leaves");
        eprintln!("  {tabane} vm screenshot {VM} -o x.png  the display as a picture");
        eprintln!(
            "  {tabane} vm vnc {VM}                  a ticket, good once, for the display's websocket (noVNC)"
        );
        eprintln!("  {tabane} vm set {VM} --cpus 4         while it runs");
        eprintln!("  {tabane} vm delete {VM}");
        eprintln!("  {tabane} --help");
        if let Some(token) = self.token() {
            let page = url.split('#').next().unwrap_or_default();
            eprintln!("\nWeb console: {page}");
            eprintln!("  sign in with {token}");
            eprintln!(
                "  The browser will warn: the certificate is this server's own. Its authority is at {page}v1/ca.pem"
            );
        }
        if let Some(pid) = self.pid {
            eprintln!("\nTo end it: delete the VM, then: kill {pid}; rm -r {}", self.folder.display());
        }
        Ok(())
    }
}
