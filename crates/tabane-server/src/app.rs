//! The server as a whole: what it is started with, what it holds, how it starts and stops.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use tabane_model::{
    Flavor, FlavorSpec, Kind, Meta, Name, Network, NetworkSpec, Pool, PoolSpec, Resource, Role, TokenSpec,
};
use tabane_store::{Compare, Outcome, Store};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Error, Result, admit, api, audit, auth,
    cache::Cache,
    commit::encode,
    control, keys, listen,
    metrics::{self, Measured, Metrics, Requests},
    planning::Planning,
    streams::Streams,
    tls::{Authority, CaFingerprint},
};

/// What a server is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Certificates, audit log and local socket are kept here.
    pub folder: PathBuf,
    pub listen: SocketAddr,
    /// Names and addresses that the certificate is good for, beside the local ones.
    pub names: Vec<String>,
    /// How long a host may be silent before it counts as unreachable.
    pub host_timeout_ms: u64,
}

impl Config {
    pub fn socket(folder: &Path) -> PathBuf {
        folder.join("api.sock")
    }

    pub fn audit_log(folder: &Path) -> PathBuf {
        folder.join("audit.jsonl")
    }

    pub fn metrics(folder: &Path) -> PathBuf {
        folder.join("metrics")
    }
}

/// What every request can reach.
pub struct App {
    pub store: Arc<dyn Store>,
    pub cache: Arc<Cache>,
    pub streams: Streams,
    pub control: control::Signals,
    pub metrics: Metrics,
    /// Files of surveys and plans.
    pub planning: Planning,
    pub authority: Authority,
    /// Failed sign-ins to the web console.
    pub failures: crate::session::Failures,
    /// The audit log's file.
    pub audit_log: PathBuf,
    pub stop: CancellationToken,
    admission: RwLock<()>,
}

/// Held from judging a change to committing it.
pub enum Admission<'a> {
    /// Nobody judges meanwhile: for what others refer to, must not overlap with, or share.
    Alone {
        _guard: RwLockWriteGuard<'a, ()>,
    },
    Shared {
        _guard: RwLockReadGuard<'a, ()>,
    },
}

impl App {
    /// The server's one look at the clock.
    pub fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    pub async fn admission(&self, alone: bool) -> Admission<'_> {
        if alone {
            Admission::Alone { _guard: self.admission.write().await }
        } else {
            Admission::Shared { _guard: self.admission.read().await }
        }
    }
}

/// A running server.
pub struct Server {
    app: Arc<App>,
    tasks: TaskTracker,
    pub address: SocketAddr,
    pub fingerprint: CaFingerprint,
    pub ca_pem: String,
    /// Of the administrator's token, at the very first start and never again.
    pub admin_token: Option<String>,
}

impl Server {
    pub async fn start(config: Config, store: Arc<dyn Store>) -> Result<Self> {
        let failed = |action: &'static str, path: &Path| {
            let path = path.to_path_buf();
            move |source| Error::File { action, path, source }
        };
        let tls_folder = config.folder.join("tls");
        for folder in [&config.folder, &tls_folder] {
            std::fs::DirBuilder::new().recursive(true).create(folder).map_err(failed("make", folder))?;
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(folder, private).map_err(failed("protect", folder))?;
        }
        let authority = Authority::open(&tls_folder)?;
        let requests = Requests::default();
        let store: Arc<dyn Store> = Arc::new(Measured::new(store, requests.clone()));
        let metrics_folder = Config::metrics(&config.folder);
        let metrics = tokio::task::spawn_blocking(move || Metrics::open(metrics_folder, requests)).await;
        let metrics = metrics.map_err(|error| Error::Bug(error.to_string()))??;
        let admin_token = first_start(&store).await?;
        let cache = Cache::start(store.clone()).await?;
        let app = Arc::new(App {
            store: store.clone(),
            cache,
            streams: Streams::default(),
            control: control::Signals::default(),
            metrics,
            planning: Planning::open(&config.folder)?,
            authority,
            failures: crate::session::Failures::default(),
            audit_log: Config::audit_log(&config.folder),
            stop: CancellationToken::new(),
            admission: RwLock::new(()),
        });
        let tasks = TaskTracker::new();
        let writer = audit::Writer::open(store, Config::audit_log(&config.folder)).await?;
        until_stop(&app, &tasks, writer.run());
        until_stop(&app, &tasks, control::placement::run(app.clone()));
        until_stop(&app, &tasks, control::evacuation::run(app.clone()));
        until_stop(&app, &tasks, control::liveness::run(app.clone(), config.host_timeout_ms));
        until_stop(&app, &tasks, control::expiry::run(app.clone()));
        until_stop(&app, &tasks, control::surveys::run(app.clone()));
        until_stop(&app, &tasks, control::collections::run(app.clone()));
        until_stop(&app, &tasks, control::plans::run(app.clone()));
        until_stop(&app, &tasks, control::waves::run(app.clone()));
        until_stop(&app, &tasks, metrics::run(app.clone()));

        let router = api::router(app.clone());
        let tls = app.authority.server_config(certificate_names(&config))?;
        let (address, tcp) =
            listen::tcp(config.listen, tls, router.clone(), app.stop.clone(), tasks.clone()).await?;
        let local =
            listen::local(Config::socket(&config.folder), router, app.stop.clone(), tasks.clone()).await?;
        tasks.spawn(tcp);
        tasks.spawn(local);
        Ok(Self {
            address,
            fingerprint: app.authority.fingerprint.clone(),
            ca_pem: app.authority.ca_pem.clone(),
            admin_token,
            app,
            tasks,
        })
    }

    /// Lets requests end for a moment, then stops.
    pub async fn stop(self) {
        self.app.stop.cancel();
        self.tasks.close();
        let grace = std::time::Duration::from_secs(3);
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::info!("some connections were cut");
        }
    }

    /// A token for a host agent in the same process: it joins as any other host does.
    pub async fn join_token(&self, name: Name) -> Result<String> {
        let spec = TokenSpec {
            role: Role::Join,
            description: "joins the host in the server's own process".into(),
            expires_at: Some(self.app.now() + jiff::SignedDuration::from_mins(10)),
            host: None,
        };
        let (txn, _, text) = auth::make_token(name, spec, self.app.now(), uuid::Uuid::now_v7());
        match self.app.store.txn(txn).await? {
            Outcome::Committed(revision) => {
                self.app.cache.reach(revision).await;
                Ok(text)
            }
            Outcome::Conflict { key, .. } => Err(Error::Bug(format!("{key} exists"))),
        }
    }
}

fn until_stop(app: &Arc<App>, tasks: &TaskTracker, work: impl Future<Output = ()> + Send + 'static) {
    let stop = app.stop.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    });
}

fn certificate_names(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).into();
    let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let valid = |n: &str| !n.is_empty() && n.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
    names.extend(Some(host_name).filter(|n| valid(n)));
    if !config.listen.ip().is_unspecified() {
        names.push(config.listen.ip().to_string());
    }
    names.extend(config.names.iter().cloned());
    names.sort();
    names.dedup();
    names
}

/// At the very first start: the administrator's token, the default pool and network, some sizes.
async fn first_start(store: &Arc<dyn Store>) -> Result<Option<String>> {
    let now = jiff::Timestamp::now();
    let spec = TokenSpec {
        role: Role::Admin,
        description: "made at first start".into(),
        expires_at: None,
        host: None,
    };
    let name: Name = auth::ADMIN_TOKEN.parse().expect("is a name");
    let (mut txn, _, text) = auth::make_token(name, spec, now, uuid::Uuid::now_v7());
    // Once made and deleted, the administrator's token does not come back by itself.
    const MARK: &str = "cluster/first-start";
    txn = txn.when(Compare::Absent(MARK.into())).put(MARK, now.to_string());
    let pool = first::<Pool>(admit::DEFAULT_POOL, PoolSpec::default(), now);
    let network = first::<Network>(api::DEFAULT_NETWORK, NetworkSpec::default(), now);
    txn = txn.put(keys::object(Kind::Pool, &pool.meta.name), encode(&pool));
    txn = txn.put(keys::object(Kind::Network, &network.meta.name), encode(&network));
    for (name, spec) in FlavorSpec::initial() {
        let flavor = first::<Flavor>(name, spec, now);
        txn = txn.put(keys::object(Kind::Flavor, &flavor.meta.name), encode(&flavor));
    }
    Ok(match store.txn(txn).await? {
        Outcome::Committed(_) => Some(text),
        Outcome::Conflict { .. } => None,
    })
}

fn first<R: Resource>(name: &str, spec: R::Spec, now: jiff::Timestamp) -> R {
    let mut object = R::new(Meta::new(name.parse().expect("is a name")), spec);
    object.meta_mut().uid = uuid::Uuid::now_v7();
    object.meta_mut().generation = 1;
    object.meta_mut().created_at = Some(now);
    object
}
