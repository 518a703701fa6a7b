//! Layers at a machine whose guest does nothing.

use std::{
    ffi::CString,
    fs::File,
    io::{ErrorKind, Read},
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tabane_qemu::command::{Disk, DiskFormat};
use tabane_qemu::layers::{self, Below, NewLayer};
use tabane_qemu::qcow2;

use crate::support::{LONG, Qemu, folder, give_away, machine, start_in};

const SIZE_BYTES: u64 = 1 << 20;

fn layer(folder: &Path, number: u32, over: Option<&Path>) -> PathBuf {
    let path = folder.join(format!("{number}.qcow2"));
    qcow2::create(&path, SIZE_BYTES, over).unwrap();
    give_away(&path);
    path
}

/// Tells how often a file was opened since, by inotify(7).
struct Openings(File);

impl Openings {
    fn of(path: &Path) -> Self {
        let path = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: plain system calls; the descriptor is new and nobody else's.
        let inotify = unsafe {
            let inotify = libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC);
            assert!(libc::inotify_add_watch(inotify, path.as_ptr(), libc::IN_OPEN) >= 0);
            OwnedFd::from_raw_fd(inotify)
        };
        Self(inotify.into())
    }

    fn any(&mut self) -> bool {
        match self.0.read(&mut [0; 4096]) {
            Ok(bytes) => bytes > 0,
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn stream(qemu: &Qemu, into: u32, below: &Below) {
    let qmp = &qemu.qmp;
    layers::stream(qmp, "job", "root", into, below).await.unwrap();
    let begun = Instant::now();
    loop {
        let job = layers::job(qmp, "job").await.unwrap().unwrap();
        if job.status == "concluded" {
            assert_eq!(job.error, None);
            break;
        }
        assert!(begun.elapsed() < LONG, "{job:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    layers::dismiss(qmp, "job").await.unwrap();
}

/// Where QEMU opens one anew it closes the old one, under requests that are under way.
#[tokio::test]
async fn files_stay_open_as_they_are_while_layers_are_frozen_and_merged() {
    let folder = folder();
    let mut paths = vec![layer(folder.path(), 0, None)];
    for number in 1..5 {
        paths.push(layer(folder.path(), number, paths.last().map(PathBuf::as_path)));
    }
    let mut machine = machine("layers").await;
    let mut disk = Disk::new("root", &paths[2], DiskFormat::Qcow2);
    disk.layer = 2;
    disk.below = vec![(1, paths[1].clone()), (0, paths[0].clone())];
    machine.disks = vec![disk];
    let qemu = start_in(folder, &machine).await;
    let mut openings: Vec<Openings> = paths[..3].iter().map(|path| Openings::of(path)).collect();

    // One that was frozen before QEMU was there; then one that the machine began with, and one that came later.
    stream(&qemu, 1, &Below::Nothing).await;
    layers::forget(&qemu.qmp, "root", 0).await.unwrap();
    for number in 3..5 {
        let path = paths[number as usize].clone();
        layers::snapshot(&qemu.qmp, &[NewLayer { id: "root".into(), layer: number, path }]).await.unwrap();
        assert_eq!(layers::top(&qemu.qmp, "root").await.unwrap(), Some(number));
        openings.push(Openings::of(&paths[number as usize]));
        stream(&qemu, number - 1, &Below::Nothing).await;
        layers::forget(&qemu.qmp, "root", number - 2).await.unwrap();
    }
    layers::keep_only(&qemu.qmp, "root", &[4, 3]).await.unwrap();
    for (number, opened) in openings.iter_mut().enumerate() {
        assert!(!opened.any(), "the file of layer {number} was opened anew");
    }
    let nodes = qemu.qmp.query_named_block_nodes().await.unwrap();
    let names: Vec<_> = nodes.iter().map(|node| node.node_name.as_str()).collect();
    assert_eq!(names.iter().filter(|name| name.ends_with("-root")).count(), 4, "{names:?}");
}
