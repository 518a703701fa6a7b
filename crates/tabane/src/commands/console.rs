//! `tabane vm console`: the serial console on this terminal.

use std::{io::IsTerminal, process::ExitCode};

use anyhow::{Result, bail};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    signal::unix::{SignalKind, signal},
};

use super::DONE;
use crate::{arguments::VmConsole, context::Context};

/// So many presses of the escape key leave: once and twice may be meant for the guest.
const PRESSES: u32 = 3;

/// The terminal as it was, put back however we leave.
struct Raw(Termios);

impl Raw {
    fn enter() -> Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

pub async fn run(context: &Context, arguments: &VmConsole) -> Result<ExitCode> {
    let key = arguments.escape.to_ascii_uppercase();
    if !('@'..='_').contains(&key) {
        bail!("--escape takes a letter or one of @ [ \\ ] ^ _, which has a code together with Ctrl");
    }
    let code = key as u8 & 0x1f;
    let stream = context.client().await?.console(arguments.name.as_str()).await?;
    let terminal = std::io::stdin().is_terminal();
    if terminal {
        eprintln!("console of {}; Ctrl-{key} three times leaves", arguments.name);
    }
    // Told to end, we end by ourselves: the system would leave the terminal as it is.
    let (mut terminate, mut hang_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let raw = if terminal { Some(Raw::enter()?) } else { None };
    let ended = tokio::select! {
        ended = relay(stream, code, terminal) => ended,
        _ = terminate.recv() => Ok(Ended::BySignal(SignalKind::terminate())),
        _ = hang_up.recv() => Ok(Ended::BySignal(SignalKind::hangup())),
    };
    drop(raw);
    if terminal {
        eprintln!();
    }
    match ended? {
        Ended::Left => {}
        Ended::ByVm => eprintln!("the console of {} was closed: the VM ended, or its host", arguments.name),
        Ended::BySignal(signal) => return Ok(ExitCode::from(128 + signal.as_raw_value() as u8)),
    }
    Ok(DONE)
}

enum Ended {
    Left,
    ByVm,
    BySignal(SignalKind),
}

async fn relay(stream: tabane_client::Stream, escape: u8, terminal: bool) -> Result<Ended> {
    let (mut from_vm, mut to_vm) = tokio::io::split(stream);
    let (mut input, mut output) = (tokio::io::stdin(), tokio::io::stdout());
    let mut typed = vec![0; 1024];
    let mut said = vec![0; 16 << 10];
    let mut presses = 0;
    let mut input_open = true;
    loop {
        tokio::select! {
            read = input.read(&mut typed), if input_open => {
                let read = read?;
                if read == 0 {
                    // A pipe that has ended: what the console still says is shown until it ends, too.
                    input_open = false;
                    continue;
                }
                for byte in &typed[..read] {
                    presses = if *byte == escape && terminal { presses + 1 } else { 0 };
                    if presses == PRESSES {
                        return Ok(Ended::Left);
                    }
                }
                to_vm.write_all(&typed[..read]).await?;
            }
            read = from_vm.read(&mut said) => match read {
                Ok(0) | Err(_) => return Ok(Ended::ByVm),
                Ok(n) => {
                    output.write_all(&said[..n]).await?;
                    output.flush().await?;
                }
            },
        }
    }
}
