//! The virtual TPM: one swtpm for each VM that wants one, with its state in the VM's folder.

use std::path::{Path, PathBuf};

use tabane_qemu::{
    install::{Installation, Tool},
    process::{Credentials, Launch},
};

use crate::{Error, Result, files, users};

pub fn tool(installation: &Installation) -> Result<&Tool> {
    installation.swtpm.as_ref().ok_or_else(|| {
        Error::unfit("the host has no swtpm, which a virtual TPM needs", "install it: `apt install swtpm`")
    })
}

/// Starts a swtpm; it ends by itself when its QEMU lets go of it. Answers its control socket.
pub fn ensure(
    installation: &Installation,
    folder: &Path,
    credentials: Option<Credentials>,
) -> Result<PathBuf> {
    let tool = tool(installation)?;
    let state = folder.join("tpm");
    files::folder(&state, 0o700)?;
    if let Some(user) = &credentials {
        users::give(&state, user.uid, user.gid).map_err(Error::file("give away", &state))?;
    }
    let socket = folder.join("tpm.sock");
    files::remove(&socket)?;
    let mut launch = Launch::new(&tool.path, folder, folder.with_extension("tpm.log"));
    let arguments =
        ["socket", "--tpm2", "--tpmstate", "dir=tpm", "--ctrl", "type=unixio,path=tpm.sock", "--terminate"];
    launch.arguments = arguments.map(Into::into).into();
    launch.credentials = credentials;
    let process = launch.spawn()?;
    for _ in 0..200 {
        if socket.exists() {
            return Ok("tpm.sock".into());
        }
        if !process.is_alive() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Err(Error::Tool {
        tool: "swtpm".into(),
        detail: "it made no socket; its log is beside the VM's folder".into(),
    })
}
