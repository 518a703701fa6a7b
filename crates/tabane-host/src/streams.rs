//! This host's end of byte streams that the server asked for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tabane_client::{Client, Stream};
use tabane_model::{
    Class, Name, Power, Problem,
    api::{ExecRequest, StreamKind, StreamOrder, exec_frame},
};
use tabane_qemu::agent::{ExecStatus, Input, Output, Program};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Error, Result, agent::Shared, files, image, moving, vm::LiveParts};

/// Shorter than the server waits for us.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const EXEC_TIMEOUT: Duration = Duration::from_secs(3600);
const STDIN_BYTES_MAX: usize = 16 << 20;
const PICTURE_BYTES_MAX: u64 = 64 << 20;

pub async fn serve(shared: Arc<Shared>, client: Client, order: StreamOrder) {
    let host = shared.identity.name.clone();
    if let Err(error) = answer(&shared, &client, &host, &order).await {
        tracing::debug!(error = error.told(), "a stream is refused");
        if let Err(error) = client.refuse_stream(host.as_str(), order.id, &error.problem()).await {
            tracing::debug!(error = Error::Client(error).told(), "nobody waits for the stream any more");
        }
    }
}

/// What can fail is done before the stream is opened: then the client gets a proper answer instead of a broken stream.
async fn answer(shared: &Arc<Shared>, client: &Client, host: &Name, order: &StreamOrder) -> Result<()> {
    let open = async || -> Result<Stream> { Ok(client.answer_stream(host.as_str(), order.id).await?) };
    match &order.stream {
        StreamKind::Console { vm } => {
            let parts = live(shared, vm).await?;
            let stream = open().await?;
            parts.console.attach(stream).await;
        }
        StreamKind::Vnc { vm } => {
            let mut display =
                tabane_qemu::socket::connect(&live(shared, vm).await?.folder.join("vnc.sock")).await?;
            let mut stream = open().await?;
            let _ = tokio::io::copy_bidirectional(&mut display, &mut stream).await;
        }
        StreamKind::Screenshot { vm } => {
            let picture = screenshot(&live(shared, vm).await?, order.id).await?;
            let mut stream = open().await?;
            let sent = async {
                stream.write_all(&picture).await?;
                stream.shutdown().await
            };
            let _ = sent.await;
        }
        StreamKind::Exec { vm, exec } => {
            let parts = live(shared, vm).await?;
            parts.agent.ping_within(Duration::from_secs(5)).await.map_err(|_| {
                let hint = "wait until it has booted (`--wait agent`), or install qemu-guest-agent in it";
                Error::unfit(format!("the guest agent of {vm} does not answer"), hint)
            })?;
            let stream = open().await?;
            if let Err(error) = self::exec(&parts, exec, stream).await {
                tracing::debug!(%error, "an exec stream broke off");
            }
        }
        StreamKind::Upload { image, offset_bytes } => {
            let upload = image::receive_upload(shared, image, *offset_bytes)?;
            let stream = open().await?;
            upload.receive(shared, stream).await?;
        }
        StreamKind::Leaving { vm, leaving } => moving::serve(shared, vm, leaving, open).await?,
        StreamKind::Export { snapshot, export } => {
            let export = crate::export::prepare(shared, snapshot, export, order.id)?;
            let stream = open().await?;
            if let Err(error) = export.send(stream).await {
                tracing::debug!(%error, "an export broke off");
            }
        }
        StreamKind::PlanPackage => {
            let stream = open().await?;
            if let Err(error) = crate::package::plan(stream).await {
                tracing::debug!(%error, "a plan broke off");
            }
        }
        StreamKind::ImageFiles { digest } => {
            let stored = shared
                .images
                .store()
                .load(digest)
                .ok_or_else(|| Error::Stream("the image is not on this host any more".into()))?;
            let stream = open().await?;
            image::send_files(shared.images.store(), &stored, stream).await?;
        }
    }
    Ok(())
}

/// The VM while it runs. An agent that has just started may not have looked at it yet: one that is to be on is waited for.
async fn live(shared: &Shared, vm: &Name) -> Result<LiveParts> {
    let until = Instant::now() + CONNECT_TIMEOUT;
    loop {
        if let Some(parts) = shared.handle(vm).and_then(|handle| handle.live.get()) {
            return Ok(parts);
        }
        let is_to_be_on = !shared.objects.is_synced()
            || shared.objects.vm(vm).is_some_and(|vm| matches!(vm.spec.power, Power::On | Power::Paused));
        if !is_to_be_on || Instant::now() > until {
            let hint = format!("start it: `tabane vm start {vm}`");
            return Err(Error::unfit(format!("the VM {vm} does not run"), hint));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn screenshot(parts: &LiveParts, id: tabane_model::Uid) -> Result<Vec<u8>> {
    use std::io::Read;
    let path = parts.folder.join(format!("screen-{}.png", id.simple()));
    let drawn = parts.qmp.screendump(&path).await;
    let read = || -> std::io::Result<Vec<u8>> {
        let file = files::open_foreign(&path, std::fs::OpenOptions::new().read(true))?;
        let mut picture = Vec::new();
        file.take(PICTURE_BYTES_MAX).read_to_end(&mut picture)?;
        Ok(picture)
    };
    let picture = drawn.map_err(Error::from).and_then(|()| read().map_err(Error::file("read", &path)));
    files::remove(&path)?;
    picture
}

/// Runs a command in the guest. The guest agent keeps output until the end; it is sent then.
async fn exec(parts: &LiveParts, request: &ExecRequest, mut stream: Stream) -> std::io::Result<()> {
    let input = if request.stdin { Input::Bytes(read_stdin(&mut stream).await?) } else { Input::Nothing };
    let [program, arguments @ ..] = request.command.as_slice() else { return Ok(()) };
    let mut program = Program::new(program.clone(), arguments.iter().cloned());
    program.environment = request.environment.clone();
    program.input = input;
    let timeout = request.timeout_s.map_or(EXEC_TIMEOUT, |s| Duration::from_secs(s.into())).min(EXEC_TIMEOUT);
    let ended = tokio::time::timeout(timeout, run(parts, &program)).await;
    match ended {
        Ok(Ok(output)) => {
            send_all(&mut stream, exec_frame::STDOUT, &output.stdout).await?;
            send_all(&mut stream, exec_frame::STDERR, &output.stderr).await?;
            let code = output.exit_code.unwrap_or_else(|| 128 + output.signal.unwrap_or(127));
            send(&mut stream, exec_frame::EXIT, &(code as i32).to_be_bytes()).await?;
        }
        Ok(Err(error)) => send_problem(&mut stream, &error.problem()).await?,
        Err(_) => {
            let detail =
                format!("the command has not ended after {} s; it goes on in the guest", timeout.as_secs());
            let problem = Problem::new(Class::Unavailable, "exec_timed_out", detail)
                .with_hint("use a longer --timeout");
            send_problem(&mut stream, &problem).await?;
        }
    }
    stream.shutdown().await
}

async fn run(parts: &LiveParts, program: &Program) -> Result<Output> {
    let pid = parts.agent.exec(program, true).await?;
    let mut pause = Duration::from_millis(10);
    loop {
        tokio::time::sleep(pause).await;
        match parts.agent.exec_status(pid).await? {
            ExecStatus::Ended(output) => return Ok(output),
            ExecStatus::Running => pause = (pause * 3 / 2).min(Duration::from_millis(500)),
        }
    }
}

/// Frames of standard input up to an empty one.
async fn read_stdin(stream: &mut Stream) -> std::io::Result<Vec<u8>> {
    let mut input = Vec::new();
    loop {
        let channel = stream.read_u8().await?;
        let length = stream.read_u32().await? as usize;
        if channel != exec_frame::STDIN
            || length > exec_frame::LENGTH_MAX
            || input.len() + length > STDIN_BYTES_MAX
        {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        if length == 0 {
            return Ok(input);
        }
        let start = input.len();
        input.resize(start + length, 0);
        stream.read_exact(&mut input[start..]).await?;
    }
}

async fn send_all(stream: &mut Stream, channel: u8, bytes: &[u8]) -> std::io::Result<()> {
    for chunk in bytes.chunks(exec_frame::LENGTH_MAX) {
        send(stream, channel, chunk).await?;
    }
    Ok(())
}

async fn send(stream: &mut Stream, channel: u8, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_u8(channel).await?;
    stream.write_u32(bytes.len() as u32).await?;
    stream.write_all(bytes).await
}

async fn send_problem(stream: &mut Stream, problem: &Problem) -> std::io::Result<()> {
    let text = serde_json::to_vec(problem).expect("has string keys");
    send(stream, exec_frame::PROBLEM, &text).await
}
