//! The process: rights, handles, adoption, ends.

use std::os::fd::AsRawFd;

use tabane_qemu::process::{Exit, ExitStatus, ProcessId, Signal, boot_id};
use tabane_qemu::qmp::{Notice, RunState};

use crate::support::{LONG, UID, is_root, machine, start};

fn status_field(id: ProcessId, field: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", id.pid)).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{field}:"))).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn it_runs_with_as_few_rights_as_possible() {
    // A handle that a careless library left open for everybody.
    let leak = std::fs::File::open("/etc/hostname").unwrap();
    // SAFETY: plain system call on a handle of this test.
    assert_eq!(unsafe { libc::fcntl(leak.as_raw_fd(), libc::F_SETFD, 0) }, 0);
    let qemu = start(&machine("rights").await).await;

    assert_eq!(status_field(qemu.id, "NoNewPrivs"), "1");
    assert_eq!(status_field(qemu.id, "Seccomp"), "2");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status_field(qemu.id, set), "0000000000000000", "{set}");
    }
    if is_root() {
        assert_eq!(status_field(qemu.id, "CapBnd"), "0000000000000000");
        assert_eq!(status_field(qemu.id, "Uid"), format!("{UID} {UID} {UID} {UID}"));
        assert_eq!(status_field(qemu.id, "Groups"), "");
    }
    assert_eq!(status_field(qemu.id, "Umask"), "0077");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", qemu.id.pid)).unwrap();
    assert!(limits.lines().any(|line| line.starts_with("Max core file size        0 ")), "{limits}");
    // A session of its own: QEMU is its leader.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", qemu.id.pid)).unwrap();
    let session: u32 = stat.rsplit(')').next().unwrap().split_whitespace().nth(3).unwrap().parse().unwrap();
    assert_eq!(session, qemu.id.pid);

    let open: Vec<_> = std::fs::read_dir(format!("/proc/{}/fd", qemu.id.pid))
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .collect();
    assert!(!open.iter().any(|path| path.starts_with("/etc")), "{open:?}");
}

#[tokio::test]
async fn it_is_found_again_by_its_identity() {
    let qemu = start(&machine("adopted").await).await;
    // What a new agent reads from the disk after an upgrade.
    let text = serde_json::to_string(&(qemu.id, boot_id().unwrap())).unwrap();
    let (adopted, boot): (ProcessId, uuid::Uuid) = serde_json::from_str(&text).unwrap();
    assert_eq!(boot, boot_id().unwrap());
    assert!(adopted.is_alive());
    assert_eq!(ProcessId::of(adopted.pid).unwrap(), adopted);

    adopted.kill(Signal::Kill).unwrap();
    let exit = tokio::time::timeout(LONG, adopted.wait()).await.unwrap();
    assert_eq!(exit, Exit { status: Some(ExitStatus::Signal(libc::SIGKILL)) });
    assert!(!adopted.is_alive());
}

/// Plays the agent: starts a QEMU and ends. To be run by the next test only.
#[tokio::test]
#[ignore = "it is run by it_outlives_whoever_started_it"]
async fn start_one_and_leave() {
    let Ok(answer) = std::env::var("TABANE_QEMU_TEST_ANSWER") else { return };
    let qemu = start(&machine("outliving").await).await;
    std::fs::write(answer, serde_json::to_string(&(qemu.id, qemu.path("qmp.sock"))).unwrap()).unwrap();
    // No guard shall run.
    std::process::exit(0);
}

struct Guard(ProcessId);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill(Signal::Kill);
    }
}

#[tokio::test]
async fn it_outlives_whoever_started_it() {
    let root = tempfile::tempdir().unwrap();
    let answer = root.path().join("answer");
    let status = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "launch::start_one_and_leave", "--ignored"])
        .env("TABANE_QEMU_TEST_ANSWER", &answer)
        .env("TMPDIR", root.path())
        .stdout(std::process::Stdio::null())
        .status()
        .await
        .unwrap();
    assert!(status.success());
    let text = std::fs::read_to_string(&answer).unwrap();
    let (id, socket): (ProcessId, std::path::PathBuf) = serde_json::from_str(&text).unwrap();
    let guard = Guard(id);
    assert!(id.is_alive());
    let (qmp, mut events) = tabane_qemu::qmp::Qmp::connect(&socket, LONG).await.unwrap();
    assert_eq!(qmp.query_status().await.unwrap().state, RunState::Prelaunch);

    qmp.quit().await.unwrap();
    // Not our child: its end is seen, its status is not.
    let exit = tokio::time::timeout(LONG, id.wait()).await.unwrap();
    assert_eq!(exit, Exit { status: None });
    let mut reason = None;
    while let Some(notice) = events.next().await {
        if let Notice::Event(event) = notice {
            reason = event.as_shutdown().map(|(guest, reason)| (guest, reason.to_owned())).or(reason);
        }
    }
    assert_eq!(reason, Some((false, "host-qmp-quit".into())));
    drop(guard);
}
