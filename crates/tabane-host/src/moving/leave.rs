//! The old host's end: parts of a VM that it has let go of.

use std::{fs::OpenOptions, io::Read, path::Path};

use serde::Serialize;
use tabane_client::Stream;
use tabane_model::{
    Name, Uid,
    api::{LeavingPart, Part},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{CHUNK_BYTES, DiskHead, Luggage, STATE_FILE_BYTES_MAX, STATE_FILES, broken};
use crate::{Error, Result, agent::Shared, disk, disk::Note, files, image, vm::State};

/// Answers with one part. `open` is called when there is nothing left that could be refused.
pub async fn serve(
    shared: &Shared,
    vm: &Name,
    leaving: &LeavingPart,
    open: impl AsyncFnOnce() -> Result<Stream>,
) -> Result<()> {
    let state = released(shared, vm, leaving.id)?;
    match &leaving.part {
        Part::State => {
            let (luggage, content) = luggage(shared, &state)?;
            let mut stream = open().await?;
            send_head(&mut stream, &luggage).await?;
            stream.write_all(&content).await.map_err(broken)?;
            stream.shutdown().await.map_err(broken)
        }
        Part::Image { digest } => {
            let stored = shared.images.store().load(digest);
            let stored = stored.ok_or_else(|| Error::Stream("the image is not on this host".into()))?;
            image::send_files(shared.images.store(), &stored, open().await?).await
        }
        Part::Disk { disk, offset_bytes } => {
            let object = shared
                .objects
                .disk(disk)
                .filter(|d| d.spec.vm.as_ref() == Some(vm))
                .ok_or_else(|| Error::Stream(format!("{disk} is no disk of {vm} on this host")))?;
            let path = disk::place(shared, &object)?;
            let note = Note::load(&path)?.unwrap_or_default();
            if !note.active_path(&path).exists() && !disk::was_made(&object) {
                let head = DiskHead { absent: true, ..DiskHead::default() };
                return send_head(&mut open().await?, &head).await;
            }
            if note.layers.all().count() > 1 {
                return Err(Error::Stream(format!("the layers of {disk} are not merged yet")));
            }
            send_disk(&note.active_path(&path), &note, *offset_bytes, open).await
        }
    }
}

/// Only what runs nowhere may be copied: the VM's state says for which move this host has let go of it.
fn released(shared: &Shared, vm: &Name, id: Uid) -> Result<State> {
    let refused = || Error::Stream(format!("this host has not let go of the VM {vm} for this move"));
    let object = shared.objects.vm(vm).ok_or_else(refused)?;
    let state = State::load(&shared.folders.vms(), object.meta.uid)?.ok_or_else(refused)?;
    let is_released = state.process.is_none() && state.released.as_ref().is_some_and(|r| r.id == id);
    if is_released { Ok(state) } else { Err(refused()) }
}

fn luggage(shared: &Shared, state: &State) -> Result<(Luggage, Vec<u8>)> {
    let folder = State::folder(&shared.folders.vms(), state.uid);
    let mut content = Vec::new();
    let mut present = Vec::new();
    for name in STATE_FILES {
        let path = folder.join(name);
        if !path.exists() {
            continue;
        }
        let file = files::open_beneath(&folder, name);
        let before = content.len();
        file.and_then(|file| file.take(STATE_FILE_BYTES_MAX).read_to_end(&mut content))
            .map_err(Error::file("read", &path))?;
        present.push((name.to_owned(), (content.len() - before) as u64));
    }
    let luggage = Luggage {
        pinned: state.pinned.clone(),
        ports: state.ports.clone(),
        starts: state.starts,
        resets: state.resets,
        restarts: state.restarts,
        reverted: state.reverted,
        last_exit: state.last_exit.clone(),
        generation: state.generation,
        renewed: state.renewed,
        files: present,
    };
    Ok((luggage, content))
}

async fn send_head(stream: &mut Stream, head: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec(head).expect("has string keys");
    stream.write_u32(text.len() as u32).await.map_err(broken)?;
    stream.write_all(&text).await.map_err(broken)
}

async fn send_disk(
    path: &Path,
    note: &Note,
    offset: u64,
    open: impl AsyncFnOnce() -> Result<Stream>,
) -> Result<()> {
    let file = files::open_foreign(path, OpenOptions::new().read(true)).map_err(Error::file("read", path))?;
    let size_bytes = file.metadata().map_err(Error::file("read", path))?.len();
    if offset > size_bytes {
        return Err(Error::Stream(format!("the disk has {size_bytes} bytes, not {offset}")));
    }
    let (image_digest, linked) = (note.image_digest.clone(), note.linked);
    let mut stream = open().await?;
    send_head(&mut stream, &DiskHead { size_bytes, absent: false, image_digest, linked }).await?;
    let mut file = tokio::fs::File::from_std(file);
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while at < size_bytes {
        // What is there already is only hashed.
        let end = if at < offset { offset } else { size_bytes };
        let wanted = (end - at).min(CHUNK_BYTES as u64) as usize;
        let read = file.read(&mut buffer[..wanted]).await.map_err(Error::file("read", path))?;
        if read == 0 {
            return Err(broken("the disk has become shorter"));
        }
        hasher.update(&buffer[..read]);
        if at >= offset {
            stream.write_all(&buffer[..read]).await.map_err(broken)?;
        }
        at += read as u64;
    }
    stream.write_all(hasher.finalize().as_bytes()).await.map_err(broken)?;
    stream.shutdown().await.map_err(broken)
}
