//! `tabane vm export`: a VM as a file.
//!
//! The file appears under its name when it is whole, and its digest is that of what the host sent.

use std::{
    io::SeekFrom,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use tabane_client::{Call, Client, Error, Stream};
use tabane_model::{
    Meta, Name, Problem, Resource, Snapshot, SnapshotSpec,
    api::{ExportFormat, ExportRequest, export_frame},
    format_bytes,
};
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt},
};

use crate::{arguments::VmExport, context::Context};

/// A snapshot for an export that was cut short goes by itself after this time.
const SNAPSHOT_KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);
const SNAPSHOT_WAIT_S: u64 = 600;
/// A host or a server that is started anew is back by then. The snapshot holds what is exported meanwhile.
const PAUSES_S: [u64; 5] = [1, 2, 5, 10, 20];

pub async fn run(context: &Context, export: VmExport) -> Result<()> {
    let Some(to) = context.global.output.as_ref().map(PathBuf::from) else {
        bail!("say where to: -o {}.{}", export.vm, export.format);
    };
    if to.exists() && !export.force {
        bail!("{} is there already; add --force to replace it", to.display());
    }
    let client = context.client().await?;
    let request = ExportRequest { format: export.format, disk: export.disk, ovf2: export.ovf2, watch: None };
    if let Some(snapshot) = export.snapshot {
        return save(&client, &snapshot, &request, &to).await;
    }
    let snapshot = take(&client, export.vm, "export").await?;
    let saved = tokio::select! {
        saved = save(&client, &snapshot, &request, &to) => saved,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let deleted = client.delete::<Snapshot>(snapshot.as_str(), &Call::default()).await;
    saved?;
    deleted
        .map(drop)
        .with_context(|| format!("the file is complete, but the snapshot {snapshot} stays for a day"))
}

/// A snapshot for a while, which says what for.
pub async fn take(client: &Client, vm: Name, purpose: &str) -> Result<Name> {
    let now = Timestamp::now();
    let name = Name::new(format!("{vm}-{purpose}-{}", now.strftime("%Y%m%d-%H%M%S")))?;
    let mut spec = SnapshotSpec::new(vm);
    spec.note = format!("for the {purpose}");
    spec.expires_at = Some(now + SNAPSHOT_KEPT_FOR);
    let call = Call { wait: Some("ready".into()), timeout_s: Some(SNAPSHOT_WAIT_S), ..Call::default() };
    client.create(&Snapshot::new(Meta::new(name.clone()), spec), &call).await?;
    Ok(name)
}

async fn save(client: &Client, snapshot: &Name, request: &ExportRequest, to: &Path) -> Result<()> {
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut pauses = PAUSES_S.iter();
    let length = loop {
        let error = match once(client, snapshot, request, &part).await {
            Ok(length) => break length,
            Err(error) => error,
        };
        let passing = error.downcast_ref::<Error>().is_some_and(Error::is_passing);
        match pauses.next().filter(|_| passing) {
            Some(pause) => {
                eprintln!("{error:#}; from the beginning in {pause} s");
                tokio::time::sleep(Duration::from_secs(*pause)).await;
            }
            None => {
                let _ = std::fs::remove_file(&part);
                return Err(error);
            }
        }
    };
    std::fs::rename(&part, to)
        .with_context(|| format!("cannot rename {} to {}", part.display(), to.display()))?;
    let folder = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()?;
    eprintln!("{}: {}", to.display(), format_bytes(length));
    Ok(())
}

async fn once(client: &Client, snapshot: &Name, request: &ExportRequest, part: &Path) -> Result<u64> {
    receive(client.export(snapshot.as_str(), request).await?, part, request.format).await
}

/// Writes what the host sends; answers the length.
async fn receive(mut stream: Stream, part: &Path, format: ExportFormat) -> Result<u64> {
    let mut file = File::create(part).await.with_context(|| format!("cannot write {}", part.display()))?;
    let bar = ProgressBar::new(1000);
    bar.set_style(ProgressStyle::with_template("{msg:10} {wide_bar} {percent:>3} %")?);
    bar.set_message("converting");
    let (mut digest, mut length, mut written) = (blake3::Hasher::new(), 0u64, 0u64);
    loop {
        let (kind, payload) = frame(&mut stream).await?;
        match kind {
            export_frame::PROGRESS => {
                let fraction = f32::from_be_bytes(payload.as_slice().try_into()?);
                bar.set_position((fraction.clamp(0.0, 1.0) * 1000.0) as u64);
            }
            export_frame::LENGTH => {
                length = u64::from_be_bytes(payload.as_slice().try_into()?);
                bar.set_length(length.max(1));
                bar.set_message("receiving");
            }
            export_frame::DATA => {
                digest.update(&payload);
                written += payload.len() as u64;
                // The holes of a raw disk stay holes.
                if format == ExportFormat::Raw && payload.iter().all(|byte| *byte == 0) {
                    file.seek(SeekFrom::Current(payload.len() as i64)).await?;
                } else {
                    let told = || format!("cannot write {}", part.display());
                    file.write_all(&payload).await.with_context(told)?;
                }
                bar.set_position(written);
            }
            export_frame::DIGEST => {
                if written != length || payload != digest.finalize().as_bytes() {
                    bail!("what arrived is not what the host sent; try it again");
                }
                file.flush().await?;
                file.set_len(length).await?;
                file.sync_all().await.with_context(|| format!("cannot write {}", part.display()))?;
                bar.finish_and_clear();
                return Ok(length);
            }
            export_frame::PROBLEM => {
                let problem: Problem = serde_json::from_slice(&payload)?;
                bail!("{}{}", problem.detail, problem.hint.map(|h| format!("\n  {h}")).unwrap_or_default());
            }
            other => bail!("the host sent a frame of kind {other}, which this version does not know"),
        }
    }
}

fn broke_off(source: std::io::Error) -> Error {
    Error::Broken { source }
}

async fn frame(stream: &mut Stream) -> Result<(u8, Vec<u8>)> {
    let kind = stream.read_u8().await.map_err(broke_off)?;
    let length = stream.read_u32().await.map_err(broke_off)? as usize;
    if length > export_frame::LENGTH_MAX {
        bail!("a frame of {length} bytes is too long");
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await.map_err(broke_off)?;
    Ok((kind, payload))
}
