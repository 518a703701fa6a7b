//! Which server, which folder, which form: what every command begins with.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use tabane_client::{Client, Target};

use crate::arguments::{Form, Global};

pub struct Context {
    pub global: Global,
}

impl Context {
    pub fn form(&self) -> Result<Form> {
        match self.global.output.as_deref() {
            None | Some("table") => Ok(Form::Table),
            Some("json") => Ok(Form::Json),
            Some("yaml") => Ok(Form::Yaml),
            Some(other) => anyhow::bail!("{other:?} is no form of output: use table, json or yaml"),
        }
    }

    /// Where server and agent of this machine keep everything.
    pub fn data_dir(&self) -> PathBuf {
        if let Some(folder) = &self.global.data_dir {
            return std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
        }
        if rustix::process::geteuid().is_root() {
            return "/var/lib/tabane".into();
        }
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_else(|| "/tmp".into());
        std::env::var_os("XDG_DATA_HOME")
            .map_or_else(|| home.join(".local/share"), PathBuf::from)
            .join("tabane")
    }

    pub fn server_folder(&self) -> PathBuf {
        self.data_dir().join("server")
    }

    pub fn host_folder(&self) -> PathBuf {
        self.data_dir().join("host")
    }

    pub fn target(&self) -> Result<Target> {
        match &self.global.url {
            Some(url) => Ok(url.parse::<Target>()?),
            None => Ok(Target::Local(tabane_server::Config::socket(&self.server_folder()))),
        }
    }

    pub async fn client(&self) -> Result<Client> {
        let target = self.target()?;
        let client = Client::connect(target, self.global.token.clone()).await;
        client.context("cannot talk to the server")
    }
}
