//! A collection of a server: measured over real SSH by a collector, whatever of both is killed.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    planning::{command, serve},
    sshd::Sshd,
    world::Texts,
};

struct World {
    folder: tempfile::TempDir,
    sshd: Sshd,
    server: Child,
}

impl Drop for World {
    fn drop(&mut self) {
        end(&mut self.server);
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn log(folder: &Path, name: &str) -> std::fs::File {
    std::fs::OpenOptions::new().create(true).append(true).open(folder.join(name)).unwrap()
}

impl World {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("tabane-e2e-").tempdir_in("/var/tmp").unwrap();
        let sshd = Sshd::start(folder.path());
        sshd.trust();
        let server = serve(folder.path());
        Self { folder, sshd, server }
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        command(self.folder.path(), arguments).output().unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let told = self.ask(arguments);
        assert!(told.status.success(), "{arguments:?}: {}", told.all_text());
        told.stdout_text()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[arguments, &["-o", "json"]].concat())).unwrap()
    }

    fn status(&self) -> Value {
        self.json(&["collection", "get", "may"])["status"].clone()
    }

    fn samples(&self) -> u64 {
        self.status()["report"]["samples"].as_u64().unwrap_or(0)
    }

    /// A collector, in a folder of its own.
    fn collect(&self, out: &str) -> Command {
        let arguments = ["survey", "run", "--collection", "may", "--out", out];
        let mut command = command(self.folder.path(), &arguments);
        command.args(["--ssh-config", &self.sshd.client_config()]);
        let log = log(self.folder.path(), "collector.log");
        command.stdout(log.try_clone().unwrap()).stderr(log);
        command
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("collector.log")).unwrap_or_default()
    }

    fn eventually(&self, what: &str, reached: impl Fn() -> bool) {
        let began = Instant::now();
        while !reached() {
            assert!(
                began.elapsed() < Duration::from_secs(90),
                "{what}; the collector said:\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn samples_file(&self) -> PathBuf {
        self.folder.path().join(format!("out/servers/127.0.0.1_{}/samples.txt", self.sshd.port))
    }

    fn samples_kept(&self) -> usize {
        std::fs::read_to_string(self.samples_file()).unwrap_or_default().lines().count()
    }
}

#[test]
fn e2e_a_collection_goes_on_whatever_is_killed_and_becomes_surveys() {
    let mut world = World::start();
    let source = format!("root@127.0.0.1:{}", world.sshd.port);
    let gone = format!("root@127.0.0.1:{}", crate::sshd::free_port());
    world.ok(&["collection", "create", "may", &source, &gone, "--step", "1"]);
    let mut collector = world.collect("out").spawn().unwrap();
    world.eventually("samples are told", || world.samples() >= 3);
    let report = world.status()["report"].clone();
    assert_eq!((&report["servers"], &report["reached"]), (&2.into(), &1.into()), "{report}");
    let [lost, measured] = [0, 1].map(|at| &report["sources"][at]);
    assert_eq!((&lost["source"], &lost["state"]), (&gone.as_str().into(), &"lost".into()), "{report}");
    assert!(lost["message"].as_str().unwrap().contains("refused"), "{report}");
    assert_eq!(measured["source"], source.as_str());
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(measured["cores"].as_u64(), Some(cores as u64));
    let load = &measured["load"];
    assert!(load["memory_mib"].as_u64() > Some(0) && load["cpu_share"].as_f64() <= Some(1.0), "{report}");
    let listed = world.ok(&["collection", "list"]);
    assert!(listed.contains("may") && listed.contains("running"), "{listed}");

    // Another one, elsewhere, is refused; nothing is measured twice.
    let second = world.collect("other").output().unwrap();
    assert!(!second.status.success());
    assert!(world.said().contains("is at it"), "{}", world.said());

    // A survey while it goes on.
    world.ok(&["collection", "survey", "may", "first", "--wait", "ready", "--timeout", "60"]);
    world.ok(&["survey", "get", "first"]);
    world.eventually("it is read", || world.json(&["survey", "get", "first"])["status"]["phase"] == "ready");
    assert_eq!(world.json(&["survey", "get", "first"])["status"]["servers_measured"], 1);

    // The collector dies, and goes on at once in the same folder.
    end(&mut collector);
    let kept = world.samples_kept();
    let mut collector = world.collect("out").spawn().unwrap();
    world.eventually("it goes on", || world.samples_kept() > kept + 2);

    // The server dies; measuring goes on without it.
    end(&mut world.server);
    world.eventually("it is noticed", || world.said().contains("measuring goes on"));
    let kept = world.samples_kept();
    world.eventually("samples are kept", || world.samples_kept() > kept + 2);
    world.server = serve(world.folder.path());
    world.eventually("the server is told again", || world.said().contains("the server is there again"));

    // It ends with a survey of all, which has what was measured before and after.
    world.ok(&["collection", "end", "may", "--wait", "ready", "--timeout", "60"]);
    assert!(collector.wait().unwrap().success(), "{}", world.said());
    let status = world.status();
    assert_eq!(
        (&status["phase"], &status["surveys"]),
        (&"ended".into(), &serde_json::json!(["first", "may"]))
    );
    world.eventually("it is read", || world.json(&["survey", "get", "may"])["status"]["phase"] == "ready");
    let exports = std::fs::read_dir(world.folder.path().join("out/surveys")).unwrap().count();
    assert_eq!(exports, 0, "what the server has is not kept twice");
    // Who has measured it may ask again, and has nothing to do; nobody else begins.
    assert!(world.collect("out").output().unwrap().status.success(), "{}", world.said());
    assert!(!world.collect("other").output().unwrap().status.success());
    assert!(world.said().contains("has ended"), "{}", world.said());
    world.ok(&["collection", "delete", "may"]);
    world.ok(&["survey", "get", "may"]);

    // Another collection of the same name does not take samples for its own.
    world.ok(&["survey", "delete", "may"]);
    world.ok(&["collection", "create", "may", &source]);
    assert!(!world.collect("out").output().unwrap().status.success());
    assert!(world.said().contains("out has samples of another collection"), "{}", world.said());
}
