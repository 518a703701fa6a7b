//! Making an image ready on its home host: wait for its upload, fetch it, or build it; then check, convert, keep.
//!
//! ```text
//!   upload ──► incoming/<uid>.full ─┐
//!   url ─────► incoming/<uid>.full ─┼─► checksum ─► inspect ─► convert in a sandbox ─► images/<digest>/
//!   build ──────────────────────────┴──────────────────────────────────────────────────►┘
//! ```
//!
//! A CD or DVD is no disk: it is kept byte by byte, to be read and nothing else.
//!
//! Whatever ends the work, it begins again from what is on disk: a download or an upload at the byte where it stopped.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tabane_model::{
    EventLevel, Generalise, Image, ImageFormat, ImagePhase, ImageSource, ImageStatus, Kind, Progress,
    SnapshotSource, set_condition,
};
use tabane_qemu::img::{Format, Img, Output, Sandbox, Source};

use super::{
    build,
    checksums::{self, Checksum},
    fetch::Fetch,
    generalise,
    inspect::{self, Stated},
    store::{About, CDROM, Stored},
    transfer,
};
use crate::{Error, Result, agent::Shared, disk, files, users};

/// Progress is told this often.
const TELL_EVERY: Duration = Duration::from_millis(500);
const WAIT_FOR_SNAPSHOT: Duration = Duration::from_millis(200);

pub async fn run(shared: Arc<Shared>, image: Arc<Image>) {
    let work = Work { told: Mutex::new(None), shared, image };
    let name = &work.image.meta.name;
    let ended = match work.make().await {
        Ok(None) => return,
        Ok(Some(stored)) => {
            let message = format!("ready: {}", tabane_model::format_bytes(stored.size_bytes));
            work.shared.reporter.event(EventLevel::Info, "ready", Kind::Image, name, message);
            Ok(stored)
        }
        Err(error) => {
            let told = error.told();
            work.shared.reporter.event(EventLevel::Error, "failed", Kind::Image, name, told.clone());
            Err(told)
        }
    };
    // Kept until the server has heard it: what it says meanwhile is old.
    work.shared.images.end(&work.image, ended.clone());
    work.tell_end(&ended);
}

/// Says again how the work on an image ended.
pub fn tell_end(shared: Arc<Shared>, image: Arc<Image>, ended: &Result<Stored, String>) {
    Work { told: Mutex::new(None), shared, image }.tell_end(ended);
}

struct Work {
    shared: Arc<Shared>,
    image: Arc<Image>,
    told: Mutex<Option<(Instant, String)>>,
}

impl Work {
    fn tell_end(&self, ended: &Result<Stored, String>) {
        match ended {
            Ok(stored) => self.tell(ImagePhase::Ready, None, Some(stored), None),
            Err(told) => self.tell(ImagePhase::Failed, None, None, Some(told.clone())),
        }
    }

    fn tell(
        &self,
        phase: ImagePhase,
        progress: Option<Progress>,
        stored: Option<&Stored>,
        failed: Option<String>,
    ) {
        let mut status = ImageStatus {
            observed_generation: self.image.meta.generation,
            phase,
            progress,
            received_bytes: transfer::received_bytes(&self.shared, &self.image),
            os: self.image.spec.os.clone(),
            default_user: self.image.spec.default_user.clone(),
            ..ImageStatus::default()
        };
        if let Some(stored) = stored {
            status.digest = Some(stored.digest.clone());
            status.virtual_size_bytes = stored.virtual_size_bytes;
            status.size_bytes = stored.size_bytes;
            status.kernel = stored.kernel;
            status.disk = stored.disk;
            status.cdrom = stored.cdrom;
            status.os = status.os.or_else(|| stored.os.clone());
            status.default_user = status.default_user.or_else(|| stored.default_user.clone());
            status.received_bytes = 0;
            status.generalised = stored.generalised.clone();
        }
        if let Some(message) = failed {
            set_condition(&mut status.conditions, "ready", false, "failed", message, jiff::Timestamp::now());
        }
        self.shared.reporter.status(Kind::Image, &self.image.meta.name, self.image.meta.uid, &status);
    }

    /// Tells how far it is, but not more often than anybody can read.
    fn progress(&self, phase: ImagePhase, step: &str, fraction: f32, detail: String) {
        let mut told = self.told.lock().expect("no holder of this lock panics");
        let due = told.as_ref().is_none_or(|(at, before)| at.elapsed() >= TELL_EVERY || before != step);
        if due {
            *told = Some((Instant::now(), step.to_owned()));
            self.tell(phase, Some(Progress { step: step.into(), fraction, detail }), None, None);
        }
    }

    /// `None` while its content is still to be uploaded.
    async fn make(&self) -> Result<Option<Stored>> {
        let full = transfer::incoming(&self.shared, &self.image, "full");
        match &self.image.spec.source {
            ImageSource::Build { recipe } => return self.build(recipe).await.map(Some),
            ImageSource::Snapshot { snapshot, disk, generalise } => {
                let from = SnapshotSource { snapshot: snapshot.clone(), disk: disk.clone() };
                return self.copy(&from, generalise.as_ref()).await.map(Some);
            }
            ImageSource::Upload { .. } if !full.exists() => {
                self.tell(ImagePhase::Uploading, None, None, None);
                return Ok(None);
            }
            ImageSource::Url { url } if !full.exists() => self.fetch(url).await?,
            ImageSource::Upload { .. } | ImageSource::Url { .. } => {}
        }
        self.check(&full).await?;
        self.convert(&full).await.map(Some)
    }

    async fn build(&self, recipe: &str) -> Result<Stored> {
        let folder = self.shared.images.store().workplace(&self.image.meta.uid.simple().to_string())?;
        let progress = |p: build::Progress<'_>| {
            self.progress(ImagePhase::Building, p.step, p.fraction, p.detail.to_owned());
        };
        let built = build::run(recipe, &folder, &progress).await?;
        let about = About {
            command_line: built.command_line,
            os: Some(built.os),
            default_user: built.default_user,
            generalised: Vec::new(),
        };
        self.shared.images.store().adopt(&built.folder, about)
    }

    /// A disk as a snapshot holds it, without what is one machine's own.
    async fn copy(&self, from: &SnapshotSource, wish: Option<&Generalise>) -> Result<Stored> {
        let held = loop {
            match disk::held(&self.shared, from) {
                Err(Error::NotYet(why)) => {
                    self.progress(ImagePhase::Pending, "snapshot", 0.0, why);
                    tokio::time::sleep(WAIT_FOR_SNAPSHOT).await;
                }
                held => break held?,
            }
        };
        let folder = self.shared.images.store().workplace(&self.image.meta.uid.simple().to_string())?;
        let path = folder.join("disk.qcow2");
        let progress = |fraction: f32| {
            self.progress(ImagePhase::Converting, "copy", fraction * 0.7, String::new());
        };
        let source = Source::own(&held.path, Format::Qcow2);
        let output = Output::Qcow2 { compress: false };
        Img::new(held.sandbox()?).convert(&source, &path, output, &progress).await?;
        let made_of = held.image_digest().and_then(|digest| self.shared.images.store().load(digest));
        let mut about = About {
            command_line: None,
            os: made_of.as_ref().and_then(|stored| stored.os.clone()),
            default_user: made_of.and_then(|stored| stored.default_user),
            generalised: Vec::new(),
        };
        if let Some(wish) = wish {
            let told = |step: &str| self.progress(ImagePhase::Converting, step, 0.7, String::new());
            about.generalised = generalise::run(&self.shared, &path, wish, &told).await?;
        }
        self.progress(ImagePhase::Converting, "keep", 0.95, String::new());
        self.shared.images.store().adopt(&folder, about)
    }

    /// Downloads, going on where an earlier try stopped.
    async fn fetch(&self, url: &str) -> Result<()> {
        let part = transfer::incoming(&self.shared, &self.image, "part");
        let progress = |done: u64, whole: Option<u64>| {
            let fraction = whole.map_or(0.0, |whole| done as f32 / whole.max(1) as f32);
            self.progress(ImagePhase::Fetching, "download", fraction * 0.7, tabane_model::format_bytes(done));
        };
        Fetch::new(url, &part).run(&progress).await?;
        files::rename(&part, &transfer::incoming(&self.shared, &self.image, "full"))
    }

    /// Against the checksum that was stated, and the one that the publisher states.
    async fn check(&self, file: &Path) -> Result<()> {
        let spec = &self.image.spec;
        let mut expected: Vec<Checksum> = spec.sha256.iter().cloned().map(Checksum::Sha256).collect();
        if let (Some(list), ImageSource::Url { url }) = (&spec.checksums, &spec.source) {
            self.progress(ImagePhase::Converting, "checksum", 0.7, format!("looked up at {list}"));
            expected.push(checksums::look_up(list, url, Duration::from_secs(2)).await?);
        }
        for checksum in expected {
            self.progress(ImagePhase::Converting, "checksum", 0.7, String::new());
            let path = file.to_path_buf();
            let checked = tokio::task::spawn_blocking(move || checksum.check(&path)).await;
            let checked = checked.map_err(|e| Error::Stream(format!("checking was cut short: {e}")))?;
            if checked.is_err() {
                // A wrong file is of no use for another try.
                files::remove(file)?;
            }
            checked?;
        }
        Ok(())
    }

    async fn convert(&self, file: &Path) -> Result<Stored> {
        let stated = self.image.spec.format.map_or(Stated::Nothing, |format| Stated::Is(to_inspect(format)));
        let mut opened = std::fs::File::open(file).map_err(Error::file("open", file))?;
        let inspected = tokio::task::spawn_blocking(move || inspect::inspect(&mut opened, stated)).await;
        let found = inspected
            .map_err(|e| Error::Stream(format!("inspecting was cut short: {e}")))?
            .map_err(|refusal| Error::unfit(crate::error::chain(&refusal), refusal.hint()))?;
        let folder = self.shared.images.store().workplace(&self.image.meta.uid.simple().to_string())?;
        if found.format == inspect::Format::Iso {
            return self.keep_medium(file, &folder).await;
        }
        // The sandboxed reader is another user: it may read this file and nothing else of ours.
        let reader = users::can_switch().then_some((users::CONVERTER_UID, users::CONVERTER_UID));
        users::give(file, users::CONVERTER_UID, users::CONVERTER_UID)
            .map_err(Error::file("give away", file))?;
        let img = Img::new(Sandbox { identity: reader, ..Sandbox::default() });
        let source = Source::foreign(file, found.format.into());
        if let Some(max) = self.image.spec.virtual_size_bytes_max {
            let size = img.info(&source).await?.virtual_size_bytes;
            if size > max {
                let [size, max] = [size, max].map(tabane_model::format_bytes);
                return Err(Error::unfit(
                    format!("the disk inside is {size}, and at most {max} was announced"),
                    "ask for the file again where it comes from; if it is right, state its true size",
                ));
            }
        }
        let progress = |fraction: f32| {
            self.progress(ImagePhase::Converting, "convert", 0.75 + fraction * 0.2, String::new());
        };
        let target = folder.join("disk.qcow2");
        img.convert(&source, &target, Output::Qcow2 { compress: false }, &progress).await?;
        self.progress(ImagePhase::Converting, "keep", 0.95, String::new());
        self.shared.images.store().adopt(&folder, About::default())
    }

    /// A CD as it is. No tool opens it, and what came stays until the server has heard that the image is ready.
    async fn keep_medium(&self, file: &Path, folder: &Path) -> Result<Stored> {
        self.progress(ImagePhase::Converting, "keep", 0.75, String::new());
        let (from, to) = (file.to_path_buf(), folder.join(CDROM));
        let copied = tokio::task::spawn_blocking(move || disk::copy(&from, &to)).await;
        copied.map_err(|e| Error::Stream(format!("keeping an image was cut short: {e}")))??;
        self.shared.images.store().adopt(folder, About::default())
    }
}

fn to_inspect(format: ImageFormat) -> inspect::Format {
    match format {
        ImageFormat::Raw => inspect::Format::Raw,
        ImageFormat::Qcow2 => inspect::Format::Qcow2,
        ImageFormat::Vmdk => inspect::Format::Vmdk,
        ImageFormat::Vhd => inspect::Format::Vhd,
        ImageFormat::Vhdx => inspect::Format::Vhdx,
        ImageFormat::Vdi => inspect::Format::Vdi,
        ImageFormat::Iso => inspect::Format::Iso,
    }
}
