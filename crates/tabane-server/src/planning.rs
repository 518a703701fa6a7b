//! What the server keeps of surveys and plans beside their objects: files, and the traces that were read last.
//!
//! ```text
//!   <data>/server/surveys/<uid>/cpu_mhz.csv.gz     as it was sent; never written a second time
//!   <data>/server/plans/<uid>/plan.json            the document
//! ```
//!
//! Invariants: a file has its name only when it is whole and synced; what has its name does not change any more. A folder
//! is there only for an object that was there before it, so one without an object is one whose object is gone.

use std::{
    collections::HashSet,
    fs::{DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tabane_core::plan::Bench;
use tabane_model::{Traces, Uid, planning::SurveyFile};
use tokio::{
    io::AsyncWriteExt,
    sync::{Mutex, Notify},
};

use crate::{Error, Result};

/// Of a file that is unpacked.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;
/// Traces are large: they are not held for longer than somebody works with them.
const TRACES_KEPT_FOR: Duration = Duration::from_secs(600);
const DOCUMENT: &str = "plan.json";

pub struct Planning {
    surveys: PathBuf,
    plans: PathBuf,
    traces: Mutex<Option<Read>>,
    /// What servers are moved about on.
    bench: Mutex<Option<(Uid, Instant, Arc<Workbench>)>>,
    /// A file of a survey has arrived.
    pub arrived: Notify,
}

struct Read {
    survey: Uid,
    traces: Arc<Traces>,
    used_at: Instant,
}

/// A plan with what attempts at changing it need.
pub struct Workbench {
    pub plan: tabane_model::Plan,
    pub traces: Arc<Traces>,
    pub bench: Bench,
}

/// Taken away again unless it got its name.
struct Part(Option<PathBuf>);

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Planning {
    pub fn open(folder: &Path) -> Result<Self> {
        let (surveys, plans) = (folder.join("surveys"), folder.join("plans"));
        for folder in [&surveys, &plans] {
            make_folder(folder).map_err(failed("make", folder))?;
        }
        Ok(Self { surveys, plans, traces: Mutex::new(None), bench: Mutex::new(None), arrived: Notify::new() })
    }

    fn survey(&self, survey: Uid) -> PathBuf {
        self.surveys.join(survey.to_string())
    }

    /// Takes in a file of a survey. What breaks off leaves nothing.
    pub async fn receive<E: std::fmt::Display>(
        &self,
        survey: Uid,
        file: &SurveyFile,
        mut body: impl Stream<Item = std::result::Result<Bytes, E>> + Unpin,
    ) -> Result<()> {
        let folder = self.survey(survey);
        make_folder(&folder).map_err(failed("make", &folder))?;
        let path = folder.join(&file.name);
        let new = folder.join(format!("{}.{}.part", file.name, uuid::Uuid::now_v7()));
        let mut part = Part(Some(new.clone()));
        let broke_off = |why: String| Error::Refused {
            code: "upload_broke_off",
            detail: format!("{} has not arrived whole: {why}", file.name),
            hint: "send the file again, with the size that the survey says".into(),
        };
        let mut written = tokio::fs::File::create_new(&new).await.map_err(failed("write", &new))?;
        let mut received = 0_u64;
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(|error| broke_off(error.to_string()))?;
            received += bytes.len() as u64;
            if received > file.size_bytes {
                return Err(broke_off(format!("there is more than its {} bytes", file.size_bytes)));
            }
            written.write_all(&bytes).await.map_err(failed("write", &new))?;
        }
        if received != file.size_bytes {
            return Err(broke_off(format!("{received} of {} bytes came", file.size_bytes)));
        }
        written.flush().await.map_err(failed("write", &new))?;
        written.sync_all().await.map_err(failed("sync", &new))?;
        match renameat_with(CWD, &new, CWD, &path, RenameFlags::NOREPLACE) {
            Ok(()) => part.0 = None,
            Err(rustix::io::Errno::EXIST) => return Err(received_already(&file.name)),
            Err(error) => return Err(failed("name", &path)(error.into())),
        }
        File::open(&folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", &folder))?;
        self.arrived.notify_one();
        Ok(())
    }

    /// Those of a survey's files that are here.
    pub fn received(&self, survey: Uid, files: &[SurveyFile]) -> Vec<String> {
        let folder = self.survey(survey);
        let is_here = |file: &&SurveyFile| {
            let kept = std::fs::symlink_metadata(folder.join(&file.name));
            kept.is_ok_and(|kept| kept.is_file() && kept.len() == file.size_bytes)
        };
        files.iter().filter(is_here).map(|file| file.name.clone()).collect()
    }

    /// A survey's traces; an error is a sentence for whoever sent the files.
    pub async fn traces(&self, survey: Uid) -> std::result::Result<Arc<Traces>, String> {
        let mut kept = self.traces.lock().await;
        if let Some(kept) = kept.as_mut().filter(|kept| kept.survey == survey) {
            kept.used_at = Instant::now();
            return Ok(kept.traces.clone());
        }
        // Not both at the same time.
        *kept = None;
        let folder = self.survey(survey);
        let read = tokio::task::spawn_blocking(move || {
            let told =
                |error: tabane_survey::Error| chain(&error).replace(&format!("{}/", folder.display()), "");
            tabane_survey::read_folder_within(&folder, UNPACKED_BYTES_MAX).map_err(told)
        });
        let traces = Arc::new(read.await.map_err(|_| "reading it ended early".to_owned())??);
        *kept = Some(Read { survey, traces: traces.clone(), used_at: Instant::now() });
        Ok(traces)
    }

    /// The bench of a plan that was made of this survey; an error is a sentence.
    pub async fn bench(
        &self,
        plan: Uid,
        survey: Uid,
        document: impl AsyncFnOnce() -> Result<tabane_model::Plan>,
    ) -> Result<Arc<Workbench>> {
        let mut kept = self.bench.lock().await;
        if let Some((_, used_at, bench)) = kept.as_mut().filter(|(uid, ..)| *uid == plan) {
            *used_at = Instant::now();
            return Ok(bench.clone());
        }
        *kept = None;
        let document = document().await?;
        let traces = self.traces(survey).await.map_err(Error::Bug)?;
        let made = tokio::task::spawn_blocking(move || {
            let bench = Bench::new(&document, &traces).map_err(|error| Error::Bug(chain(&error)))?;
            Ok::<_, Error>(Arc::new(Workbench { plan: document, traces, bench }))
        });
        let bench = made.await.map_err(|error| Error::Bug(error.to_string()))??;
        *kept = Some((plan, Instant::now(), bench.clone()));
        Ok(bench)
    }

    /// Lets go of traces that nobody has asked for lately.
    pub async fn forget_idle(&self) {
        let mut bench = self.bench.lock().await;
        if bench.as_ref().is_some_and(|(_, used_at, _)| used_at.elapsed() > TRACES_KEPT_FOR) {
            *bench = None;
        }
        drop(bench);
        let mut kept = self.traces.lock().await;
        if kept.as_ref().is_some_and(|kept| kept.used_at.elapsed() > TRACES_KEPT_FOR) {
            *kept = None;
        }
    }

    pub fn document(&self, plan: Uid) -> PathBuf {
        self.plans.join(plan.to_string()).join(DOCUMENT)
    }

    /// Keeps a plan's document. Returns when it is on disk.
    pub fn keep(&self, plan: Uid, document: &tabane_model::Plan) -> Result<()> {
        let path = self.document(plan);
        let folder = self.plans.join(plan.to_string());
        make_folder(&folder).map_err(failed("make", &folder))?;
        File::open(&self.plans).and_then(|plans| plans.sync_all()).map_err(failed("sync", &self.plans))?;
        let text = serde_json::to_string_pretty(document).expect("plans have string keys") + "\n";
        let told = |error: tabane_survey::Error| failed("write", &path)(io::Error::other(error));
        tabane_survey::replace(&path, &text).map_err(told)
    }

    /// Takes away what belongs to no object any more. `present` is asked after the folders were looked for.
    pub fn sweep(&self, present: impl FnOnce() -> HashSet<Uid>) {
        let folders =
            [&self.surveys, &self.plans].into_iter().filter_map(|folder| std::fs::read_dir(folder).ok());
        let folders: Vec<PathBuf> = folders.flatten().flatten().map(|entry| entry.path()).collect();
        let present = present();
        let uid = |path: &Path| path.file_name()?.to_str()?.parse::<Uid>().ok();
        for folder in folders.iter().filter(|path| uid(path).is_some_and(|uid| !present.contains(&uid))) {
            if let Err(error) = std::fs::remove_dir_all(folder) {
                tracing::warn!(folder = %folder.display(), error = &error as &dyn std::error::Error, "cannot remove");
            }
        }
    }
}

pub fn received_already(file: &str) -> Error {
    Error::Refused {
        code: "not_uploading",
        detail: format!("{file} has arrived already, and a survey does not change"),
        hint: "to send other files, make another survey".into(),
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Error + use<> {
    let path = path.to_path_buf();
    move |source| Error::File { action, path: path.clone(), source }
}

/// An error with what it came from, in one sentence.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        told += &format!(": {error}");
        source = error.source();
    }
    told
}
