//! The long-running commands: server, host agent, or both in one process.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use tabane_client::Target;
use tabane_host::{Agent, Identity};
use tabane_model::Name;
use tabane_server::{Config, Server};
use tabane_store::Sqlite;

use crate::{
    arguments::{HostJoin, Up},
    context::Context,
};

const HOST_TIMEOUT_MS: u64 = 30_000;

/// Server and agent. They talk over TLS on loopback, as if they were two machines.
pub async fn up(context: &Context, up: Up) -> Result<()> {
    let server = start_server(context, &up).await?;
    let target = Target::Remote { url: local_url(&server), fingerprint: server.fingerprint.0.clone() };
    let name = host_name(up.name)?;
    let config = tabane_host::Config::new(context.host_folder(), name.clone());
    let identity = match Identity::load(&config)? {
        Some(identity) => identity.with_server(&target),
        None => {
            let token_name = Name::new(format!("join-{}", uuid::Uuid::now_v7().simple()))?;
            let token = server.join_token(token_name).await?;
            Identity::join(&config, &target, token).await.context("the host agent cannot join")?
        }
    };
    let agent = Agent::start(config, identity).await?;
    greet(context, &server, Some(agent.name()));
    wait_for_signal().await?;
    eprintln!("stopping; the VMs run on");
    agent.stop().await;
    server.stop().await;
    Ok(())
}

pub async fn server(context: &Context, up: Up) -> Result<()> {
    let server = start_server(context, &up).await?;
    greet(context, &server, None);
    wait_for_signal().await?;
    server.stop().await;
    Ok(())
}

pub async fn join(context: &Context, join: HostJoin) -> Result<()> {
    let target: Target = join.server.parse()?;
    let config = tabane_host::Config::new(context.host_folder(), host_name(join.name)?);
    let identity = match Identity::load(&config)? {
        Some(identity) => identity.with_server(&target),
        None => {
            let token = context.global.token.clone().context(
                "a token is needed: on the server run `tabane token create NAME --role join`, then give it here with \
                 --token or TABANE_TOKEN",
            )?;
            Identity::join(&config, &target, token).await?
        }
    };
    let agent = Agent::start(config, identity).await?;
    eprintln!("host {} of {target}; Ctrl-C ends the agent, the VMs run on", agent.name());
    wait_for_signal().await?;
    agent.stop().await;
    Ok(())
}

async fn start_server(context: &Context, up: &Up) -> Result<Server> {
    let folder = context.server_folder();
    // QEMUs run as users of their own and have to pass through to the disks; what is secret is closed further in.
    open_folder(&context.data_dir())?;
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let store = Sqlite::open(folder.join("store")).await?;
    let config =
        Config { folder, listen: up.listen, names: up.names.clone(), host_timeout_ms: HOST_TIMEOUT_MS };
    Ok(Server::start(config, Arc::new(store)).await?)
}

fn open_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(path, mode).with_context(|| format!("cannot open {} to VMs", path.display()))
}

/// Where this process itself reaches the server.
fn local_url(server: &Server) -> String {
    let address = server.address;
    if address.ip().is_unspecified() {
        format!("https://127.0.0.1:{}", address.port())
    } else {
        format!("https://{address}")
    }
}

fn host_name(stated: Option<Name>) -> Result<Name> {
    if let Some(name) = stated {
        return Ok(name);
    }
    let system = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    let first = system.split('.').next().unwrap_or_default();
    let cleaned: String = first.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Name::new(cleaned.trim_matches('-')).context("the machine's name is no host name; give one with --name")
}

fn greet(context: &Context, server: &Server, host: Option<&Name>) {
    let url = format!("{}/#{}", local_url(server), server.fingerprint.0);
    eprintln!("Tabane {} is up", env!("CARGO_PKG_VERSION"));
    eprintln!("  API     {url}");
    eprintln!("  console {}/  in a browser; sign in with a token", local_url(server));
    eprintln!("  data    {}", context.data_dir().display());
    if let Some(host) = host {
        eprintln!("  host    {host}");
    }
    if let Some(token) = &server.admin_token {
        eprintln!();
        eprintln!("  The administrator's token, shown this once; only its hash is kept:");
        eprintln!("    {token}");
        eprintln!("  From another machine:  export TABANE_URL='{url}' TABANE_TOKEN=…");
    }
    eprintln!();
    eprintln!(
        "  Try:    tabane image build tiny && tabane vm create first --image tiny --start --wait agent"
    );
}

async fn wait_for_signal() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // Whoever asks twice is in a hurry.
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        std::process::exit(130);
    });
    Ok(())
}
