//! A real guest agent, run on this host and asked only for what does no harm.

use std::process::Stdio;
use std::time::Duration;

use tabane_qemu::Error;
use tabane_qemu::agent::{Agent, FreezeState, Input, Program, Run};

use crate::support::LONG;

#[tokio::test]
#[ignore = "it needs the program qemu-ga, which hosts rarely have; TABANE_QEMU_GA names it"]
async fn a_real_agent_is_understood() {
    let program = std::env::var("TABANE_QEMU_GA").unwrap_or_else(|_| "qemu-ga".into());
    let root = tempfile::tempdir().unwrap();
    let socket = root.path().join("agent.sock");
    let child = tokio::process::Command::new(&program)
        .args(["-m", "unix-listen", "-t"])
        .arg(root.path())
        .args([std::ffi::OsStr::new("-p"), socket.as_os_str()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let _child = child.unwrap_or_else(|error| panic!("this test needs {program}: {error}"));
    while !socket.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let agent = Agent::new(&socket);
    agent.ping().await.unwrap();
    assert!(agent.info().await.unwrap().allows("guest-exec"));
    assert!(!agent.host_name().await.unwrap().is_empty());
    assert!(agent.os_info().await.unwrap().kernel_release.is_some());
    let interfaces = agent.network_interfaces().await.unwrap();
    assert!(
        interfaces.iter().any(|one| one.ip_addresses.iter().any(|address| address.address == "127.0.0.1"))
    );
    agent.file_systems().await.unwrap();
    assert!(agent.vcpus().await.unwrap().iter().any(|cpu| cpu.online));
    assert_eq!(agent.fsfreeze_status().await.unwrap(), FreezeState::Thawed);
    assert!(agent.time_ns().await.unwrap() > 0);

    let mut program = Program::new("/bin/sh", ["-c", "cat; echo $X >&2; exit 3"]);
    program.environment = vec!["X=why".into()];
    program.input = Input::Bytes(b"in\0put".to_vec());
    let output = agent.run_to_end(&program, LONG).await.unwrap();
    assert_eq!(
        (output.exit_code, &output.stdout[..], &output.stderr[..]),
        (Some(3), &b"in\0put"[..], &b"why\n"[..])
    );
    let output = agent.run_to_end(&Program::new("/bin/sh", ["-c", "kill -9 $$"]), LONG).await.unwrap();
    assert_eq!(output.signal, Some(9));
    // More than the agent keeps.
    let flood = Program::new("/bin/sh", ["-c", "head -c 20000000 /dev/zero"]);
    let output = agent.run_to_end(&flood, LONG).await.unwrap();
    assert!(output.stdout_truncated && output.stdout.len() == 16 << 20, "{}", output.stdout.len());
    let sleep = Program::new("/bin/sleep", ["2"]);
    let run = agent.run(&sleep, Duration::from_millis(50)).await.unwrap();
    assert!(matches!(run, Run::StillRunning { .. }));

    let path = root.path().join("file");
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
    agent.write_file(path.to_str().unwrap(), &content).await.unwrap();
    assert!(agent.read_file(path.to_str().unwrap(), 4 << 20).await.unwrap() == content);
    assert!(agent.read_file(path.to_str().unwrap(), 1 << 20).await.is_err());
    assert!(matches!(agent.read_file("/nonexistent", 1).await, Err(Error::Agent { .. })));
    // Requests cut off in the middle leave nothing behind.
    for _ in 0..20 {
        let _ = tokio::time::timeout(Duration::from_micros(300), agent.info()).await;
    }
    assert!(!agent.host_name().await.unwrap().is_empty());
}
