//! VMs as files for other systems, made from a snapshot.
//!
//! ```text
//!   layers ─► qemu-img, as the VM's own user ─► files in a folder of its own ─► package ─► stream
//! ```
//!
//! Invariant: the folder goes with the export, however that ends; what an agent that died left goes at the next start.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use tabane_client::Stream;
use tabane_convert::{
    ova,
    ovf::{self, DiskFile, Version},
};
use tabane_model::{
    Name, Problem, SnapshotSource, Uid, Vm,
    api::{ExportFormat, ExportRequest, export_frame},
};
use tabane_qemu::{
    img::{Format, Img, Output, Source, name_extent},
    qcow2,
};
use tokio::io::AsyncWriteExt;

use crate::{Error, Result, agent::Shared, disk, files};

/// Chunks under way between the thread that writes the package and the stream.
const CHUNKS: usize = 4;
const CHUNK_BYTES: usize = 256 << 10;

/// A folder for one export.
struct Work(PathBuf);

impl Work {
    fn new(shared: &Shared, id: Uid) -> Result<Self> {
        let path = shared.folders.exports().join(id.simple().to_string());
        files::folder(&shared.folders.exports(), 0o700)?;
        files::folder(&path, 0o700)?;
        Ok(Self(path))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Err(error) = files::remove_folder(&self.0) {
            tracing::warn!(error = error.told(), "what an export left cannot be removed");
        }
    }
}

/// Removes what exports left that were under way when an agent ended.
pub fn clean(shared: &Shared) -> Result<()> {
    files::remove_folder(&shared.folders.exports())
}

/// What is going to be exported; everything that can be refused is.
pub struct Export {
    vm: Arc<Vm>,
    disks: Vec<(Name, disk::Held)>,
    request: ExportRequest,
    work: Work,
}

pub fn prepare(shared: &Shared, snapshot: &Name, request: &ExportRequest, id: Uid) -> Result<Export> {
    let missing = || Error::Stream(format!("the snapshot {snapshot} is not on this host"));
    let known = shared.objects.snapshot(snapshot).ok_or_else(missing)?;
    let vm = shared.objects.vm(&known.spec.vm).ok_or_else(missing)?;
    let mut names: Vec<Name> =
        known.spec.hardware.iter().flat_map(|h| &h.disks).map(|d| d.name.clone()).collect();
    if request.format != ExportFormat::Ova {
        let wanted = request.disk.clone().or_else(|| names.first().cloned());
        names.retain(|name| Some(name) == wanted.as_ref());
        if names.is_empty() {
            return Err(Error::unfit(
                "the snapshot has no such disk",
                format!("`tabane snapshot get {snapshot}` lists its disks"),
            ));
        }
    }
    let mut disks = Vec::new();
    for name in names {
        let from = SnapshotSource { snapshot: snapshot.clone(), disk: name.clone() };
        disks.push((name, disk::held(shared, &from)?));
    }
    Ok(Export { vm, disks, request: request.clone(), work: Work::new(shared, id)? })
}

impl Export {
    /// Makes the file and sends it. What fails on the way is told in the stream.
    pub async fn send(self, mut stream: Stream) -> std::io::Result<()> {
        match self.run(&mut stream).await {
            Ok(()) => {}
            Err(error) => {
                let problem: Problem = error.problem();
                let text = serde_json::to_vec(&problem).expect("has string keys");
                frame(&mut stream, export_frame::PROBLEM, &text).await?;
            }
        }
        stream.shutdown().await
    }

    async fn run(&self, stream: &mut Stream) -> Result<()> {
        let mut made = Vec::new();
        for (i, (name, held)) in self.disks.iter().enumerate() {
            made.push(self.convert(i, name, held, stream).await?);
        }
        if self.request.format != ExportFormat::Ova {
            let (path, file) = made.into_iter().next().ok_or_else(|| Error::Stream("no disk".into()))?;
            return send_file(stream, file.file_bytes, move |to| copy(&path, to)).await;
        }
        let version = if self.request.ovf2 { Version::V2 } else { Version::V1 };
        let described: Vec<DiskFile> = made.iter().map(|(_, file)| file.clone()).collect();
        let descriptor = ovf::descriptor(&self.vm, &described, version);
        let name = self.vm.meta.name.clone();
        let lengths: Vec<(String, u64)> = std::iter::once((format!("{name}.ovf"), descriptor.len() as u64))
            .chain(described.iter().map(|d| (d.href.clone(), d.file_bytes)))
            .collect();
        let modified_s = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0);
        send_file(stream, ova::length_with_manifest(&lengths), move |to| {
            let mut package = ova::Package::new(to, modified_s);
            package.file(&format!("{name}.ovf"), descriptor.len() as u64, &mut descriptor.as_bytes())?;
            for (path, file) in &made {
                package.file(&file.href, file.file_bytes, &mut std::fs::File::open(path)?)?;
            }
            package.finish(&format!("{name}.mf")).map(drop)
        })
        .await
    }

    async fn convert(
        &self,
        i: usize,
        name: &Name,
        held: &disk::Held,
        stream: &mut Stream,
    ) -> Result<(PathBuf, DiskFile)> {
        let (output, extension) = match self.request.format {
            ExportFormat::Ova | ExportFormat::Vmdk => (Output::Vmdk, "vmdk"),
            ExportFormat::Qcow2 => (Output::Qcow2 { compress: true }, "qcow2"),
            ExportFormat::Vhdx => (Output::Vhdx, "vhdx"),
            ExportFormat::Raw => (Output::Raw, "raw"),
        };
        let path = self.work.0.join(format!("disk{i}.{extension}"));
        let (tell, mut told) = tokio::sync::watch::channel(0f32);
        let source = Source::own(&held.path, Format::Qcow2);
        let img = Img::new(held.sandbox()?);
        // Nobody has to be listening.
        let progress = move |fraction: f32| {
            let _ = tell.send(fraction);
        };
        let (made, capacity_bytes) = (path.clone(), qcow2::virtual_size(&held.path)?);
        let work = img.convert(&source, &made, output, &progress);
        tokio::pin!(work);
        let parts = self.disks.len() as f32;
        let file_bytes = loop {
            tokio::select! {
                done = &mut work => break done?,
                changed = told.changed() => {
                    if changed.is_ok() {
                        let fraction = (i as f32 + *told.borrow_and_update()) / parts;
                        frame(stream, export_frame::PROGRESS, &fraction.to_be_bytes()).await.map_err(broken)?;
                    }
                }
            }
        };
        let vm = &self.vm.meta.name;
        let href = match self.request.format {
            ExportFormat::Ova => format!("{vm}-{name}.{extension}"),
            _ => format!("{vm}.{extension}"),
        };
        if output == Output::Vmdk {
            name_extent(&path, &href)?;
        }
        Ok((path, DiskFile { href, file_bytes, capacity_bytes, populated_bytes: file_bytes }))
    }
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Stream(format!("the stream broke off: {error}"))
}

fn copy(path: &Path, to: &mut dyn Write) -> std::io::Result<()> {
    std::io::copy(&mut std::fs::File::open(path)?, to).map(drop)
}

async fn frame(stream: &mut Stream, kind: u8, payload: &[u8]) -> std::io::Result<()> {
    stream.write_u8(kind).await?;
    stream.write_u32(payload.len() as u32).await?;
    stream.write_all(payload).await
}

/// Chunks for the stream, from a thread that may block.
struct Chunks {
    to: tokio::sync::mpsc::Sender<Vec<u8>>,
    chunk: Vec<u8>,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == CHUNK_BYTES {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK_BYTES));
        self.to.blocking_send(chunk).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }
}

/// Sends what `write` writes, which has to be of this length.
async fn send_file(
    stream: &mut Stream,
    length: u64,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()> + Send + 'static,
) -> Result<()> {
    frame(stream, export_frame::LENGTH, &length.to_be_bytes()).await.map_err(broken)?;
    let (to, mut chunks) = tokio::sync::mpsc::channel(CHUNKS);
    let writer = tokio::task::spawn_blocking(move || {
        let mut chunks = Chunks { to, chunk: Vec::with_capacity(CHUNK_BYTES) };
        write(&mut chunks).and_then(|()| chunks.flush())
    });
    let (mut digest, mut sent) = (blake3::Hasher::new(), 0);
    while let Some(chunk) = chunks.recv().await {
        digest.update(&chunk);
        sent += chunk.len() as u64;
        frame(stream, export_frame::DATA, &chunk).await.map_err(broken)?;
    }
    writer.await.map_err(broken)?.map_err(broken)?;
    if sent != length {
        return Err(Error::Stream(format!("the file has {sent} bytes, and {length} were announced")));
    }
    frame(stream, export_frame::DIGEST, digest.finalize().as_bytes()).await.map_err(broken)
}
