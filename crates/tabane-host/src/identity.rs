//! Who this agent is: its name, its token, its server.

use serde::{Deserialize, Serialize};
use tabane_client::{Client, Target};
use tabane_model::{Name, Uid, api::JoinRequest};

use crate::{Config, Error, Result, files};

#[derive(Clone, Serialize, Deserialize)]
pub struct Identity {
    pub agent: Uid,
    pub name: Name,
    pub server: String,
    token: Option<String>,
}

impl Identity {
    /// The identity of this folder, if an agent ever joined with it.
    pub fn load(config: &Config) -> Result<Option<Self>> {
        Ok(files::read_json::<Self>(&config.folders().identity())?
            .filter(|identity| identity.token.is_some()))
    }

    /// Joins a server. The agent's identity is written down before it asks, so that asking again after a failure is
    /// the same agent asking.
    pub async fn join(config: &Config, server: &Target, token: String) -> Result<Self> {
        files::folder(&config.folder, 0o711)?;
        let path = config.folders().identity();
        let known: Option<Self> = files::read_json(&path)?;
        let agent = known.map_or_else(Uid::now_v7, |identity| identity.agent);
        let mut identity = Self { agent, name: config.name.clone(), server: server.to_string(), token: None };
        files::write_json(&path, &identity)?;
        let client = Client::connect(server.clone(), Some(token)).await?;
        let answer = client.join(&JoinRequest { name: config.name.clone(), agent }).await?;
        identity.name = answer.name;
        identity.token = Some(answer.token);
        files::write_json(&path, &identity)?;
        Ok(identity)
    }

    /// The server of this identity may have moved, for example to another port.
    pub fn with_server(mut self, server: &Target) -> Self {
        self.server = server.to_string();
        self
    }

    pub async fn connect(&self) -> Result<Client> {
        let target: Target = self.server.parse().map_err(Error::Client)?;
        Ok(Client::connect(target, self.token.clone()).await?)
    }
}
