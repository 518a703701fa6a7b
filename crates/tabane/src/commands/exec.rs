//! `tabane vm exec`: a command in the guest, with its streams and exit code.

use std::{io::Write, process::ExitCode};

use anyhow::{Result, bail};
use tabane_model::{
    Problem,
    api::{ExecRequest, exec_frame},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{arguments::VmExec, context::Context};

pub async fn run(context: &Context, arguments: &VmExec) -> Result<ExitCode> {
    let request = ExecRequest {
        command: arguments.command.clone(),
        environment: Vec::new(),
        stdin: arguments.stdin,
        timeout_s: arguments.timeout,
    };
    let mut stream = context.client().await?.exec(arguments.name.as_str(), &request).await?;
    if arguments.stdin {
        let mut input = tokio::io::stdin();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = input.read(&mut buffer).await?;
            stream.write_u8(exec_frame::STDIN).await?;
            stream.write_u32(read as u32).await?;
            stream.write_all(&buffer[..read]).await?;
            if read == 0 {
                break;
            }
        }
    }
    loop {
        let channel = stream.read_u8().await?;
        let length = stream.read_u32().await? as usize;
        if length > exec_frame::LENGTH_MAX {
            bail!("the host sends a frame of {length} bytes");
        }
        let mut frame = vec![0; length];
        stream.read_exact(&mut frame).await?;
        match channel {
            exec_frame::STDOUT => std::io::stdout().write_all(&frame)?,
            exec_frame::STDERR => std::io::stderr().write_all(&frame)?,
            exec_frame::EXIT => {
                std::io::stdout().flush()?;
                let code = i32::from_be_bytes(frame.try_into().unwrap_or_default());
                // Codes above 255 do not exist on this side; none of them is a success.
                return Ok(ExitCode::from(u8::try_from(code).unwrap_or(255)));
            }
            exec_frame::PROBLEM => {
                let problem: Problem = serde_json::from_slice(&frame)?;
                return Err(tabane_client::Error::Problem(Box::new(problem)).into());
            }
            other => bail!("the host sends a frame of unknown kind {other}"),
        }
    }
}
