//! What a QEMU that was taken over might say: events and answers on a real socket.

#![no_main]

use std::{cell::RefCell, time::Duration};

use libfuzzer_sys::fuzz_target;
use tabane_qemu::qmp::{Notice, Qmp};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixListener,
    runtime::Runtime,
};

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
        let listener = UnixListener::bind(folder.path().join("qmp")).expect("a socket");
        drop(_inside);
        World { runtime, listener, folder }
    });
}

/// Greets properly, then says what it is told to say, and closes.
async fn peer(listener: &UnixListener, said: &[u8]) -> std::io::Result<()> {
    let (stream, _) = listener.accept().await?;
    let (from, mut to) = stream.into_split();
    let mut lines = BufReader::new(from).lines();
    to.write_all(b"{\"QMP\":{\"version\":{},\"capabilities\":[]}}\n").await?;
    // The number of the call is known to whoever answers.
    for answer in [b"{\"return\":{},\"id\":@}\n".as_slice(), said] {
        let Some(line) = lines.next_line().await? else { return Ok(()) };
        let id = serde_json::from_str::<serde_json::Value>(&line).unwrap_or_default()["id"].to_string();
        let text: Vec<u8> = answer.split(|byte| *byte == b'@').collect::<Vec<_>>().join(id.as_bytes());
        to.write_all(&text).await?;
    }
    to.shutdown().await
}

async fn call(qmp: &Qmp, which: u8) {
    match which % 6 {
        0 => drop(qmp.query_status().await),
        1 => drop(qmp.query_block().await),
        2 => drop(qmp.query_block_stats().await),
        3 => drop(qmp.query_named_block_nodes().await),
        4 => drop(qmp.query_memory_devices().await),
        _ => drop(qmp.query_version().await),
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((which, said)) = input.split_first() else { return };
    WORLD.with_borrow(|world| {
        world.runtime.block_on(async {
            let path = world.folder.path().join("qmp");
            let client = async {
                let (qmp, mut events) = Qmp::connect(&path, Duration::from_secs(5)).await.expect("it greets");
                call(&qmp, *which).await;
                // A call that has its answer ends before all was read; the end of the connection ends the events.
                while let Some(notice) = events.next().await {
                    if let Notice::Event(event) = notice {
                        let _ = (event.as_shutdown(), event.as_reset(), event.as_block_io_error());
                        let _ = (event.as_device_deleted(), event.as_unplug_refused());
                        let _ = (event.as_guest_panicked(), event.as_serial_port_change());
                    }
                }
            };
            let _ = tokio::join!(client, peer(&world.listener, said));
        });
    });
});
