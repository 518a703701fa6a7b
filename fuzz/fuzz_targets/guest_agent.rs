//! What a hostile guest might answer: the guest agent's channel on a real socket.

#![no_main]

use std::{cell::RefCell, time::Duration};

use libfuzzer_sys::fuzz_target;
use tabane_qemu::agent::{Agent, Limits};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixListener,
    runtime::Runtime,
};

const LIMITS: Limits =
    Limits { timeout: Duration::from_secs(5), line_bytes_max: 64 << 10, content_line_bytes_max: 64 << 10 };

struct World {
    runtime: Runtime,
    listener: UnixListener,
    folder: tempfile::TempDir,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new({
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let _inside = runtime.enter();
        let listener = UnixListener::bind(folder.path().join("agent")).expect("a socket");
        drop(_inside);
        World { runtime, listener, folder }
    });
}

/// With an odd `honest` it gets in step as an agent does, and says the rest afterwards; otherwise it says all at once.
async fn guest(listener: &UnixListener, honest: bool, said: &[u8]) -> std::io::Result<()> {
    let (stream, _) = listener.accept().await?;
    let (from, mut to) = stream.into_split();
    let mut lines = BufReader::new(from).split(b'\n');
    if let Some(line) = lines.next_segment().await?
        && honest
    {
        let line = line.strip_prefix(b"\xff").unwrap_or(&line);
        let id = &serde_json::from_slice::<serde_json::Value>(line).unwrap_or_default()["arguments"]["id"];
        to.write_all(b"\xff").await?;
        to.write_all(format!("{{\"return\": {id}}}\n").as_bytes()).await?;
    }
    to.write_all(said).await?;
    to.shutdown().await
}

async fn call(agent: &Agent, which: u8) {
    match which % 8 {
        0 => drop(agent.info().await),
        1 => drop(agent.os_info().await),
        2 => drop(agent.network_interfaces().await),
        3 => drop(agent.file_systems().await),
        4 => drop(agent.vcpus().await),
        5 => drop(agent.exec_status(1).await),
        6 => drop(agent.read_file("/etc/x", 1 << 10).await),
        _ => drop(agent.host_name().await),
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((which, said)) = input.split_first() else { return };
    WORLD.with_borrow(|world| {
        world.runtime.block_on(async {
            let agent = Agent::with_limits(world.folder.path().join("agent"), LIMITS);
            let client = async {
                call(&agent, *which >> 1).await;
                drop(agent);
            };
            let _ = tokio::join!(client, guest(&world.listener, which & 1 == 1, said));
        });
    });
});
