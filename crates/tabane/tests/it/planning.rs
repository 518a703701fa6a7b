//! Surveys are sent to a server, and it makes plans of them, also if it is killed while it does.

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::world::{BINARY, Texts};

const HOSTS: &str =
    "[[host_type]]\nname = \"r1\"\ncpu_cores = 16\ncpu_mhz = 40000\nmemory_mib = 65536\nprice = 5000\n";

/// A server in a folder of its own, without a host.
struct Alone {
    folder: tempfile::TempDir,
    server: Child,
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).env("TABANE_DATA_DIR", folder.join("data")).current_dir(folder);
    for name in ["TABANE_URL", "TABANE_TOKEN", "TABANE_LISTEN", "TABANE_LOG"] {
        command.env_remove(name);
    }
    command
}

/// Returns when it answers.
pub fn serve(folder: &Path) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
    let mut server = command(folder, &["server", "--listen", "127.0.0.1:0"]);
    let server = server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
    eventually("the server answers", || command(folder, &["vm", "list"]).output().unwrap().status.success());
    server
}

fn eventually(what: &str, mut reached: impl FnMut() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}: not reached");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Alone {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let head = "# first_bin_unix=1700000000 step_s=3600 columns=server,v0..v47\n";
        let (mut servers, mut cpu, mut memory) =
            ("server,cores,cpu_cap_mhz,mem_cap_mib\n".to_owned(), head.to_owned(), head.to_owned());
        // Two of these never share a host, though no single resource tells: a better plan is looked for to the end.
        for at in 0..12 {
            let (mhz, mib) = if at % 2 == 0 { ("22000", "26000") } else { ("16000", "36000") };
            servers += &format!("s{at},8,40000,65536\n");
            cpu += &format!("s{at},{}\n", [mhz; 48].join(","));
            memory += &format!("s{at},{}\n", [mib; 48].join(","));
        }
        std::fs::create_dir(folder.path().join("may")).unwrap();
        let files = [
            ("may/2026-05_vms.csv", servers.as_str()),
            ("may/2026-05_cpu_mhz.csv", &cpu),
            ("may/2026-05_mem_mib.csv", &memory),
            ("may/README.md", "not of the survey"),
            ("hosts.toml", HOSTS),
            ("policy.toml", "memory = \"active\"\ntime_limit_s = 600\n"),
        ];
        files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
        let server = serve(folder.path());
        Self { folder, server }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        command(self.folder.path(), arguments).output().unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", output.all_text());
        output.stdout_text()
    }

    fn plan(&self, name: &str) -> Value {
        serde_json::from_str(&self.ok(&["plan", "get", name, "-o", "json"])).unwrap()
    }

    /// As a loss of power would.
    fn kill_and_start(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
        self.server = serve(self.folder.path());
    }
}

const CREATE: [&str; 8] =
    ["plan", "create", "--survey", "may", "--hosts", "hosts.toml", "--policy", "policy.toml"];

#[test]
fn a_folder_is_pushed_and_planned_and_the_plan_survives_a_kill() {
    let mut alone = Alone::start();
    let pushed = alone.ok(&["survey", "push", "may", "--traces", "may", "--wait", "ready"]);
    let words: Vec<&str> = pushed.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(words[..6], ["may", "ready", "12", "2.0", "2", "0"], "{pushed}");
    let again = alone.run(&["survey", "push", "may", "--traces", "may"]);
    assert!(again.all_text().contains("exists already"), "{}", again.all_text());

    alone.ok(&[&CREATE[..], &["p1", "--time-limit", "4"]].concat());
    eventually("it is being made", || alone.plan("p1")["status"]["progress"]["turns"].as_u64() > Some(0));
    alone.kill_and_start();
    let waited = alone.ok(&["plan", "get", "p1", "-o", "json"]);
    assert!(!waited.contains("\"ready\""), "it was ready before the kill: {waited}");
    eventually("it is made", || alone.plan("p1")["status"]["phase"] == "ready");
    alone.kill_and_start();
    assert_eq!(alone.plan("p1")["status"]["summary"]["hosts"], 12);
    alone.ok(&["plan", "document", "p1", "--out", "plan.json"]);
    let proved = alone.ok(&["plan", "verify", "plan.json", "--traces", "may"]);
    assert!(proved.starts_with("proved: 12 servers on 12 hosts"), "{proved}");

    let moved = alone.run(&["plan", "try", "p1", "--move", "s0=host-002"]);
    assert!(!moved.status.success(), "two of them never share a host: {}", moved.all_text());
    assert!(moved.stdout_text().contains("breach: host-002 would have to carry"), "{}", moved.all_text());
    let moved = alone.ok(&["plan", "try", "p1", "--move", "s0=new:r1"]);
    assert!(moved.contains("cost of hosts: 65000 -> 65000"), "{moved}");

    // What is created and waited for in one go; then everything goes.
    let made = alone.ok(&[&CREATE[..], &["p2", "--time-limit", "1", "--wait", "ready"]].concat());
    assert!(made.lines().nth(1).unwrap().starts_with("p2"), "{made}");
    let compared = alone.ok(&["plan", "compare", "p1", "p2"]);
    assert!(compared.contains("no server is elsewhere"), "{compared}");
    let used = alone.run(&["survey", "delete", "may"]);
    assert!(used.all_text().contains("stands on the survey may"), "{}", used.all_text());
    alone.ok(&["wave", "create", "w1", "--plan", "p1", "--wave", "pilot"]);
    alone.ok(&["wave", "run", "w1"]);
    let facts = "migrations_failed_share = 0\nguests_answering_share = 0.5\n";
    std::fs::write(alone.folder.path().join("facts.toml"), facts).unwrap();
    let review = ["wave", "review", "w1", "--measured", "may", "--facts", "facts.toml", "--wait", "ready"];
    let reviewed = alone.ok(&review);
    assert!(reviewed.contains("says roll back"), "{reviewed}");
    // What is not stated any more does not count any more.
    std::fs::write(alone.folder.path().join("facts.toml"), "migrations_failed_share = 0\n").unwrap();
    let reviewed = alone.ok(&review);
    assert!(reviewed.contains("waits"), "{reviewed}");
    let early = alone.run(&["wave", "done", "w1"]);
    assert!(early.all_text().contains("guests_answering_share"), "{}", early.all_text());
    alone.ok(&["wave", "roll-back", "w1"]);
    alone.ok(&["wave", "delete", "w1"]);
    alone.ok(&["plan", "delete", "p1", "p2"]);
    alone.ok(&["survey", "delete", "may"]);
}

#[test]
fn a_push_that_was_cut_short_goes_on() {
    let mut alone = Alone::start();
    // Half of what a push does: the object, and one file.
    let traces = alone.folder.path().join("may");
    let size = |file: &str| std::fs::metadata(traces.join(format!("2026-05_{file}"))).unwrap().len();
    let sizes = [
        ("cpu_mhz.csv", size("cpu_mhz.csv")),
        ("mem_mib.csv", size("mem_mib.csv")),
        ("servers.csv", size("vms.csv")),
    ];
    let files: Vec<Value> =
        sizes.iter().map(|(name, size)| serde_json::json!({ "name": name, "size_bytes": size })).collect();
    let object =
        serde_json::json!({ "kind": "survey", "meta": { "name": "may" }, "spec": { "files": files } });
    std::fs::write(alone.folder.path().join("survey.yaml"), object.to_string()).unwrap();
    alone.ok(&["apply", "-f", "survey.yaml"]);
    alone.kill_and_start();
    alone.ok(&["survey", "push", "may", "--traces", "may", "--wait", "ready"]);
    let elsewhere = alone.run(&["survey", "push", "june", "--traces", "data"]);
    assert!(elsewhere.all_text().contains("there are no traces in data"), "{}", elsewhere.all_text());
}
