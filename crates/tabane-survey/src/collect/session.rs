//! Connections to sources: each is sampled until nobody wants it any more, and dialled again when it is lost.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    task::JoinSet,
    time::timeout,
};

use tabane_model::planning::SourceLoad;

use super::{Counters, Inventory, Recording, Sample, Target, counters::LINES_MAX, rates};
use crate::{Error, Result, dependencies::memory::remember, replace};

pub(crate) const SERVERS: &str = "servers";
pub(crate) const INVENTORY: &str = "inventory.txt";
pub(super) const SAMPLES: &str = "samples.txt";

const SAMPLE: &str = include_str!("sample.sh");
const INVENTORY_SCRIPT: &str = include_str!("inventory.sh");
pub(crate) const INVENTORY_BYTES_MAX: u64 = 16 << 20;
const INVENTORY_TIMEOUT: Duration = Duration::from_secs(120);
const LINE_BYTES_MAX: u64 = 4_096;
const WAIT_MIN: Duration = Duration::from_secs(5);
const WAIT_MAX: Duration = Duration::from_secs(300);

/// How sources are reached and sampled.
#[derive(Debug, Clone)]
pub struct Options {
    pub step: Duration,
    /// A configuration of ssh instead of the user's own.
    pub ssh_config: Option<PathBuf>,
    pub identity: Option<PathBuf>,
}

/// What happens to a source.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    Reached {
        inventory: Box<Inventory>,
    },
    Sampled {
        samples: u64,
        /// Since the sample before; there is none at first, and after a restart.
        load: Option<SourceLoad>,
    },
    Lost {
        why: String,
        again_in: Duration,
    },
}

/// Who is told what happens.
pub type Tell = Arc<dyn Fn(&Target, Progress) + Send + Sync>;

/// Samples all targets into a folder, until it is dropped. It ends by itself only when the folder cannot be written.
pub async fn collect(targets: Vec<Target>, folder: &Path, options: &Options, tell: Tell) -> Result<()> {
    let mut tasks = JoinSet::new();
    for target in targets {
        let place = folder.join(SERVERS).join(target.name());
        std::fs::create_dir_all(&place).map_err(|source| Error::Write { file: place.clone(), source })?;
        let recording = Recording::open(&place.join(SAMPLES))?;
        let (options, tell) = (options.clone(), tell.clone());
        tasks.spawn(async move { Session { target, place, options, tell, samples: 0 }.run(recording).await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap_or(Ok(()))?;
    }
    Ok(())
}

struct Session {
    target: Target,
    place: PathBuf,
    options: Options,
    tell: Tell,
    samples: u64,
}

impl Session {
    async fn run(mut self, mut recording: Recording) -> Result<()> {
        let mut wait = WAIT_MIN;
        loop {
            let before = self.samples;
            let why = match self.reach().await? {
                Err(why) => why,
                Ok(()) => self.sample(&mut recording).await?,
            };
            recording.sync()?;
            wait = if self.samples > before { WAIT_MIN } else { (wait * 2).min(WAIT_MAX) };
            (self.tell)(&self.target, Progress::Lost { why, again_in: wait });
            tokio::time::sleep(wait).await;
        }
    }

    /// The inventory, each time that a source is reached: it may have changed. `Err` inside: why it was not reached.
    async fn reach(&self) -> Result<std::result::Result<(), String>> {
        let asked = async {
            let mut child = self.ssh(&[], INVENTORY_SCRIPT).await?;
            let mut text = Vec::new();
            if let Some(said) = child.stdout.take() {
                said.take(INVENTORY_BYTES_MAX).read_to_end(&mut text).await.map_err(|e| e.to_string())?;
            }
            let text = String::from_utf8_lossy(&text).into_owned();
            match Inventory::parse(&text) {
                Some(inventory) => Ok((text, inventory)),
                None => Err(complaint(&mut child, "it did not say what it is").await),
            }
        };
        let (text, inventory) = match timeout(INVENTORY_TIMEOUT, asked).await {
            Ok(Ok(told)) => told,
            Ok(Err(why)) => return Ok(Err(why)),
            Err(_) => return Ok(Err(format!("no answer in {} s", INVENTORY_TIMEOUT.as_secs()))),
        };
        replace(&self.place.join(INVENTORY), &text)?;
        remember(&self.place, &text)?;
        (self.tell)(&self.target, Progress::Reached { inventory: Box::new(inventory) });
        Ok(Ok(()))
    }

    /// Records samples until the connection ends; returns why it did.
    async fn sample(&mut self, recording: &mut Recording) -> Result<String> {
        let step = self.options.step.as_secs().max(1);
        let mut child = match self.ssh(&[&step.to_string()], SAMPLE).await {
            Ok(child) => child,
            Err(why) => return Ok(why),
        };
        let Some(said) = child.stdout.take() else { return Ok("it says nothing".into()) };
        let mut said = BufReader::new(said);
        let mut block: Vec<String> = Vec::new();
        let mut before: Option<Counters> = None;
        let patience = self.options.step * 3 + Duration::from_secs(60);
        loop {
            let mut line = Vec::new();
            let mut bounded = (&mut said).take(LINE_BYTES_MAX);
            match timeout(patience, bounded.read_until(b'\n', &mut line)).await {
                Err(_) => return Ok(format!("no sample in {} s", patience.as_secs())),
                Ok(Err(error)) => return Ok(error.to_string()),
                Ok(Ok(0)) => return Ok(complaint(&mut child, "the connection was closed").await),
                Ok(Ok(_)) => {}
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if line.starts_with("sample ") {
                block.clear();
            }
            if line != "end" {
                if block.len() == LINES_MAX {
                    return Ok("its samples are too long".into());
                }
                block.push(line);
                continue;
            }
            if let Some(counters) = Counters::parse(&block) {
                recording.append(&Sample { unix_ms: unix_ms(), counters })?;
                self.samples += 1;
                let load = before.replace(counters).and_then(|before| rates::between(&before, &counters));
                (self.tell)(&self.target, Progress::Sampled { samples: self.samples, load });
            }
            block.clear();
        }
    }

    /// A shell on the source that runs a script with these arguments. It ends when the child is dropped.
    async fn ssh(&self, arguments: &[&str], script: &str) -> std::result::Result<Child, String> {
        let mut command = Command::new("ssh");
        // Nobody is there to answer questions, and a host that is not known is not trusted.
        command.args(["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15"]);
        command.args(["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3"]);
        if let Some(path) = &self.options.ssh_config {
            command.arg("-F").arg(path);
        }
        if let Some(path) = &self.options.identity {
            command.arg("-i").arg(path);
        }
        if let Some(port) = self.target.port {
            command.args(["-p", &port.to_string()]);
        }
        if let Some(user) = &self.target.user {
            command.args(["-l", user]);
        }
        command.args(["--", &self.target.host, "exec", "env", "LC_ALL=C", "sh", "-s", "--"]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| format!("cannot run ssh: {error}"))?;
        if let Some(mut input) = child.stdin.take() {
            // A source that is not reached closes this before it is written; what ssh says of it comes later.
            let _ = input.write_all(script.as_bytes()).await;
        }
        Ok(child)
    }
}

/// What ssh said before it ended, in one line.
async fn complaint(child: &mut Child, otherwise: &str) -> String {
    const PATIENCE: Duration = Duration::from_secs(5);
    let mut text = Vec::new();
    if let Some(errors) = child.stderr.take() {
        let _ = timeout(PATIENCE, errors.take(LINE_BYTES_MAX).read_to_end(&mut text)).await;
    }
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    last.map_or_else(
        || otherwise.to_owned(),
        |line| line.chars().filter(|c| !c.is_control()).take(300).collect(),
    )
}

fn unix_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
