//! Surveys of a real server over real SSH: this machine itself.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    sshd::Sshd,
    world::{BINARY, Texts, World},
};

/// What a sample may take of a core at the coarsest: 1 % of the 20 s between two.
const SAMPLE_MS_MAX: u64 = 200;

struct Survey {
    folder: tempfile::TempDir,
    sshd: Sshd,
}

impl Survey {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("tabane-e2e-").tempdir_in("/var/tmp").unwrap();
        let sshd = Sshd::start(folder.path());
        Self { folder, sshd }
    }

    fn source(&self) -> String {
        format!("root@127.0.0.1:{}", self.sshd.port)
    }

    fn collection(&self) -> PathBuf {
        self.folder.path().join("collection")
    }

    fn samples_file(&self) -> PathBuf {
        self.collection().join(format!("servers/127.0.0.1_{}/samples.txt", self.sshd.port))
    }

    fn samples(&self) -> usize {
        let text = std::fs::read_to_string(self.samples_file()).unwrap_or_default();
        text.lines().filter(|line| !line.starts_with('#')).count()
    }

    fn start(&self) -> Child {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        let mut command = Command::new(BINARY);
        command.args(["survey", "run", &self.source(), "--step", "1", "--out"]).arg(self.collection());
        command.args(["--ssh-config", &self.sshd.client_config()]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("survey.log")
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn eventually(&self, what: &str, reached: impl Fn() -> bool) {
        let began = Instant::now();
        while !reached() {
            assert!(began.elapsed() < Duration::from_secs(90), "{what}; it said:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn signal(child: &mut Child, name: &str) {
    Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    child.wait().unwrap();
}

/// Milliseconds of CPU of a process and of what it has waited for.
fn cpu_ms(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    fields.get(11..15).map_or(0, |ticks| ticks.iter().filter_map(|t| t.parse::<u64>().ok()).sum::<u64>() * 10)
}

fn is_shell(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sh\0-s\0"))
}

fn home() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir("/root")
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn e2e_a_survey_goes_on_whatever_is_cut_short_and_leaves_nothing_behind() {
    let mut survey = Survey::new();
    survey.sshd.trust();
    let before = home();
    let mut run = survey.start();
    survey.eventually("samples come", || survey.samples() >= 5);

    // The source is hardly touched: one shell, a few milliseconds for each sample.
    let shell = survey.sshd.sessions().into_iter().find(|pid| is_shell(*pid)).expect("a shell on the source");
    let (spent, seen) = (cpu_ms(shell), survey.samples() as u64);
    assert!(spent / seen <= SAMPLE_MS_MAX, "{spent} ms of CPU for {seen} samples");

    // The source loses its power, and comes back.
    survey.sshd.kill();
    survey.eventually("the loss is told", || survey.said().contains("tried again in"));
    let seen = survey.samples();
    survey.sshd.start_again();
    survey.eventually("samples come again by themselves", || survey.samples() > seen + 2);

    // We lose ours in the middle of a line.
    signal(&mut run, "-9");
    let path = survey.samples_file();
    let text = std::fs::read(&path).unwrap();
    std::fs::write(&path, &text[..text.len() - 7]).unwrap();
    let seen = survey.samples();
    let mut run = survey.start();
    survey.eventually("it goes on", || survey.samples() > seen + 2);
    signal(&mut run, "-INT");
    assert!(survey.said().contains("1 of 1 server reached"), "{}", survey.said());
    survey.eventually("nothing runs on the source", || !survey.sshd.sessions().into_iter().any(is_shell));
    assert_eq!(home(), before, "nothing is left in the home");

    a_plan_is_made_of_it(survey.folder.path(), &survey.collection());
}

fn a_plan_is_made_of_it(folder: &Path, collection: &Path) {
    let traces = folder.join("traces");
    let ok = |arguments: &[&str]| {
        let told = Command::new(BINARY).args(arguments).current_dir(folder).output().unwrap();
        assert!(told.status.success(), "{arguments:?}: {}", told.all_text());
        told.stdout_text()
    };
    let told = ok(&["survey", "export", collection.to_str().unwrap(), "--to", "traces", "--bin", "5"]);
    assert!(told.contains("1 server in "), "{told}");
    let servers = std::fs::read_to_string(traces.join("servers.csv")).unwrap();
    let cores = std::thread::available_parallelism().unwrap().to_string();
    let row: Vec<&str> = servers.lines().nth(1).unwrap().split(',').collect();
    assert_eq!(row[1], cores);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap();
    let kib: u64 = memory.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert_eq!(row[3].parse::<u64>().unwrap(), kib.div_ceil(1_024));
    let used = std::fs::read_to_string(traces.join("mem_mib.csv")).unwrap();
    assert!(
        used.lines()
            .nth(1)
            .unwrap()
            .split(',')
            .skip(1)
            .any(|value| value.parse::<u64>().is_ok_and(|v| v > 0))
    );

    let hosts =
        "[[host_type]]\nname = \"big\"\ncpu_cores = 64\ncpu_mhz = 900000\nmemory_mib = 4000000\nprice = 1\n";
    std::fs::write(folder.join("hosts.toml"), hosts).unwrap();
    let plan = ["plan", "make", "--traces", "traces", "--hosts", "hosts.toml", "--out", "plan.json"];
    let told = ok(&[&plan[..], &["--time-limit", "1"]].concat());
    assert!(told.contains("1 server on 1 host") && told.contains("the traces are too short"), "{told}");
    ok(&["plan", "verify", "plan.json", "--traces", "traces"]);
}

#[test]
fn e2e_a_source_that_is_not_known_or_not_there_is_told_and_never_trusted() {
    let mut survey = Survey::new();
    let mut run = survey.start();
    survey.eventually("its key is unknown", || survey.said().contains("Host key verification failed"));
    survey.sshd.kill();
    survey.eventually("it is gone", || survey.said().contains("Connection refused"));
    signal(&mut run, "-INT");
    assert_eq!(survey.samples(), 0);
    let told =
        Command::new(BINARY).args(["survey", "export"]).arg(survey.collection()).args(["--to", "x"]).output();
    let told = told.unwrap().all_text();
    assert!(told.contains("there is no sample yet"), "{told}");
    let told =
        Command::new(BINARY).args(["survey", "run", "-oProxyCommand=x", "--out", "x"]).output().unwrap();
    assert!(!told.status.success());
    let told = Command::new(BINARY)
        .args(["survey", "run", "--out", "x", "--", "-oProxyCommand=x"])
        .output()
        .unwrap();
    assert!(told.all_text().contains("is no source"), "{}", told.all_text());
}

/// A guest as a source: what is collected over SSH is what the guest is, and a load that is made in it is seen.
pub fn surveyed(world: &World, vm: &str, user: &str, port: u16, identity: &str) {
    let path = |name: &str| world.path().join(name).to_str().unwrap().to_owned();
    let key = world.exec(vm, "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub");
    std::fs::write(path("known_hosts"), format!("[127.0.0.1]:{port} {key}")).unwrap();
    let client =
        format!("Host *\n  UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n", path("known_hosts"));
    std::fs::write(path("ssh_config"), client).unwrap();
    let (source, collection, traces) = (format!("{user}@127.0.0.1:{port}"), path("survey"), path("traces"));
    let samples = || {
        let file = format!("{collection}/servers/127.0.0.1_{port}/samples.txt");
        std::fs::read_to_string(file).unwrap_or_default().lines().count()
    };
    let mut command = Command::new(BINARY);
    command.args(["survey", "run", &source, "--step", "2", "--out", &collection]);
    command.args(["--identity", identity, "--ssh-config", &path("ssh_config")]);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    world.eventually("the guest is sampled", || samples() > 3);
    world.exec(vm, "timeout 15 sh -c 'while :; do :; done'; true");
    world.eventually("the load is sampled", || samples() > 12);
    signal(&mut run, "-INT");

    world.ok(&["survey", "export", &collection, "--to", &traces, "--bin", "2"]);
    let servers = std::fs::read_to_string(format!("{traces}/servers.csv")).unwrap();
    let row: Vec<&str> = servers.lines().nth(1).unwrap().split(',').collect();
    assert_eq!(row[1], world.exec(vm, "nproc").trim());
    let kib: u64 = world.exec(vm, "awk '/^MemTotal/ {print $2}' /proc/meminfo").trim().parse().unwrap();
    assert_eq!(row[3].parse::<u64>().unwrap(), kib.div_ceil(1_024));
    assert!(row[4].contains("Debian"), "{row:?}");
    let cap: u64 = row[2].parse().unwrap();
    let cpu = std::fs::read_to_string(format!("{traces}/cpu_mhz.csv")).unwrap();
    let loads: Vec<u64> =
        cpu.lines().nth(1).unwrap().split(',').skip(1).filter_map(|load| load.parse().ok()).collect();
    assert!(loads.iter().any(|load| load * 10 > cap * 8), "a CPU that is busy is seen: {loads:?} of {cap}");
}
